/**
 * Sets, maps and verdict maps: NFT_MSG_*SET with NFTA_SET_*. linux/netfilter/nf_tables.h, nft(8) "SETS" and "MAPS".
 * The kernel itself needs only lengths. It stores the types of key and data as numbers and userdata, for nft to print.
 */
import { type AttrTable, list as listCodec, nest } from '../netlink/attribute.ts';
import { be32, be64, str } from '../netlink/codec.ts';
import { type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { Verdict } from './data.ts';
import type { DataType } from './datatype.ts';
import { NFPROTO, NFT_MSG, nfgenmsg } from './message.ts';
import { type Table, tableText } from './table.ts';
import { nftCommand, quoted } from './text.ts';
import { setData, userdata } from './userdata.ts';

/** NFT_SET_*. */
const FLAGS = { interval: 0x4, map: 0x8, concat: 0x80 } as const;

/** NFT_DATA_VERDICT */
const DATA_VERDICT = 0xffffff00;

/** NFTA_SET_FIELD_*. */
const field = { length: [1, be32] } as const satisfies AttrTable;

/** NFTA_SET_DESC_*. */
const desc = {
  size: [1, be32], // NFTA_SET_DESC_SIZE
  concat: [2, listCodec(1, nest(field))], // NFTA_SET_DESC_CONCAT of NFTA_LIST_ELEM
} as const satisfies AttrTable;

const attrs = {
  table: [1, str], // NFTA_SET_TABLE
  name: [2, str], // NFTA_SET_NAME
  flags: [3, be32], // NFTA_SET_FLAGS
  keyType: [4, be32], // NFTA_SET_KEY_TYPE
  keyLength: [5, be32], // NFTA_SET_KEY_LEN
  dataType: [6, be32], // NFTA_SET_DATA_TYPE
  dataLength: [7, be32], // NFTA_SET_DATA_LEN
  policy: [8, be32], // NFTA_SET_POLICY
  desc: [9, nest(desc)], // NFTA_SET_DESC
  id: [10, be32], // NFTA_SET_ID
  userdata: [13, userdata(setData)], // NFTA_SET_USERDATA
  handle: [16, be64], // NFTA_SET_HANDLE
} as const satisfies AttrTable;

export const setKind = { name: 'set', header: nfgenmsg, attrs } as const satisfies MessageKind;

/** A set; with `data` a map; with the data `verdict` a verdict map. D is `never` for a set. */
export interface NftSet<K, D = never> {
  readonly table: Table;
  readonly name: string;
  readonly key: DataType<K>;
  readonly data?: [D] extends [never] ? never : DataType<D> | ([D] extends [Verdict] ? 'verdict' : never);
  /** Keys may be ranges. With a concatenation, each field may. */
  readonly interval?: boolean;
  /** nft joins neighbouring ranges when it adds to the set. */
  readonly autoMerge?: boolean;
  /** The most elements that the set can have. */
  readonly size?: number;
  readonly comment?: string;
}

/** A set of any key and data. */
export type AnySet = NftSet<unknown> | NftSet<unknown, unknown> | NftSet<unknown, Verdict>;

/**
 * Adds a set or map, or does nothing if it exists in the same form.
 * Equivalent to: `nft 'add map inet netloom web { type ipv4_addr : verdict ; }'`
 */
export function add(set: AnySet): Request {
  return newSet(set, 'add', NLM_F.CREATE);
}

/** Adds a set or map that must not exist. Equivalent to: `nft 'create set …'` */
export function create(set: AnySet): Request {
  return newSet(set, 'create', NLM_F.CREATE | NLM_F.EXCL);
}

/**
 * Deletes a set or map with its elements. The kernel answers EBUSY while a rule looks into it.
 * Equivalent to: `nft 'delete set …'`
 */
export function remove(set: AnySet): Request {
  const header = { family: NFPROTO[set.table.family] };
  return request(
    setKind,
    NFT_MSG.DELSET,
    0,
    header,
    { table: set.table.name, name: set.name },
    texts('delete', set, ''),
  );
}

export interface SetState {
  readonly name: string;
  readonly isMap: boolean;
  readonly comment: string | undefined;
}

/** The sets and maps of a table. Equivalent to: `nft 'list sets'` and `nft 'list maps'`, of one table */
export function list(nft: NetlinkSocket, table: Table): SetState[] {
  const header = { family: NFPROTO[table.family] };
  const wanted = request(
    setKind,
    NFT_MSG.GETSET,
    0,
    header,
    { table: table.name },
    {
      action: () => `list the sets of "${tableText(table)}"`,
      command: () => nftCommand(`list table ${tableText(table)}`),
    },
  );
  return nft.dump(wanted).map((answer) => ({
    name: answer.attrs.name ?? '',
    isMap: ((answer.attrs.flags ?? 0) & FLAGS.map) !== 0,
    comment: answer.attrs.userdata?.comment,
  }));
}

/** A set as nft writes it: `inet netloom web`. */
export function setText(set: AnySet): string {
  return `${tableText(set.table)} ${set.name}`;
}

/** What nft calls it: `set` or `map`. */
export function setNoun(set: AnySet): 'set' | 'map' {
  return set.data === undefined ? 'set' : 'map';
}

function newSet(set: AnySet, verb: string, flags: number): Request {
  return request(
    setKind,
    NFT_MSG.NEWSET,
    flags,
    { family: NFPROTO[set.table.family] },
    {
      table: set.table.name,
      name: set.name,
      flags: flagsOf(set),
      keyType: set.key.id,
      keyLength: set.key.size,
      ...dataAttrs(set.data),
      // The kernel wants a number by which the same batch could refer to the set; we refer to sets by name.
      id: 1,
      ...descAttrs(set),
      userdata: userdataOf(set),
    },
    texts(verb, set, bodyText(set)),
  );
}

function flagsOf(set: AnySet): number {
  const isRanges = set.interval === true;
  return (
    (isRanges ? FLAGS.interval : 0) |
    (set.data === undefined ? 0 : FLAGS.map) |
    (isRanges && set.key.fields !== undefined ? FLAGS.concat : 0)
  );
}

function dataAttrs(data: AnySet['data']) {
  if (data === undefined) return {};
  return data === 'verdict' ? { dataType: DATA_VERDICT, dataLength: 0 } : { dataType: data.id, dataLength: data.size };
}

/** NB: the fields' lengths are those without padding; with them the kernel picks nft_set_pipapo. */
function descAttrs({ size, interval, key }: AnySet) {
  const fields = interval === true ? key.fields : undefined;
  if (size === undefined && fields === undefined) return {};
  return {
    desc: {
      ...(size !== undefined && { size }),
      ...(fields !== undefined && { concat: fields.map((length) => ({ length })) }),
    },
  };
}

function userdataOf({ key, data, autoMerge, comment }: AnySet) {
  return {
    keyOrder: key.order,
    ...(data !== undefined && { dataOrder: data === 'verdict' ? 0 : data.order }),
    ...(autoMerge === true && { merge: 1 }),
    ...(data !== undefined && { dataInterval: 0 }),
    ...(comment !== undefined && { comment }),
  };
}

function bodyText(set: AnySet): string {
  const { key, data, interval, autoMerge, size, comment } = set;
  const dataName = data === undefined ? '' : ` : ${data === 'verdict' ? data : data.name}`;
  const parts = [`type ${key.name}${dataName}`];
  if (interval === true) parts.push('flags interval');
  if (autoMerge === true) parts.push('auto-merge');
  if (size !== undefined) parts.push(`size ${size}`);
  if (comment !== undefined) parts.push(`comment ${quoted(comment)}`);
  return ` { ${parts.join(' ; ')} ; }`;
}

function texts(verb: string, set: AnySet, body: string) {
  return {
    action: () => `${verb} the ${setNoun(set)} "${setText(set)}"`,
    command: () => nftCommand(`${verb} ${setNoun(set)} ${setText(set)}${body}`),
  };
}
