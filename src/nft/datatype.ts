/**
 * Types of keys and of data: how a value is encoded as the bytes that the kernel compares, and how nft writes it. The
 * kernel stores the types' numbers without reading them; nft needs them to print sets. nftables, include/datatype.h
 * ("enum datatypes").
 */
import { NetloomError } from '../error.ts';
import { Ip } from '../net/ip.ts';
import { type Mac, macBytes, macOf } from '../net/mac.ts';

/** None, host byte order, or big endian as in packets. The numbers of nft's "enum byteorder". */
const BYTE_ORDER = { none: 0, host: 1, big: 2 } as const;

/** A type. It has methods, not properties, so that a DataType<number> is assignable to a DataType<unknown>. */
export interface DataType<T> {
  readonly name: string;
  readonly id: number;
  /** Bytes, without padding. */
  readonly size: number;
  readonly order: number;
  /** The sizes of the fields of a concatenation. */
  readonly fields?: readonly number[];
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
  text(value: T): string;
  /** A range as nft writes it. */
  rangeText(first: T, last: T): string;
}

/** The number of a concatenation has six bits for each of its types, as in nft. */
const TYPE_BITS = 6;

export const ipv4Addr: DataType<Ip> = address('ipv4_addr', 7, 4);
export const ipv6Addr: DataType<Ip> = address('ipv6_addr', 8, 16);

export const etherAddr: DataType<Mac> = simple({
  name: 'ether_addr',
  id: 9,
  size: 6,
  order: BYTE_ORDER.big,
  encode: macBytes,
  decode: macOf,
  text: String,
});

export const inetService: DataType<number> = integer('inet_service', 13, 2, 'big', String);
export const mark: DataType<number> = integer('mark', 19, 4, 'host', hex);
/** An interface by its index. */
export const ifaceIndex: DataType<number> = integer('iface_index', 20, 4, 'host', String);
/** A plain number in host byte order, such as numgen's. */
export const integer32: DataType<number> = integer('integer', 4, 4, 'host', String);

export const inetProto = words('inet_proto', 12, 1, { icmp: 1, tcp: 6, udp: 17, 'ipv6-icmp': 58, sctp: 132 });
export const nfProto = words('nf_proto', 2, 1, { ipv4: 2, ipv6: 10 });
export const pktType = words('pkt_type', 31, 1, { host: 0, broadcast: 1, multicast: 2, other: 3 });
export const ctDir = words('ct_dir', 27, 1, { original: 0, reply: 1 });
export const fibAddrType = words('fib_addrtype', 38, 4, { unicast: 1, local: 2, broadcast: 3, multicast: 5 });
/** NF_CT_STATE_BIT(): bits. A packet has one of them. */
export const ctState = words('ct_state', 26, 4, { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 });
/** IPS_*: bits. */
export const ctStatus = words('ct_status', 28, 4, { 'seen-reply': 2, assured: 4, confirmed: 8, snat: 16, dnat: 32 });

/**
 * The name of an interface. In a comparison (match.ts), and only there, a name that ends in `*` matches all names with
 * that prefix.
 */
export const ifname: DataType<string> = simple({
  name: 'ifname',
  id: 41,
  size: 16,
  order: BYTE_ORDER.host,
  encode(value) {
    const text = new TextEncoder().encode(value);
    if (text.length > 15) throw new NetloomError('invalid-value', `${JSON.stringify(value)} is longer than an ifname`);
    const bytes = new Uint8Array(16);
    bytes.set(text);
    return bytes;
  },
  decode: (bytes) => new TextDecoder().decode(bytes.subarray(0, Math.max(bytes.indexOf(0), 0))),
  text: (value) => JSON.stringify(value),
});

/** A concatenation: `ipv4_addr . inet_service`. Each field is padded to four bytes, as registers are. */
export function concat<T extends readonly unknown[]>(
  ...types: { readonly [K in keyof T]: DataType<T[K]> }
): DataType<T> {
  const list: readonly DataType<unknown>[] = types;
  let size = 0;
  let id = 0;
  for (const type of list) {
    size += padded(type.size);
    id = (id << TYPE_BITS) | type.id;
  }
  return {
    name: list.map((type) => type.name).join(' . '),
    id,
    size,
    order: BYTE_ORDER.none,
    fields: list.map((type) => type.size),
    encode(values) {
      const bytes = new Uint8Array(size);
      let at = 0;
      for (const [i, type] of list.entries()) {
        bytes.set(type.encode(values[i]), at);
        at += padded(type.size);
      }
      return bytes;
    },
    decode(bytes) {
      let at = 0;
      const values = list.map((type) => {
        const value = type.decode(bytes.subarray(at, at + type.size));
        at += padded(type.size);
        return value;
      });
      return values as unknown as T;
    },
    text: (values) => list.map((type, i) => type.text(values[i])).join(' . '),
    rangeText: (first, last) => list.map((type, i) => type.rangeText(first[i], last[i])).join(' . '),
  };
}

/** Bytes that a field of `size` bytes takes in registers and keys. */
export function padded(size: number): number {
  return (size + 3) & ~3;
}

function simple<T>(type: Omit<DataType<T>, 'rangeText'>): DataType<T> {
  return {
    ...type,
    rangeText(first, last) {
      const [from, to] = [type.text(first), type.text(last)];
      return from === to ? from : `${from}-${to}`;
    },
  };
}

function address(name: string, id: number, size: 4 | 16): DataType<Ip> {
  return simple({
    name,
    id,
    size,
    order: BYTE_ORDER.big,
    encode(value) {
      if (value.bytes.length !== size) throw new NetloomError('invalid-value', `"${value}" is not an ${name}`);
      return value.bytes;
    },
    decode: Ip.of,
    text: String,
  });
}

function integer(name: string, id: number, size: 1 | 2 | 4, order: 'big' | 'host', text: (value: number) => string) {
  const shift = (i: number) => 8 * (order === 'big' ? size - 1 - i : i);
  return simple<number>({
    name,
    id,
    size,
    order: BYTE_ORDER[order],
    encode(value) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
        throw new NetloomError('invalid-value', `${value} is not an ${name} of ${size} bytes`);
      }
      const bytes = new Uint8Array(size);
      for (let i = 0; i < size; i++) bytes[i] = value >>> shift(i);
      return bytes;
    },
    decode: (bytes) => bytes.reduce((sum, byte, i) => sum + byte * 2 ** shift(i), 0),
    text,
  });
}

/** Numbers that have names; single bits as well. For several bits see has() in match.ts. */
function words<W extends string>(name: string, id: number, size: 1 | 4, numbers: Readonly<Record<W, number>>) {
  const base = integer(name, id, size, 'host', String);
  const names = new Map<number, W>();
  for (const word in numbers) names.set(numbers[word], word);
  return {
    ...simple<W | number>({
      ...base,
      encode: (value) => base.encode(typeof value === 'number' ? value : numbers[value]),
      decode(bytes) {
        const number = base.decode(bytes);
        return names.get(number) ?? number;
      },
      text: String,
    }),
    numbers,
  };
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
