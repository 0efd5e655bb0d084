/** The environment of a plugin call. */
import type { Side } from './experiment.ts';

/**
 * @param root NETLOOM_ROOT
 * @param container its id and the path of its namespace; absent for a herd, which sets them for each call
 */
export function callEnvironment(
  { plugins }: Pick<Side, 'plugins'>,
  root: string,
  command: string,
  container?: { readonly name: string; readonly path: string },
  ifname = 'eth0',
): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    NETLOOM_ROOT: root,
    CNI_COMMAND: command,
    ...(container !== undefined && { CNI_CONTAINERID: container.name, CNI_NETNS: container.path }),
    CNI_IFNAME: ifname,
    CNI_PATH: plugins,
  };
}
