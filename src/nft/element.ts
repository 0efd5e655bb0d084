/** Elements of sets and maps: NFT_MSG_*SETELEM with NFTA_SET_ELEM_*. linux/netfilter/nf_tables.h, nft(8) "ELEMENTS". */
import { ERRNO } from '../ffi/errno.ts';
import { type Attrs, type AttrTable, list as listCodec, nest } from '../netlink/attribute.ts';
import { be32, str } from '../netlink/codec.ts';
import { type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { data, type NftData, type Verdict, verdictData, verdictOf, verdictText } from './data.ts';
import type { DataType } from './datatype.ts';
import { NFPROTO, NFT_MSG, nfgenmsg } from './message.ts';
import { type NftSet, setNoun, setText } from './set.ts';
import { type Table, tableText } from './table.ts';
import { commentText, nftCommand } from './text.ts';
import { commentData, userdata } from './userdata.ts';

/** NFT_SET_ELEM_INTERVAL_END */
const INTERVAL_END = 1;

/** An attribute has at most 65535 bytes, and all elements of a message are in one attribute. */
const LIST_BYTES = 60_000;
const OVERHEAD = 48;

/** NFTA_SET_ELEM_*. */
const elementAttrs = {
  key: [1, data], // NFTA_SET_ELEM_KEY
  data: [2, data], // NFTA_SET_ELEM_DATA
  flags: [3, be32], // NFTA_SET_ELEM_FLAGS
  userdata: [6, userdata(commentData)], // NFTA_SET_ELEM_USERDATA
  keyEnd: [10, data], // NFTA_SET_ELEM_KEY_END
} as const satisfies AttrTable;

type ElementAttrs = Attrs<typeof elementAttrs>;

/** NFTA_SET_ELEM_LIST_*. */
const attrs = {
  table: [1, str], // NFTA_SET_ELEM_LIST_TABLE
  set: [2, str], // NFTA_SET_ELEM_LIST_SET
  elements: [3, listCodec(1, nest(elementAttrs))], // NFTA_SET_ELEM_LIST_ELEMENTS of NFTA_LIST_ELEM
} as const satisfies AttrTable;

export const elementKind = { name: 'element', header: nfgenmsg, attrs } as const satisfies MessageKind;

interface Bounds<K> {
  readonly key: K;
  readonly last?: K;
}

/** An element; in a map, with its data. With `last` the key is a range, in a concatenation a range in each field. */
export type Element<K, D> = {
  readonly key: K;
  readonly last?: K;
  readonly comment?: string;
} & ([D] extends [never] ? unknown : { readonly data: D });

/** An element as read back. */
export interface ElementState<K, D> {
  readonly key: K;
  readonly last: K | undefined;
  readonly data: D | undefined;
  readonly comment: string | undefined;
}

/**
 * Adds an element. If it exists with the same data, nothing changes, not even its comment. If it exists with other
 * data, the kernel refuses.
 * Equivalent to: `nft 'add element inet netloom web { 10.1.0.2 }'`
 */
export function add<K, D = never>(set: NftSet<K, D>, element: Element<K, D>): Request {
  return newElements(set, [element], 'add', NLM_F.CREATE);
}

/** Adds an element that must not exist. Equivalent to: `nft 'create element …'` */
export function create<K, D = never>(set: NftSet<K, D>, element: Element<K, D>): Request {
  return newElements(set, [element], 'create', NLM_F.CREATE | NLM_F.EXCL);
}

/** Like add(), for many elements, in as few messages as possible. */
export function addAll<K, D = never>(set: NftSet<K, D>, elements: readonly Element<K, D>[]): Request[] {
  return chunks(set, elements).map((chunk) => newElements(set, chunk, 'add', NLM_F.CREATE));
}

/** Like create(), for many elements, in as few messages as possible. */
export function createAll<K, D = never>(set: NftSet<K, D>, elements: readonly Element<K, D>[]): Request[] {
  return chunks(set, elements).map((chunk) => newElements(set, chunk, 'create', NLM_F.CREATE | NLM_F.EXCL));
}

/**
 * Deletes an element. The kernel answers ENOENT if it does not exist.
 * Equivalent to: `nft 'delete element inet netloom web { 10.1.0.2 }'`
 */
export function remove<K, D = never>(set: NftSet<K, D>, key: K, last?: K): Request {
  return oldElements(set, [last === undefined ? { key } : { key, last }]);
}

/** Like remove(), for many elements, in as few messages as possible. */
export function removeAll<K, D = never>(set: NftSet<K, D>, keys: readonly K[]): Request[] {
  return chunks(
    set,
    keys.map((key) => ({ key })),
  ).map((chunk) => oldElements(set, chunk));
}

/**
 * The element with a key, or undefined if there is none.
 * Equivalent to: `nft 'get element inet netloom web { 10.1.0.2 }'`
 */
export function get<K, D = never>(nft: NetlinkSocket, set: NftSet<K, D>, key: K): ElementState<K, D> | undefined {
  const wanted = request(
    elementKind,
    NFT_MSG.GETSETELEM,
    0,
    { family: NFPROTO[set.table.family] },
    { table: set.table.name, set: set.name, elements: [{ key: { value: set.key.encode(key) } }] },
    texts('get', set, set.key.text(key)),
  );
  const found = nft.find(wanted, ERRNO.ENOENT)?.attrs.elements?.[0];
  return found && stateOf(set, found);
}

/** All elements of a set. Equivalent to: `nft 'list set inet netloom web'` */
export function list<K, D = never>(nft: NetlinkSocket, set: NftSet<K, D>): ElementState<K, D>[] {
  const wanted = request(
    elementKind,
    NFT_MSG.GETSETELEM,
    0,
    { family: NFPROTO[set.table.family] },
    { table: set.table.name, set: set.name },
    {
      action: () => `list the elements of "${setText(set)}"`,
      command: () => nftCommand(`list ${setNoun(set)} ${setText(set)}`),
    },
  );
  const elements = nft.dump(wanted).flatMap((answer) => answer.attrs.elements ?? []);
  return set.interval === true && set.key.fields === undefined
    ? pairs(set, elements)
    : elements.map((each) => stateOf(set, each));
}

/** Whether a set of any type has at least one element. */
export function hasAny(nft: NetlinkSocket, table: Table, name: string): boolean {
  const wanted = request(
    elementKind,
    NFT_MSG.GETSETELEM,
    0,
    { family: NFPROTO[table.family] },
    { table: table.name, set: name },
    {
      action: () => `list the elements of "${tableText(table)} ${name}"`,
      command: () => nftCommand(`list set ${tableText(table)} ${name}`),
    },
  );
  return nft.dump(wanted).some((answer) => (answer.attrs.elements ?? []).length > 0);
}

function newElements<K, D>(
  set: NftSet<K, D>,
  elements: readonly Element<K, D>[],
  verb: string,
  flags: number,
): Request {
  return request(
    elementKind,
    NFT_MSG.NEWSETELEM,
    flags,
    { family: NFPROTO[set.table.family] },
    {
      table: set.table.name,
      set: set.name,
      elements: elements.flatMap((element) => keyAttrs(set, element, extrasOf(set, element))),
    },
    {
      action: () => texts(verb, set, elements.map((each) => keyText(set.key, each)).join(', ')).action(),
      command: () => texts(verb, set, elements.map((each) => elementText(set, each)).join(', ')).command(),
    },
  );
}

function oldElements<K, D>(set: NftSet<K, D>, elements: readonly Bounds<K>[]): Request {
  return request(
    elementKind,
    NFT_MSG.DELSETELEM,
    0,
    { family: NFPROTO[set.table.family] },
    { table: set.table.name, set: set.name, elements: elements.flatMap((each) => keyAttrs(set, each)) },
    {
      action: () => texts('delete', set, elements.map((each) => keyText(set.key, each)).join(', ')).action(),
      command: () => texts('delete', set, elements.map((each) => keyText(set.key, each)).join(', ')).command(),
    },
  );
}

/**
 * The kernel's form of a key. A range of a concatenation is one element with two keys; any other range is two elements,
 * its start and its end.
 */
function keyAttrs<K, D>(set: NftSet<K, D>, { key, last }: Bounds<K>, extras: ElementAttrs = {}): ElementAttrs[] {
  const first = set.key.encode(key);
  if (set.interval !== true) return [{ key: { value: first }, ...extras }];
  const end = last === undefined ? first : set.key.encode(last);
  if (set.key.fields !== undefined) return [{ key: { value: first }, keyEnd: { value: end }, ...extras }];
  const behind = successor(end);
  // A range up to the last possible key has no end element.
  const closing = behind && { key: { value: behind }, flags: INTERVAL_END };
  return [{ key: { value: first }, ...extras }, ...(closing === undefined ? [] : [closing])];
}

function extrasOf<K, D>(set: NftSet<K, D>, element: Element<K, D>): ElementAttrs {
  const value = dataOf(set, element);
  return {
    ...(value !== undefined && { data: value }),
    ...(element.comment !== undefined && { userdata: { comment: element.comment } }),
  };
}

function dataOf<K, D>(set: NftSet<K, D>, element: Element<K, D>): NftData | undefined {
  if (set.data === undefined || !('data' in element)) return undefined;
  return set.data === 'verdict'
    ? verdictData(element.data as Verdict)
    : { value: (set.data as DataType<unknown>).encode(element.data) };
}

/** The next key in byte order, or undefined after the last one. */
function successor(bytes: Uint8Array): Uint8Array | undefined {
  const next = bytes.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = ((next[i] ?? 0) + 1) & 0xff;
    next[i] = byte;
    if (byte !== 0) return next;
  }
  return undefined;
}

