/** Links: the network devices of a namespace. man 8 ip-link. */

import { NetloomError } from '../error.ts';
import { ERRNO } from '../ffi/errno.ts';
import type { Mac } from '../net/mac.ts';
import type { Attrs, AttrTable } from '../netlink/attribute.ts';
import { malformed, nest } from '../netlink/attribute.ts';
import { u16 } from '../netlink/codec.ts';
import { type Message, type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { IFF, OPER, RTM } from './constants.ts';
import { baseAttrs, ifinfomsg } from './link-attributes.ts';
import { type LinkInfo, linkInfo } from './link-info.ts';

/** IFLA_AF_SPEC of the bridge family. IFLA_BRIDGE_FLAGS of linux/if_bridge.h. */
const afSpec = { bridgeFlags: [0, u16] } as const satisfies AttrTable;

/** Counters are a quarter of a link's message, and nothing here reads them. */
const RTEXT_FILTER_SKIP_STATS = 8;

export const linkKind = {
  name: 'link',
  header: ifinfomsg,
  attrs: { ...baseAttrs, linkinfo: [18, linkInfo], afSpec: [26, nest(afSpec)] },
} as const satisfies MessageKind;

export type LinkAttrs = Attrs<typeof linkKind.attrs>;

/** A reference to a link: its index, or its name. */
export type LinkRef = { readonly index: number } | { readonly name: string };

/** A link as the kernel describes it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_* bits. */
  readonly flags: number;
  readonly mac: Mac | undefined;
  readonly mtu: number;
  /** ARPHRD_* of linux/if_arp.h: 1 is Ethernet. */
  readonly hardware: number;
  /** bridge, veth, …; undefined for hardware and lo. */
  readonly kind: string | undefined;
  readonly master: number | undefined;
  readonly alias: string | undefined;
  readonly isUp: boolean;
  /** Administratively up and with a carrier. */
  readonly isOperational: boolean;
  readonly attrs: LinkAttrs;
}

/**
 * Creates a link. `up` sets it up in the same message. NB: the kernel ignores an `alias` here: set() it afterwards.
 * Equivalent to: `ip link add NAME … type KIND …`
 * @throws NetlinkError EEXIST when the name is taken, EOPNOTSUPP when this kernel lacks the kind
 */
export function add(attrs: LinkAttrs & { readonly linkinfo: LinkInfo }, { up = false } = {}): Request<typeof linkKind> {
  return request(
    linkKind,
    RTM.NEWLINK,
    NLM_F.CREATE | NLM_F.EXCL | NLM_F.ECHO,
    up ? { flags: IFF.UP, change: IFF.UP } : {},
    attrs,
    {
      action: () => `create the ${attrs.linkinfo.kind} link ${quote(attrs.name)}`,
      command: () => `ip link add ${attrs.name} ${words(attrs)}${up ? ` && ip link set ${attrs.name} up` : ''}`,
    },
  );
}

/**
 * Executes add() and returns the link that NLM_F_ECHO reports; undefined on kernels before 6.2, which do not echo it.
 */
export function made(nl: NetlinkSocket, adding: Request<typeof linkKind>): Link | undefined {
  const message = nl.execute(adding);
  return message && linkOf(message);
}

/** Flags that set() changes; a missing one stays as it is. */
export interface LinkFlags {
  readonly up?: boolean;
  readonly promisc?: boolean;
  readonly allmulti?: boolean;
  readonly arp?: boolean;
}

/**
 * Changes a link. To rename a link, refer to it by its index.
 * Equivalent to: `ip link set LINK …`
 * @throws NetlinkError ENODEV when there is none
 */
export function set(link: LinkRef, attrs: LinkAttrs, flags: LinkFlags = {}): Request {
  let change = 0;
  let on = 0;
  const flag = (value: boolean | undefined, bit: number) => {
    if (value !== undefined) change |= bit;
    if (value === true) on |= bit;
  };
  flag(flags.up, IFF.UP);
  flag(flags.promisc, IFF.PROMISC);
  flag(flags.allmulti, IFF.ALLMULTI);
  flag(flags.arp === undefined ? undefined : !flags.arp, IFF.NOARP);
  if ('name' in link && attrs.name !== undefined) {
    // NB: a message has only one IFLA_IFNAME. The kernel would look for a link with the new name, and change another
    // one.
    throw new NetloomError('invalid-value', `Cannot rename the link ${quote(link.name)}: a new name takes its index`);
  }
  const byName = 'name' in link ? { name: link.name } : {};
  return request(
    linkKind,
    RTM.NEWLINK,
    0,
    { index: 'index' in link ? link.index : 0, flags: on, change },
    { ...byName, ...attrs },
    {
      action: () => `change the link ${refText(link)}`,
      command: () =>
        [
          'ip link set',
          refWord(link),
          ...(attrs.name === undefined ? [] : [`name ${attrs.name}`]),
          words(attrs),
          flagWords(flags),
        ]
          .filter(Boolean)
          .join(' '),
    },
  );
}

/**
 * Removes a link (with a veth also its other end), or all links of a group. The kernel takes some 16 ms, for one link
 * or for twenty.
 * Equivalent to: `ip link del LINK`, `ip link del group GROUP`
 * @throws NetlinkError ENODEV when there is none
 */
export function remove(link: LinkRef | { readonly group: number }): Request {
  const index = 'index' in link ? link.index : 0;
  const attrs = 'name' in link ? { name: link.name } : 'group' in link ? { group: link.group } : {};
  return request(linkKind, RTM.DELLINK, 0, { index }, attrs, {
    action: () => ('group' in link ? `remove the links of group ${link.group}` : `remove the link ${refText(link)}`),
    command: () => ('group' in link ? `ip link del group ${link.group}` : `ip link del ${refWord(link)}`),
  });
}

