/** Prefixes and addresses with a prefix, in the notation of RFC 4632: `10.1.0.2/24`. */
import { NetloomError } from '../error.ts';
import { bitsOf, decimal, type Family, Ip } from './ip.ts';

/** An address and the length of its prefix. The address may have host bits: an interface's address, or a subnet. Immutable. */
export class Cidr {
  readonly ip: Ip;
  /** 0 to 32, or to 128. */
  readonly prefix: number;

  constructor(ip: Ip, prefix: number) {
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > bitsOf(ip.family)) {
      throw new NetloomError('invalid-address', `${prefix} is not the length of an IPv${ip.family} prefix`);
    }
    this.ip = ip;
    this.prefix = prefix;
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
    return new Cidr(Ip.fromBigInt(this.family, this.#first()), this.prefix);
  }

  /** The first address, all host bits zero. */
  first(): Ip {
    return Ip.fromBigInt(this.family, this.#first());
  }

  /** The last address, all host bits one: in IPv4 the broadcast address. */
  last(): Ip {
    return Ip.fromBigInt(this.family, this.#first() + this.size() - 1n);
  }

  /** How many addresses the prefix spans. */
  size(): bigint {
    return 1n << BigInt(bitsOf(this.family) - this.prefix);
  }

  hasHostBits(): boolean {
    return this.ip.toBigInt() !== this.#first();
  }

  contains(ip: Ip): boolean {
    if (ip.family !== this.family) return false;
    const shift = BigInt(bitsOf(this.family) - this.prefix);
    return ip.toBigInt() >> shift === this.ip.toBigInt() >> shift;
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

  #first(): bigint {
    const shift = BigInt(bitsOf(this.family) - this.prefix);
    return (this.ip.toBigInt() >> shift) << shift;
  }
}
