/** Prefixes and addresses with a prefix, in the notation of RFC 4632: `10.1.0.2/24`. */
import { NetloomError } from '../error.ts';
import { bitsOf, decimal, type Family, Ip } from './ip.ts';

/**
 * An address and the length of its prefix. The address may have host bits: an interface's address, or a subnet.
 * Immutable.
 */
export class Cidr {
  readonly ip: Ip;
  /** 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefix: number;

  constructor(ip: Ip, prefix: number) {
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > bitsOf(ip.family)) {
      throw new NetloomError('invalid-address', `${prefix} is not the length of an IPv${ip.family} prefix`);
    }
    this.ip = ip;
    this.prefix = prefix;
  }

  /** The prefix of all addresses, the destination of a default route: `0.0.0.0/0` or `::/0`. */
  static everything(family: Family): Cidr {
    return new Cidr(Ip.unspecified(family), 0);
  }

  /** The prefix of one address: `/32` or `/128`. */
  static alone(ip: Ip): Cidr {
    return new Cidr(ip, bitsOf(ip.family));
  }

  /** @throws NetloomError invalid-address */
  static parse(text: string): Cidr {
    const cidr = Cidr.tryParse(text);
    if (cidr === undefined) {
      throw new NetloomError(
        'invalid-address',
        `${JSON.stringify(text)} is not an address with a prefix, such as "10.1.0.2/24"`,
      );
    }
    return cidr;
  }

  static tryParse(text: string): Cidr | undefined {
    const slash = text.indexOf('/');
    if (slash < 0) return undefined;
    const address = text.slice(0, slash);
    const length = text.slice(slash + 1);
    const ip = Ip.tryParse(address);
    const bits = decimal(length);
    if (ip === undefined || bits === undefined) return undefined;
    // An IPv4-mapped address is read as IPv4, so its prefix counts from bit 96.
    const prefix = bits - (ip.family === 4 && address.includes(':') ? 96 : 0);
    return prefix < 0 || prefix > bitsOf(ip.family) ? undefined : new Cidr(ip, prefix);
  }

  get family(): Family {
    return this.ip.family;
  }

  /** The same prefix with the host bits cleared. */
  network(): Cidr {
    return new Cidr(this.first(), this.prefix);
  }

  /** The first address, all host bits zero. */
  first(): Ip {
    if (!this.hasHostBits()) return this.ip;
    const bytes = this.ip.bytes.slice();
    for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) & maskOf(this.prefix, i);
    return Ip.of(bytes);
  }

  /** The last address, all host bits one: in IPv4 the broadcast address. */
  last(): Ip {
    return this.first().plus(this.size() - 1n);
  }

  /** How many addresses the prefix spans. */
  size(): bigint {
    return 1n << BigInt(bitsOf(this.family) - this.prefix);
  }

  hasHostBits(): boolean {
    const { bytes } = this.ip;
    for (let i = this.prefix >> 3; i < bytes.length; i++) {
      if (((bytes[i] ?? 0) & ~maskOf(this.prefix, i)) !== 0) return true;
    }
    return false;
  }

  contains(ip: Ip): boolean {
    if (ip.family !== this.family) return false;
    const { bytes } = this.ip;
    for (let i = 0; i * 8 < this.prefix; i++) {
      if ((((bytes[i] ?? 0) ^ (ip.bytes[i] ?? 0)) & maskOf(this.prefix, i)) !== 0) return false;
    }
    return true;
  }

  overlaps(other: Cidr): boolean {
    return this.prefix <= other.prefix ? this.contains(other.ip) : other.contains(this.ip);
  }

  equals(other: Cidr): boolean {
    return this.prefix === other.prefix && this.ip.equals(other.ip);
  }

  toString(): string {
    return `${this.ip}/${this.prefix}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/**
 * The bits of one byte of an address that belong to a prefix. NB: without bigints, which would be created by the
 * thousands with thousands of nodes.
 */
function maskOf(prefix: number, byte: number): number {
  const bits = prefix - byte * 8;
  if (bits >= 8) return 0xff;
  return bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}