/** Looks a link up. Undefined where there is none. Equivalent to: `ip -d link show LINK` */
export function find(nl: NetlinkSocket, link: LinkRef): Link | undefined {
  const message = nl.find(lookUp(link), ERRNO.ENODEV);
  return message && linkOf(message);
}

/** As find(), but the link must exist. @throws NetlinkError ENODEV when there is none */
export function get(nl: NetlinkSocket, link: LinkRef): Link {
  const message = nl.execute(lookUp(link));
  if (message === undefined) throw malformed(`the answer for the link ${refText(link)} has no link`);
  return linkOf(message);
}

function lookUp(link: LinkRef): Request<typeof linkKind> {
  const index = 'index' in link ? link.index : 0;
  const name = 'name' in link ? { name: link.name } : {};
  return request(
    linkKind,
    RTM.GETLINK,
    0,
    { index },
    { ...name, extMask: RTEXT_FILTER_SKIP_STATS },
    {
      action: () => `look up the link ${refText(link)}`,
      command: () => `ip -d link show ${refWord(link)}`,
    },
  );
}

/** All links of the socket's namespace. Equivalent to: `ip -d link show` */
export function list(nl: NetlinkSocket): Link[] {
  const all = request(
    linkKind,
    RTM.GETLINK,
    0,
    {},
    {},
    {
      action: () => 'list the links',
      command: () => 'ip -d link show',
    },
  );
  return nl.dump(all).map(linkOf);
}

/** The link that an RTM_NEWLINK describes. */
export function linkOf(message: Message<typeof linkKind>): Link {
  const { header, attrs } = message;
  return {
    index: header.index,
    name: attrs.name ?? '',
    flags: header.flags,
    mac: attrs.address,
    mtu: attrs.mtu ?? 0,
    hardware: header.type,
    kind: attrs.linkinfo?.kind,
    master: attrs.master,
    alias: attrs.alias,
    isUp: (header.flags & IFF.UP) !== 0,
    isOperational:
      attrs.operstate === OPER.UP || ((header.flags & IFF.LOWER_UP) !== 0 && attrs.operstate === OPER.UNKNOWN),
    attrs,
  };
}

function quote(name: string | undefined): string {
  return JSON.stringify(name ?? '');
}

function refText(link: LinkRef): string {
  return 'name' in link ? quote(link.name) : `with index ${link.index}`;
}

function refWord(link: LinkRef): string {
  return 'name' in link ? link.name : `if${link.index}`;
}

/** The attributes in the words of `ip link`: `mtu 1500 type bridge stp_state 0`. */
function words(attrs: LinkAttrs): string {
  const { linkinfo, ...plain } = attrs;
  const base = Object.entries(plain).filter(([name]) => !UNSPOKEN.has(name));
  const kind = linkinfo?.kind === undefined ? [] : [`type ${linkinfo.kind}`];
  const slave = linkinfo?.slaveKind === undefined ? [] : [`type ${linkinfo.slaveKind}_slave`];
  return [
    ...base.map(word),
    ...kind,
    ...Object.entries(linkinfo?.data ?? {}).map(linkinfo?.kind === 'vxlan' ? tunnelWord : word),
    ...slave,
    ...Object.entries(linkinfo?.slaveData ?? {}).map(portWord),
  ].join(' ');
}

/** Attributes that `ip link` expresses in another way or not at all. */
const UNSPOKEN: ReadonlySet<string> = new Set(['name', 'other', 'afSpec', 'extMask']);

/** Where the kernel's name of an attribute is not the word of `ip link`. */
const WORDS: Readonly<Record<string, string>> = {
  netnsPid: 'netns',
  numTxQueues: 'numtxqueues',
  numRxQueues: 'numrxqueues',
};

function word([name, value]: [string, unknown]): string {
  if (name === 'netnsFd') return `netns /proc/self/fd/${value}`;
  if (name === 'master' && value === 0) return 'nomaster';
  if (name === 'master' || name === 'link') return `${name} if${value}`;
  if (name === 'peer')
    return `peer ${words((value as { attrs: LinkAttrs }).attrs)} name ${(value as { attrs: LinkAttrs }).attrs.name}`;
  if (name === 'alias') return `alias ${quote(String(value))}`;
  if (typeof value === 'boolean') return `${name} ${value ? 1 : 0}`;
  return `${WORDS[name] ?? name} ${value}`;
}

/** Port options are switched with words, bridge options with numbers. */
function portWord([name, value]: [string, unknown]): string {
  return typeof value === 'boolean' ? `${name} ${value ? 'on' : 'off'}` : word([name, value]);
}

/** Tunnel options are switched with a word of their own (`noX` for off), and both families share a word. */
function tunnelWord([name, value]: [string, unknown]): string {
  if (typeof value === 'boolean') return value ? name : `no${name}`;
  if (name === 'dev') return `dev if${value}`;
  return `${name === 'local6' || name === 'remote6' ? name.slice(0, -1) : name} ${value}`;
}

function flagWords(flags: LinkFlags): string {
  const onOff = (name: 'promisc' | 'allmulti' | 'arp', word: string = name) =>
    flags[name] === undefined ? [] : [`${word} ${flags[name] ? 'on' : 'off'}`];
  const up = flags.up === undefined ? [] : [flags.up ? 'up' : 'down'];
  return [...up, ...onOff('promisc'), ...onOff('allmulti', 'allmulticast'), ...onOff('arp')].join(' ');
}