function predecessor(bytes: Uint8Array): Uint8Array {
  const before = bytes.slice();
  for (let i = before.length - 1; i >= 0; i--) {
    const byte = before[i] ?? 0;
    before[i] = (byte - 1) & 0xff;
    if (byte !== 0) break;
  }
  return before;
}

function stateOf<K, D>(set: NftSet<K, D>, element: ElementAttrs, last?: Uint8Array): ElementState<K, D> {
  const end = last ?? element.keyEnd?.value;
  return {
    key: set.key.decode(element.key?.value ?? new Uint8Array(set.key.size)),
    last: end === undefined ? undefined : set.key.decode(end),
    data: readData(set, element.data),
    comment: element.userdata?.comment,
  };
}

function readData<K, D>(set: NftSet<K, D>, value: NftData | undefined): D | undefined {
  if (value === undefined || set.data === undefined) return undefined;
  if (set.data === 'verdict') return verdictOf(value) as D | undefined;
  return value.value === undefined ? undefined : (set.data as DataType<D>).decode(value.value);
}

/**
 * Builds ranges from their start and end elements. The order in a dump depends on the set's back end, so they are
 * sorted first.
 */
function pairs<K, D>(set: NftSet<K, D>, elements: readonly ElementAttrs[]): ElementState<K, D>[] {
  const sorted = [...elements].sort((a, b) => compareBytes(a.key?.value, b.key?.value) || isEnd(b) - isEnd(a));
  const states: ElementState<K, D>[] = [];
  for (const [i, element] of sorted.entries()) {
    if (isEnd(element) === 1) continue;
    const next = sorted[i + 1]?.key?.value;
    states.push(stateOf(set, element, next === undefined ? new Uint8Array(set.key.size).fill(255) : predecessor(next)));
  }
  return states;
}

