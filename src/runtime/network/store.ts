/** Creating and removing networks: a conflist in the directory that every runtime reads. */
import { gather } from '../../attach/gather.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { removeDirectory, tryList } from '../../ffi/directory.ts';
import { makeDirectories, replaceText, unlink } from '../../ffi/file.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { AttachmentCache, type CachedAttachment } from '../cache.ts';
import { gcChain } from '../chain.ts';
import { findNetwork, loadConflist, type Network, readNetworks } from '../conf-directory.ts';
import type { RuntimeContext } from '../context.ts';
import { exclusively } from '../lock.ts';
import { bridgeName, type NetworkOptions, planNetwork } from './plan.ts';

/** The files of host-local that are not leases. */
const REMEMBERED = /^(lock|last_reserved_ip\.\d+)$/;

/** Creates a network. @throws NetloomError as planNetwork() */
export function createNetwork(context: RuntimeContext, name: string, options: NetworkOptions): Network {
  return exclusively(context, () => {
    const { file, text } = plannedNetwork(context, name, options);
    makeDirectories(context.paths.conf);
    // Readable for runtimes that do not run as root.
    replaceText(file, text, 0o644);
    return { file, list: loadConflist(file) };
  });
}

/** The file that createNetwork() would write. @throws NetloomError as planNetwork() */
export function plannedNetwork(
  { paths }: RuntimeContext,
  name: string,
  options: NetworkOptions,
): { readonly file: string; readonly text: string } {
  const conflist = planNetwork(name, options, readNetworks(paths.conf).networks);
  return { file: `${paths.conf}/${name}.conflist`, text: `${JSON.stringify(conflist, null, 2)}\n` };
}

/**
 * Removes a network and what it has left: stale attachments, its bridge if that has no ports, and files about its
 * leases.
 * @throws NetloomError network-in-use while anything is attached
 */
export function removeNetwork(context: RuntimeContext, name: string): void {
  exclusively(context, () => {
    const network = findNetwork(context.paths.conf, name);
    const attached = attachmentsOf(context, name);
    if (attached.length > 0) {
      throw new NetloomError(
        'network-in-use',
        `Cannot remove the network "${name}": ${attached.length} ${attached.length === 1 ? 'interface is' : 'interfaces are'} attached to it`,
        {
          details: attached.map(({ containerId, ifname }) => `"${ifname}" of "${containerId}"`).join(', '),
          hint: 'disconnect them first',
        },
      );
    }
    gather(
      () => collectRest(context, network),
      () => removeBridge(network),
      () => forgetLeases(`${context.paths.leases}/${name}`),
    );
    unlink(network.file);
  });
}

/**
 * Removes what plugins still have of the network. A plugin that is no longer installed cannot be called, but that is no
 * reason to keep the network.
 */
function collectRest(context: RuntimeContext, { list }: Network): void {
  try {
    gcChain(context, list, []);
  } catch (error) {
    if (!hasCode(error, 'plugin-not-found')) throw error;
    context.warn(error.message);
  }
}

/** The attachments of a network that any runtime of this machine remembers. */
export function attachmentsOf(context: RuntimeContext, name: string): CachedAttachment[] {
  const all = new AttachmentCache(context.paths.cni).list((message) => context.warn(message));
  return all.filter(({ network }) => network === name);
}

/**
 * Removes the bridge whose name is derived from the network's, if it has no ports. A bridge that somebody named may be
 * somebody else's, and stays.
 */
function removeBridge({ list }: Network): void {
  const name = bridgeName(list.name);
  if (!list.plugins.some(({ conf }) => conf['bridge'] === name)) return;
  using nl = openRoute();
  const links = link.list(nl);
  const bridge = links.find((each) => each.name === name && each.kind === 'bridge');
  if (bridge === undefined || links.some(({ master }) => master === bridge.index)) return;
  nl.attempt([link.remove({ index: bridge.index })]);
}

/** Removes files about leases, unless a lease is left: that belongs to somebody. */
function forgetLeases(directory: string): void {
  const names = tryList(directory) ?? [];
  if (names.some((name) => !REMEMBERED.test(name))) return;
  for (const name of names) unlink(`${directory}/${name}`);
  removeDirectory(directory);
}
