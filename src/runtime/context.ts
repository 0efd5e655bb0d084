/** What running plugins needs from outside: the paths of files and of plugins, and where to report warnings. */
import { hasCode } from '../error.ts';
import { makeDirectories, rename, tryReadlink, trySymlink, unlink } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { type Paths, pathsOf } from '../paths.ts';
import { plugins } from '../plugins/registry.ts';

export interface RuntimeContext {
  readonly paths: Paths;
  /** The directories of CNI_PATH, first one first. */
  readonly pluginPath: readonly string[];
  /** The environment of executed plugins, besides the CNI_* variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reports a problem to the person, in one line; the work goes on. */
  warn(message: string): void;
}

/** Where packages of distributions and runtimes install plugins. */
const PLUGIN_DIRECTORIES = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];

/**
 * The context of a process.
 * @param executable of netloom: links to it come first in the path, so that a plugin of ours that another one delegates
 * to runs in this process, whether or not "netloom install" ever ran
 */
export function contextOf(
  environment: Readonly<Record<string, string | undefined>>,
  executable: string | undefined,
  warn: (message: string) => void,
): RuntimeContext {
  const paths = pathsOf(environment);
  const asked = (environment['CNI_PATH'] ?? '').split(':').filter((directory) => directory !== '');
  const others = asked.length > 0 ? asked : PLUGIN_DIRECTORIES;
  const own = executable === undefined ? undefined : tryOwnNames(`${paths.run}/bin`, executable);
  return { paths, pluginPath: own === undefined ? others : [own, ...others], environment, warn };
}

/** An ordinary user may only look, and cannot attach anything anyway. */
function tryOwnNames(directory: string, executable: string): string | undefined {
  try {
    return ownNames(directory, executable);
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) return undefined;
    throw error;
  }
}

/** Makes a directory with a link to this executable for each of its plugin types. */
function ownNames(directory: string, executable: string): string {
  makeDirectories(directory);
  for (const type of plugins.keys()) {
    const link = `${directory}/${type}`;
    if (tryReadlink(link) === executable) continue;
    const beside = `${link}.${libc.getpid()}.tmp`;
    unlink(beside);
    trySymlink(executable, beside);
    rename(beside, link);
  }
  return directory;
}
