/**
 * What was seen at one moment: every namespace with its links, and what leads from one to another. Every view (text,
 * pictures, differences) is a function of the snapshot alone, so a saved one shows what was seen at its time.
 *
 * Identifiers are opaque: equal ones mean the same thing within one boot, and they carry no other information.
 */
import * as v from 'valibot';
import { object, parse } from '../cni/schema.ts';
import { messageOf, NetloomError } from '../error.ts';

const STATES = ['up', 'down', 'no-carrier'] as const;

const LINK = () =>
  object({
    id: v.string(),
    name: v.string(),
    index: v.number(),
    /** bridge, veth, …; missing for hardware and lo. */
    kind: v.exactOptional(v.string()),
    state: v.picklist(STATES),
    mtu: v.number(),
    mac: v.exactOptional(v.string()),
    addresses: v.array(object({ address: v.string(), scope: v.picklist(['global', 'link', 'host']) })),
    /** The link that this one is a port of. */
    master: v.exactOptional(v.string()),
    /** The other end of a veth. */
    peer: v.exactOptional(v.string()),
    /** The lower link of a macvlan, ipvlan, vlan, … */
    lower: v.exactOptional(v.string()),
    /** The other end, or the link below, is in a namespace that was not seen. */
    leadsAway: v.exactOptional(v.boolean()),
    /** Details of the kind: the mode of a macvlan, the number of a VLAN. */
    details: v.exactOptional(v.record(v.string(), v.union([v.string(), v.number()]))),
    alias: v.exactOptional(v.string()),
    /** The network and the container that it is an attachment of. */
    network: v.exactOptional(v.string()),
    container: v.exactOptional(v.string()),
  });

const NAMESPACE = () =>
  object({
    id: v.string(),
    /** The namespace that the snapshot was taken from. */
    isHost: v.boolean(),
    /** Its owners, the best name first. Kinds: host, sandbox, pod, docker, podman, containerd, netns, pin, process. */
    names: v.array(object({ kind: v.string(), name: v.string(), id: v.exactOptional(v.string()) })),
    pins: v.array(v.string()),
    pids: v.array(v.number()),
    /** The command of the first process. */
    command: v.exactOptional(v.string()),
    /** Families that it forwards. */
    forwards: v.array(v.picklist([4, 6])),
    links: v.array(LINK()),
    routes: v.array(
      object({
        to: v.string(),
        via: v.exactOptional(v.string()),
        link: v.exactOptional(v.string()),
        source: v.exactOptional(v.string()),
        metric: v.exactOptional(v.number()),
        table: v.number(),
      }),
    ),
    /** Sources that are masqueraded on leaving it. `0.0.0.0/0` where no source is named. */
    masquerades: v.array(object({ source: v.string(), by: v.string() })),
  });

const SNAPSHOT = () =>
  object({
    format: v.literal(1),
    /** ISO 8601. */
    taken: v.string(),
    namespaces: v.array(NAMESPACE()),
    networks: v.array(
      object({ name: v.string(), driver: v.string(), file: v.string(), bridge: v.exactOptional(v.string()) }),
    ),
    /** What could not be seen, and why. */
    warnings: v.array(v.string()),
  });

export type Snapshot = v.InferOutput<ReturnType<typeof SNAPSHOT>>;
export type NamespaceEntry = Snapshot['namespaces'][number];
export type LinkEntry = NamespaceEntry['links'][number];
export type RouteEntry = NamespaceEntry['routes'][number];
export type LinkState = (typeof STATES)[number];

/** Reads a saved snapshot. @throws NetloomError damaged-file */
export function readSnapshot(text: string, file: string): Snapshot {
  const action = `Cannot read the snapshot "${file}"`;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new NetloomError('damaged-file', `${action}: ${messageOf(cause)}`, {
      cause,
      hint: '"netloom inspect --json" prints one',
    });
  }
  return parse(SNAPSHOT(), json, { code: 'damaged-file', action });
}
