/**
 * The networks of a directory of conflists, in libcni's order: by file name, lists before single configurations, the
 * first with a given name wins.
 */
import { messageOf, NetloomError } from '../error.ts';
import { tryList } from '../ffi/directory.ts';
import { directoryOf, isRegular, readText, tryStat } from '../ffi/file.ts';
import { type Conflist, parseConflist, parseJson, parsePlugin, withPlugins } from './conflist.ts';

/** A network and the file that it is in. */
export interface Network {
  readonly file: string;
  readonly list: Conflist;
}

/** A file that is not a valid network, and why. */
export interface Fault {
  readonly file: string;
  readonly message: string;
}

export interface Networks {
  readonly networks: readonly Network[];
  readonly faults: readonly Fault[];
}

/** Every network of a directory. A file that cannot be read is reported and does not hide the others. */
export function readNetworks(directory: string): Networks {
  const networks: Network[] = [];
  const faults: Fault[] = [];
  for (const file of [...filesOf(directory, ['.conflist']), ...filesOf(directory, ['.conf', '.json'])]) {
    try {
      const list = loadConflist(file);
      const same = networks.find((other) => other.list.name === list.name);
      if (same === undefined) networks.push({ file, list });
      else faults.push({ file, message: `the network "${list.name}" of "${same.file}" hides it` });
    } catch (error) {
      faults.push({ file, message: messageOf(error) });
    }
  }
  return { networks, faults };
}

/** @throws NetloomError no-network, with the names that exist */
export function findNetwork(directory: string, name: string): Network {
  const { networks, faults } = readNetworks(directory);
  const found = networks.find(({ list }) => list.name === name);
  if (found !== undefined) return found;
  const names = networks.map(({ list }) => list.name);
  throw new NetloomError('no-network', `There is no network "${name}" in "${directory}"`, {
    ...(faults.length > 0 && { details: faults.map(({ message }) => message).join('; ') }),
    hint:
      names.length > 0
        ? `there are: ${names.join(', ')}`
        : `create one with "netloom network create ${name}", or copy a conflist there`,
  });
}

/**
 * Reads a network from a file, and adds the plugins in the directory beside it that has the network's name, unless
 * `loadOnlyInlinedPlugins`.
 * @throws NetloomError as parseConflist(), and invalid-config for a network without any plugin
 */
export function loadConflist(file: string): Network['list'] {
  const list = parseConflist(readText(file), `"${file}"`);
  const directory = `${directoryOf(file) ?? '.'}/${list.name}`;
  const more = list.loadOnlyInlinedPlugins ? [] : filesOf(directory, ['.conf']).map(loadPlugin);
  const whole = withPlugins(list, more);
  if (whole.plugins.length === 0) {
    throw new NetloomError('invalid-config', `Cannot read the network of "${file}": "plugins" is empty`, {
      hint: `list the plugins there, or put them into "${directory}" as *.conf`,
    });
  }
  return whole;
}

function loadPlugin(file: string) {
  const action = `Cannot read the plugin of "${file}"`;
  return parsePlugin(parseJson(readText(file), action), '', action);
}

/** The regular files of a directory with one of these extensions, by name. */
function filesOf(directory: string, extensions: readonly string[]): string[] {
  const names = (tryList(directory) ?? []).filter((name) => extensions.some((extension) => name.endsWith(extension)));
  return names
    .sort()
    .map((name) => `${directory}/${name}`)
    .filter((file) => {
      const stat = tryStat(file);
      return stat !== undefined && isRegular(stat);
    });
}
