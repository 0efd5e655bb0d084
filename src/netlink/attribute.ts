/**
 * Attribute tables: the types, the encoder, the decoder and what `explain` prints all come from one list of
 * `name: [number, codec]`. Layout: struct nlattr of linux/netlink.h (u16 length with header, u16 type, payload, padding
 * to 4).
 */
import { NetloomError } from '../error.ts';
import { bytesOf, type Codec } from './codec.ts';
import type { Writer } from './writer.ts';

const HEADER = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

/** The attributes of a message or of a nest, by the names that we give them. */
export type AttrTable = Readonly<Record<string, readonly [type: number, codec: Codec<unknown>]>>;

/** An attribute that the table does not know, kept as it came. */
export interface OtherAttr {
  readonly type: number;
  readonly payload: Uint8Array;
}

type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** The values of a table's attributes. Each may be missing; what the table does not know is in `other`. */
export type Attrs<T extends AttrTable> = { readonly [K in keyof T]?: ValueOf<T[K][1]> } & {
  readonly other?: readonly OtherAttr[];
};

/** Writes the attributes that have a value, in the order of the object (some of the kernel's nests depend on it). */
export function writeAttrs<T extends AttrTable>(out: Writer, table: T, attrs: Attrs<T>): void {
  for (const name in attrs) {
    const value: unknown = attrs[name];
    if (value === undefined) continue;
    const entry = table[name];
    if (entry !== undefined) {
      writeAttr(out, entry[0], entry[1], value);
    } else if (name === 'other') {
      for (const { type, payload } of value as readonly OtherAttr[]) writeRaw(out, type, payload);
    }
  }
}

/** Writes one attribute: header, payload, padding. */
export function writeAttr<T>(out: Writer, type: number, codec: Codec<T>, value: T): void {
  const start = out.length;
  out.u16(0);
  out.u16(codec.isNested === true ? type | NLA_F_NESTED : type);
  codec.write(out, value);
  finish(out, start, codec.name);
}

function writeRaw(out: Writer, type: number, payload: Uint8Array): void {
  const start = out.length;
  out.u16(0);
  out.u16(type);
  out.raw(payload);
  finish(out, start, 'other');
}

function finish(out: Writer, start: number, name: string): void {
  const length = out.length - start;
  if (length > 0xffff) {
    throw new NetloomError('too-long', `Cannot write an attribute (${name}) of ${length} bytes, at most 65535 fit`);
  }
  out.patch16(start, length);
  out.align();
}

/** Reads attributes. Unknown ones are kept in `other`; if one comes twice, the last one wins, as in the kernel. */
export function readAttrs<T extends AttrTable>(table: T, view: DataView): Attrs<T> {
  const names = namesOf(table);
  const attrs: Record<string, unknown> = {};
  let hasOther = false;
  for (let at = 0; at + HEADER <= view.byteLength; ) {
    const length = view.getUint16(at, true);
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    checkLength(view, at, length, type, names);
    const name = names.get(type);
    const codec = name === undefined ? undefined : table[name]?.[1];
    if (name === undefined || codec === undefined) hasOther = true;
    else attrs[name] = readValue(name, type, codec, payloadAt(view, at, length), at);
    at += (length + 3) & ~3;
  }
  if (hasOther) lazily(attrs, 'other', () => othersOf(view, names));
  return attrs as Attrs<T>;
}

/**
 * A property that is computed on first access. A link has sixty attributes, and most callers read five: decoding the
 * rest would cost a process that has just started half a millisecond. NB: the bytes must not change meanwhile, so the
 * socket hands out copies.
 */
export function lazily<T>(target: object, name: string, work: () => T): void {
  let value: { readonly is: T } | undefined;
  Object.defineProperty(target, name, {
    enumerable: true,
    configurable: true,
    get() {
      value ??= { is: work() };
      return value.is;
    },
  });
}

function othersOf(view: DataView, names: ReadonlyMap<number, string>): OtherAttr[] {
  const others: OtherAttr[] = [];
  forEachAttr(view, (type, payload) => {
    if (!names.has(type)) others.push({ type, payload: bytesOf(payload).slice() });
  });
  return others;
}

