/** The namespace that is to be shared. */
import { type AttachmentRecord, isCurrent, type Reader, recordsOf } from '../../attach/record.ts';
import type { CniCall } from '../../cni/call.ts';
import { NetloomError } from '../../error.ts';
import { type Netns, openNetns, ownNetns, tryOpenNetns } from '../../netns/namespace.ts';
import { type ContainerConf, type Wanted, wantedOf } from './conf.ts';

/** Opens it. @throws NetloomError invalid-config, target-is-itself, no-target, target-is-host, not-a-namespace */
export function openTarget(call: CniCall<ContainerConf>): Netns {
  const wanted = wantedOf(call);
  const name = nameOf(wanted);
  if ('container' in wanted ? wanted.container === call.containerId : wanted.netns === call.netns) {
    throw new NetloomError(
      'target-is-itself',
      `Cannot share the network of ${name}: it is the container itself, which shares with nobody but another one`,
    );
  }
  const target = 'container' in wanted ? openContainersNetns(call, wanted.container) : tryOpenNetns(wanted.netns);
  if (target === undefined) throw noTarget(name, 'there is no such file');
  using own = ownNetns();
  if (!target.isSameAs(own)) return target;
  target[Symbol.dispose]();
  throw new NetloomError(
    'target-is-host',
    `Cannot share the network of ${name}: it is the host's, and the mode for that is "host"`,
  );
}

function nameOf(wanted: Wanted): string {
  return 'container' in wanted ? `the container "${wanted.container}"` : `"${wanted.netns}"`;
}

/** Uses the records of its attachments. Those whose namespace is gone, or whose path leads to another, do not count. */
function openContainersNetns(reader: Reader, container: string): Netns {
  const records = recordsOf(reader, container);
  const name = nameOf({ container });
  if (records.length === 0) {
    throw noTarget(
      name,
      'netloom has attached no container of that id; attach it first, or give the path of its namespace as "netns"',
    );
  }
  const current = records.filter(isCurrent);
  const [record] = current;
  if (record === undefined) throw noTarget(name, `its network namespace "${records[0]?.netns}" is gone`);
  const other = current.find(({ id }) => id !== record.id);
  if (other !== undefined) {
    throw noTarget(
      name,
      `it is attached in two namespaces, "${record.netns}" and "${other.netns}"; say which as "netns"`,
    );
  }
  return openRecorded(name, record);
}

/** NB: the id is compared again after opening. From then on no other namespace can take its place. */
function openRecorded(name: string, { netns, id }: AttachmentRecord): Netns {
  const opened = openNetns(netns);
  if (opened.id === id) return opened;
  opened[Symbol.dispose]();
  throw noTarget(name, `its network namespace "${netns}" is gone`);
}

function noTarget(name: string, why: string): NetloomError {
  return new NetloomError('no-target', `Cannot share the network of ${name}: ${why}`);
}