function isEnd({ flags = 0 }: ElementAttrs): number {
  return flags & INTERVAL_END;
}

function compareBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  if (a === undefined || b === undefined) return 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function chunks<K, D, E extends Bounds<K> & { readonly comment?: string }>(
  set: NftSet<K, D>,
  elements: readonly E[],
): E[][] {
  const result: E[][] = [];
  let room = 0;
  for (const element of elements) {
    const bytes = 2 * set.key.size + 3 * (element.comment?.length ?? 0) + 3 * OVERHEAD + 128;
    if (bytes > room || result.length === 0) {
      result.push([]);
      room = LIST_BYTES;
    }
    result.at(-1)?.push(element);
    room -= bytes;
  }
  return result;
}

function keyText<K>(type: DataType<K>, { key, last }: Bounds<K>): string {
  return last === undefined ? type.text(key) : type.rangeText(key, last);
}

function elementText<K, D>(set: NftSet<K, D>, element: Element<K, D>): string {
  const text = keyText(set.key, element) + commentText(element.comment);
  if (set.data === undefined || !('data' in element)) return text;
  const value =
    set.data === 'verdict' ? verdictText(element.data as Verdict) : (set.data as DataType<unknown>).text(element.data);
  return `${text} : ${value}`;
}

function texts<K, D>(verb: string, set: NftSet<K, D>, body: string) {
  return {
    action: () => `${verb} the element ${body} of the ${setNoun(set)} "${setText(set)}"`,
    command: () => nftCommand(`${verb} element ${setText(set)} { ${body} }`),
  };
}
