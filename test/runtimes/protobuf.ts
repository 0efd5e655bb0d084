/**
 * The part of Protocol Buffers that CRI needs: non-negative numbers, booleans, strings, messages, lists, and maps of
 * strings. A message is a table like those of src/netlink: `name: [number, codec]`.
 * https://protobuf.dev/programming-guides/encoding/
 */

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * Encodes and decodes the values of a field, each without number and length. An absent field has no values, and reads
 * as the zero of its type.
 */
export interface Codec<In, Out = In> {
  readonly wire: typeof VARINT | typeof BYTES;
  write(value: In): Uint8Array[];
  read(values: readonly Uint8Array[]): Out;
}

// biome-ignore lint/suspicious/noExplicitAny: a table has codecs of any type
export type Table = Readonly<Record<string, readonly [number: number, codec: Codec<any>]>>;
/** What is written: any field may be left out. */
export type Written<T extends Table> = {
  readonly [K in keyof T]?: T[K][1] extends Codec<infer In, unknown> ? In : never;
};
/** What is read: it has all fields. */
export type Read<T extends Table> = { readonly [K in keyof T]: ReturnType<T[K][1]['read']> };

export const text: Codec<string> = {
  wire: BYTES,
  write: (value) => [Buffer.from(value)],
  read: (values) => Buffer.from(values.at(-1) ?? []).toString(),
};

/** Up to 2^53. */
export const int: Codec<number> = {
  wire: VARINT,
  write: (value) => [varint(value)],
  read: (values) => readVarint(values.at(-1) ?? Uint8Array.of(0), 0).value,
};

export const bool: Codec<boolean> = {
  wire: VARINT,
  write: (value) => int.write(Number(value)),
  read: (values) => int.read(values) !== 0,
};

export function list<In, Out>(codec: Codec<In, Out>): Codec<readonly In[], readonly Out[]> {
  return {
    wire: codec.wire,
    write: (values) => values.flatMap((value) => codec.write(value)),
    read: (values) => values.map((value) => codec.read([value])),
  };
}

export function message<T extends Table>(table: T): Codec<Written<T>, Read<T>> {
  return {
    wire: BYTES,
    write(value) {
      const parts: Uint8Array[] = [];
      for (const [name, [number, codec]] of Object.entries(table)) {
        if (value[name] === undefined) continue;
        for (const one of codec.write(value[name])) {
          parts.push(varint(number * 8 + codec.wire));
          if (codec.wire === BYTES) parts.push(varint(one.length));
          parts.push(one);
        }
      }
      return [Buffer.concat(parts)];
    },
    read(values) {
      const fields = readFields(values.at(-1) ?? new Uint8Array());
      const read = Object.entries(table).map(([name, [number, codec]]) => [name, codec.read(fields.get(number) ?? [])]);
      return Object.fromEntries(read) as Read<T>;
    },
  };
}

const entries = list(message({ key: [1, text], value: [2, text] }));
/** map<string, string> */
export const texts: Codec<Readonly<Record<string, string>>> = {
  wire: entries.wire,
  write: (record) => entries.write(Object.entries(record).map(([key, value]) => ({ key, value }))),
  read: (values) => Object.fromEntries(entries.read(values).map(({ key, value }) => [key, value])),
};

/** All fields of a message by number, including those that a table does not have. */
function readFields(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const fields = new Map<number, Uint8Array[]>();
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    let [start, wire] = [tag.end, tag.value % 8];
    let end = start;
    if (wire === VARINT) end = readVarint(bytes, start).end;
    else if (wire === FIXED64) end += 8;
    else if (wire === FIXED32) end += 4;
    else if (wire === BYTES) {
      const length = readVarint(bytes, start);
      start = length.end;
      end = start + length.value;
    } else throw new Error(`Cannot read a message: wire type ${wire} at ${at}`);
    if (end > bytes.length) throw new Error(`Cannot read a message: it ends within the field at ${at}`);
    const number = Math.floor(tag.value / 8);
    fields.set(number, [...(fields.get(number) ?? []), bytes.subarray(start, end)]);
    at = end;
  }
  return fields;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

/** Seven bits per byte, the least significant first. The last byte has the eighth bit clear. */
function readVarint(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte % 128) * 2 ** (7 * (at - start));
    if (byte < 128) return { value, end: at + 1 };
  }
  throw new Error(`Cannot read a message: it ends within a number at ${start}`);
}
