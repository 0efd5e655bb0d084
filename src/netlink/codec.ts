/**
 * Codecs of attribute payloads. Width and byte order live in the codec's name, never at the call.
 * The kernel's names for them are in include/net/netlink.h (NLA_U8 … NLA_BINARY).
 */
import { ERRNO, systemError } from '../ffi/errno.ts';
import { Ip } from '../net/ip.ts';
import { type Mac, macBytes, macOf } from '../net/mac.ts';
import type { Writer } from './writer.ts';

/**
 * How a value becomes bytes and back. Methods, not properties: a Codec<number> must pass for a Codec<unknown> in a
 * table.
 */
export interface Codec<T> {
  readonly name: string;
  /** The exact length of the payload in bytes, where there is one. */
  readonly size?: number;
  /** The lengths that it may have, where there are several. */
  readonly sizes?: readonly number[];
  /** The attribute carries NLA_F_NESTED. */
  readonly isNested?: boolean;
  write(out: Writer, value: T): void;
  /** @param view exactly the payload, of a length that `size` or `sizes` allow */
  read(view: DataView): T;
  /**
   * For a number: as read(), without a view for each field. A dump of thousands of messages has ten times as many
   * fields.
   */
  readAt?(view: DataView, at: number): T;
  /** For a nest: the name of the attribute at an offset of its payload. */
  nameAt?(view: DataView, offset: number): string | undefined;
}

export const u8: Codec<number> = {
  name: 'u8',
  size: 1,
  write: (out, value) => out.u8(value),
  read: (view) => view.getUint8(0),
  readAt: (view, at) => view.getUint8(at),
};

export const u16: Codec<number> = {
  name: 'u16',
  size: 2,
  write: (out, value) => out.u16(value),
  read: (view) => view.getUint16(0, true),
  readAt: (view, at) => view.getUint16(at, true),
};

export const u32: Codec<number> = {
  name: 'u32',
  size: 4,
  write: (out, value) => out.u32(value),
  read: (view) => view.getUint32(0, true),
  readAt: (view, at) => view.getUint32(at, true),
};

export const s32: Codec<number> = {
  name: 's32',
  size: 4,
  write: (out, value) => out.u32(value >>> 0),
  read: (view) => view.getInt32(0, true),
  readAt: (view, at) => view.getInt32(at, true),
};

export const u64: Codec<bigint> = {
  name: 'u64',
  size: 8,
  write: (out, value) => out.u64(value),
  read: (view) => view.getBigUint64(0, true),
};

export const be16: Codec<number> = {
  name: 'be16',
  size: 2,
  write: (out, value) => out.be16(value),
  read: (view) => view.getUint16(0),
  readAt: (view, at) => view.getUint16(at),
};

export const be32: Codec<number> = {
  name: 'be32',
  size: 4,
  write: (out, value) => out.be32(value),
  read: (view) => view.getUint32(0),
  readAt: (view, at) => view.getUint32(at),
};

export const be64: Codec<bigint> = {
  name: 'be64',
  size: 8,
  write: (out, value) => out.be64(value),
  read: (view) => view.getBigUint64(0),
};

/** A boolean as a byte: 0 or 1. */
export const flag8: Codec<boolean> = {
  name: 'flag8',
  size: 1,
  write: (out, value) => out.u8(value ? 1 : 0),
  read: (view) => view.getUint8(0) !== 0,
};

/** A number whose values have names, such as a mode. A value without a name is read as its digits. */
export function named(codec: Codec<number>, values: Readonly<Record<string, number>>): Codec<string> {
  const { name, size = 0 } = codec;
  return {
    name: `named ${name}`,
    size,
    write: (out, word) => codec.write(out, values[word] ?? Number(word)),
    read: (view) => {
      const value = codec.read(view);
      for (const word in values) if (values[word] === value) return word;
      return `${value}`;
    },
  };
}

/** NLA_FLAG: an empty attribute that is there or not. Only `true` can be written. */
export const flag: Codec<true> = {
  name: 'flag',
  size: 0,
  write: () => {},
  read: () => true,
};

const encoder = new TextEncoder();
/** NB: a name may begin with the three bytes of a byte order mark, and keeps them. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * NLA_NUL_STRING: text with a closing NUL, which some senders omit. Text with a NUL inside is refused: the kernel would
 * see a shorter one.
 */
export const str: Codec<string> = {
  name: 'str',
  write: (out, value) => {
    if (value.includes('\0'))
      throw systemError(ERRNO.EINVAL, `pass ${JSON.stringify(value)} to the kernel, it has a NUL byte`);
    out.raw(encoder.encode(value));
    out.u8(0);
  },
  read: (view) => {
    const bytes = bytesOf(view);
    const end = bytes.indexOf(0);
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
};

export const bytes: Codec<Uint8Array> = {
  name: 'bytes',
  write: (out, value) => out.raw(value),
  read: (view) => bytesOf(view).slice(),
};

/**
 * A link layer address of six bytes. Links without one (lo, tunnels) have addresses of other lengths, which are read as
 * bytes in the same notation.
 */
export const mac: Codec<Mac> = {
  name: 'mac',
  write: (out, value) => out.raw(macBytes(value)),
  read: (view) => macOf(bytesOf(view)),
};

/** An address of either family; its length says which. */
export const ip: Codec<Ip> = {
  name: 'ip',
  sizes: [4, 16],
  write: (out, value) => out.raw(value.bytes),
  read: (view) => Ip.of(bytesOf(view)),
};

export const ip4: Codec<Ip> = { ...ip, name: 'ip4', size: 4 };

export const ip6: Codec<Ip> = { ...ip, name: 'ip6', size: 16 };

/** The bytes that a view spans, not copied. */
export function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
