/**
 * Which attachments of one container can be combined. `host` and `container` stand alone: with them a container has a
 * network that is somebody else's to change.
 */
import type { CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { type AttachmentRecord, isCurrent, type RecordKey, recordsOf } from './record.ts';

/** The plugin type of containers that share another one's network. */
export const SHARING = 'container';

/** Why a container in this mode can have no other attachment, and what to do instead. */
const ALONE: Readonly<Record<string, { readonly because: string; readonly hint: string }>> = {
  host: {
    because: "it is in the host's network, and what is added there is the host's",
    hint: 'start it with a network of its own (mode "none" is where later wiring starts from), or DEL the attachment to the host first',
  },
  container: {
    because: "it shares the network of another container, and what is added there is that one's",
    hint: 'attach the container whose network it shares, or DEL the attachment that shares it first',
  },
};

/**
 * They set nothing up but `lo`, so they can be combined with anything: runtimes call `loopback` for every container.
 */
const UNCOUNTED: ReadonlySet<string> = new Set(['loopback', 'none']);

/**
 * Refuses an attachment that cannot be combined with those that the container has. Called before any change.
 * @throws NetloomError exclusive-network
 */
export function refuseCompany(call: CniCall, own: RecordKey): void {
  if (UNCOUNTED.has(own.mode)) return;
  const others = recordsOf(call, own.container).filter((other) => isCounted(other) && !isSame(own, other));
  const holder = others.find(({ mode }) => Object.hasOwn(ALONE, mode));
  if (holder !== undefined) throw refusal(own, `${nameOf(holder)} stands alone`, holder.mode);
  const [other] = others;
  if (other !== undefined && Object.hasOwn(ALONE, own.mode)) {
    throw refusal(own, `it has ${nameOf(other)} already, and "${own.mode}" stands alone`, own.mode);
  }
}

/**
 * Refuses a type that stands alone where a plugin before it in the conflist has made an interface.
 * @throws NetloomError exclusive-network
 */
export function refuseChain({ conf }: CniCall, own: RecordKey): void {
  if (!Object.hasOwn(ALONE, own.mode)) return;
  const before = conf.prevResult?.interfaces?.find(({ name, sandbox = '' }) => sandbox !== '' && name !== 'lo');
  if (before === undefined) return;
  throw refusal(
    own,
    `a plugin before it in the conflist made "${before.name}", and "${own.mode}" stands alone`,
    own.mode,
  );
}

/** Whether a container shares another's namespace, so that what is in there is not its own. */
export function isSharer(records: readonly AttachmentRecord[]): boolean {
  return records.some(({ mode }) => mode === SHARING);
}

function isCounted(record: AttachmentRecord): boolean {
  return !UNCOUNTED.has(record.mode) && isCurrent(record);
}

function isSame(one: RecordKey, other: RecordKey): boolean {
  return one.mode === other.mode && one.network === other.network && one.ifname === other.ifname;
}

function nameOf({ mode, network, ifname }: RecordKey): string {
  return `its attachment "${ifname}" to the network "${network}" (${mode})`;
}

function refusal({ container, network }: RecordKey, why: string, mode: string): NetloomError {
  const { because = '', hint = '' } = ALONE[mode] ?? {};
  return new NetloomError(
    'exclusive-network',
    `Cannot attach the container "${container}" to the network "${network}": ${why}: ${because}; ${hint}`,
  );
}