/** Reads one value. NB: the only path to a codec's read(), which relies on this length check. */
function readValue<T>(name: string, type: number, codec: Codec<T>, payload: DataView, offset: number): T {
  const length = payload.byteLength;
  const fits = codec.size === undefined ? (codec.sizes?.includes(length) ?? true) : codec.size === length;
  if (!fits) {
    const expected = codec.size ?? codec.sizes?.join(' or ');
    throw malformed(
      `attribute "${name}" (${type}, ${codec.name}) has ${length} bytes at offset ${offset}, expected ${expected}`,
    );
  }
  return codec.read(payload);
}

/**
 * Calls back for each attribute. Offsets count from the first attribute of the same list. Up to three bytes after the
 * last one are padding.
 * @param names of the attributes, for error messages
 * @throws NetloomError malformed-message where an attribute runs past the end of its message
 */
export function forEachAttr(
  view: DataView,
  each: (type: number, payload: DataView, offset: number) => void,
  names?: ReadonlyMap<number, string>,
): void {
  let at = 0;
  while (at + HEADER <= view.byteLength) {
    const length = view.getUint16(at, true);
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    checkLength(view, at, length, type, names);
    each(type, payloadAt(view, at, length), at);
    at += (length + 3) & ~3;
  }
}

function checkLength(
  view: DataView,
  at: number,
  length: number,
  type: number,
  names?: ReadonlyMap<number, string>,
): void {
  if (length >= HEADER && at + length <= view.byteLength) return;
  const name = names?.get(type);
  const which = name === undefined ? type : `"${name}" (${type})`;
  throw malformed(
    `attribute ${which} at offset ${at} says that it has ${length} bytes with its header, ${view.byteLength - at} are left`,
  );
}

function payloadAt(view: DataView, at: number, length: number): DataView {
  return new DataView(view.buffer, view.byteOffset + at + HEADER, length - HEADER);
}

/** A nest: attributes within an attribute. */
export function nest<T extends AttrTable>(table: T): Codec<Attrs<T>> {
  return {
    name: 'nest',
    isNested: true,
    write: (out, value) => writeAttrs(out, table, value),
    read: (view) => readAttrs(table, view),
    nameAt: (view, offset) => attrNameAt(table, view, offset),
  };
}

/**
 * A list: a nest whose attributes all have one type (the kernel's NLA_NESTED_ARRAY with NFTA_LIST_ELEM and its like).
 */
export function list<T>(type: number, codec: Codec<T>): Codec<readonly T[]> {
  return {
    name: 'list',
    isNested: true,
    write: (out, values) => {
      for (const value of values) writeAttr(out, type, codec, value);
    },
    read: (view) => {
      const values: T[] = [];
      forEachAttr(view, (type, payload, offset) => {
        values.push(readValue('list', type, codec, payload, offset));
      });
      return values;
    },
  };
}

/** The name of the attribute at an offset, outermost first: `metrics.mtu`. For the kernel's NLMSGERR_ATTR_OFFS. */
export function attrNameAt(table: AttrTable, view: DataView, offset: number): string | undefined {
  let found: string | undefined;
  forEachAttr(view, (type, payload, at) => {
    if (offset < at || offset >= at + HEADER + payload.byteLength) return;
    const name = namesOf(table).get(type);
    const inner = name === undefined ? undefined : table[name]?.[1].nameAt?.(payload, offset - at - HEADER);
    found = inner === undefined ? (name ?? `${type}`) : `${name}.${inner}`;
  });
  return found;
}

/** The name of an attribute by its number, for the kernel's NLMSGERR_ATTR_MISS_TYPE. */
export function attrName(table: AttrTable, type: number): string {
  return namesOf(table).get(type) ?? `${type}`;
}

/** A memo, not state: tables are constants, and a dump reads thousands of messages with the same one. */
const namesByTable = new WeakMap<AttrTable, ReadonlyMap<number, string>>();

function namesOf(table: AttrTable): ReadonlyMap<number, string> {
  const known = namesByTable.get(table);
  if (known !== undefined) return known;
  const names = new Map<number, string>();
  for (const name in table) names.set(table[name]?.[0] ?? -1, name);
  namesByTable.set(table, names);
  return names;
}

/** The error for bytes that are not a valid message. */
export function malformed(what: string): NetloomError {
  return new NetloomError('malformed-message', `Cannot read a netlink message: ${what}`);
}
