/**
 * IP addresses. RFC 4291 (text of IPv6), RFC 5952 (its canonical form), inet_pton(3) for the accepted input.
 *
 * Why not the ip-address package: loading it costs 2 ms, more than the whole kernel work of an ADD. It is the oracle in
 * the tests instead.
 */
import { NetloomError } from '../error.ts';

export type Family = 4 | 6;

export const FAMILIES: readonly Family[] = [4, 6];

/** An address: 4 or 16 bytes in network order. Immutable. */
export class Ip {
  readonly family: Family;
  /** NB: shared, never written to. */
  readonly bytes: Uint8Array;
  #text: string | undefined;

  private constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 4 : 6;
    this.bytes = bytes;
  }

  /** An address from its 4 or 16 bytes, which are copied. */
  static of(bytes: Uint8Array): Ip {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new NetloomError('invalid-address', `Cannot read an address from ${bytes.length} bytes, it has 4 or 16`);
    }
    return new Ip(bytes.slice());
  }

  /** @throws NetloomError invalid-address */
  static parse(text: string): Ip {
    const ip = Ip.tryParse(text);
    if (ip === undefined) {
      throw new NetloomError('invalid-address', `${JSON.stringify(text)} is not an IP address`);
    }
    return ip;
  }

  /**
   * As parse(), but undefined where the text is not an address. An IPv4-mapped address (`::ffff:10.0.0.1`) is read as
   * the IPv4 address it means.
   */
  static tryParse(text: string): Ip | undefined {
    const bytes = text.includes(':') ? parse6(text) : parse4(text);
    if (bytes === undefined) return undefined;
    return new Ip(bytes.length === 16 && isMapped(bytes) ? bytes.slice(12) : bytes);
  }

  /** The unspecified address: `0.0.0.0` or `::`. */
  static unspecified(family: Family): Ip {
    return new Ip(new Uint8Array(family === 4 ? 4 : 16));
  }

  static fromBigInt(family: Family, value: bigint): Ip {
    const bytes = new Uint8Array(family === 4 ? 4 : 16);
    let rest = value;
    for (let i = bytes.length - 1; i >= 0; i--) {
      bytes[i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    if (rest !== 0n) throw new NetloomError('invalid-address', `Cannot make an IPv${family} address of ${value}`);
    return new Ip(bytes);
  }

  toBigInt(): bigint {
    const [a = 0, b = 0, c = 0, d = 0] = this.bytes;
    if (this.family === 4) return BigInt(((a << 24) | (b << 16) | (c << 8) | d) >>> 0);
    let value = 0n;
    for (const byte of this.bytes) value = (value << 8n) | BigInt(byte);
    return value;
  }

  /**
   * The address `count` further on (or back).
   * @throws NetloomError invalid-address past either end of the family's space
   */
  plus(count: bigint): Ip {
    return Ip.fromBigInt(this.family, this.toBigInt() + count);
  }

  equals(other: Ip): boolean {
    return this.bytes.length === other.bytes.length && this.compare(other) === 0;
  }

  /** Negative, zero or positive, as for sort(); every IPv4 address comes before every IPv6 address. */
  compare(other: Ip): number {
    if (this.family !== other.family) return this.family - other.family;
    for (let i = 0; i < this.bytes.length; i++) {
      const difference = (this.bytes[i] ?? 0) - (other.bytes[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  isMulticast(): boolean {
    const first = this.bytes[0] ?? 0;
    return this.family === 4 ? first >= 224 && first <= 239 : first === 0xff;
  }

  /** The canonical text: dotted quad, or RFC 5952. */
  toString(): string {
    this.#text ??= this.family === 4 ? this.bytes.join('.') : format6(this.bytes);
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** Bits of an address: 32 or 128. */
export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

function parse4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const byte = decimal(parts[i] ?? '');
    if (byte === undefined || byte > 255) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

/**
 * A number of one to three decimal digits, without leading zeros: some parsers read 010 as 8. NB: not a regular
 * expression. The first one of a process costs 0.05 ms.
 */
export function decimal(text: string): number | undefined {
  if (text.length === 0 || text.length > 3 || (text.length > 1 && text.startsWith('0'))) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

function parse6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const count = head.length + tail.length;
  // `::` stands for at least one group of zeros.
  if (halves.length === 2 ? count > 7 : count !== 8) return undefined;
  const bytes = new Uint8Array(16);
  const write = (group: number, at: number) => {
    bytes[at * 2] = group >> 8;
    bytes[at * 2 + 1] = group & 0xff;
  };
  head.forEach(write);
  tail.forEach((group, i) => {
    write(group, 8 - tail.length + i);
  });
  return bytes;
}

/** The 16-bit groups of one side of `::`; a dotted quad may stand for the last two of the whole address. */
function groups(side: string, isLast: boolean): number[] | undefined {
  if (side === '') return [];
  const result: number[] = [];
  const parts = side.split(':');
  for (const [i, part] of parts.entries()) {
    if (isLast && i === parts.length - 1 && part.includes('.')) {
      const quad = parse4(part);
      if (quad === undefined) return undefined;
      const [a = 0, b = 0, c = 0, d = 0] = quad;
      result.push((a << 8) | b, (c << 8) | d);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      result.push(Number.parseInt(part, 16));
    }
  }
  return result;
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

function format6(bytes: Uint8Array): string {
  const parts: number[] = [];
  for (let i = 0; i < 16; i += 2) parts.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  const { start, length } = longestZeros(parts);
  const text = (from: number, to: number) =>
    parts
      .slice(from, to)
      .map((part) => part.toString(16))
      .join(':');
  return length < 2 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}

/** The first longest run of zero groups, which RFC 5952 writes as `::`. */
function longestZeros(parts: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < parts.length; ) {
    let end = start;
    while (end < parts.length && parts[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
    start = end + 1;
  }
  return best;
}
