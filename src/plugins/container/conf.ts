/**
 * The keys of the container plugin: `container` names the container to share with, `netns` the path of its namespace.
 */
import * as v from 'valibot';
import { parseArgs } from '../../cni/args.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, isName, object, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';

const id = v.exactOptional(text);

export const schema = confSchema(() => ({
  container: id,
  netns: v.exactOptional(text),
  runtimeConfig: v.optional(object({ container: id }), {}),
}));

export type ContainerConf = ConfOf<typeof schema>;

export type Wanted = { readonly container: string } | { readonly netns: string };

/**
 * Which container or namespace the call asks for. What the runtime says about this container goes before the network's
 * configuration, and runtimeConfig before CNI_ARGS.
 * @throws NetloomError invalid-config, invalid-args
 */
export function wantedOf({ conf, args }: Pick<CniCall<ContainerConf>, 'conf' | 'args'>): Wanted {
  const fromArgs = args === '' ? undefined : parseArgs(args, ['CONTAINER']).get('CONTAINER');
  const [source, container] = (
    [
      ['runtimeConfig.container', conf.runtimeConfig.container],
      ['CNI_ARGS: CONTAINER', fromArgs],
      ['container', conf.container],
    ] as const
  ).find(([, value]) => value !== undefined && value !== '') ?? ['', undefined];
  const { netns } = conf;
  if (container === undefined) {
    if (netns === undefined) throw invalid('"container" is missing, expected the id of the container to share with');
    if (!netns.startsWith('/')) throw invalid(`"netns" is ${JSON.stringify(netns)}, expected an absolute path`);
    return { netns };
  }
  if (source === 'container' && netns !== undefined)
    throw invalid('"container" and "netns" are both set, expected one');
  if (!isName(container)) {
    throw invalid(
      `"${source}" is ${JSON.stringify(container)}, expected a container's id: letters, digits, "_", "." and "-"`,
    );
  }
  return { container };
}

function invalid(what: string): NetloomError {
  return new NetloomError('invalid-config', `failed to load netconf: ${what}`);
}
