/** A growing buffer of bytes in the machine's order, which on every machine that netloom runs on is little endian. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** What was written so far: a view, valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  u8(value: number): void {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#advance(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#advance(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, value, true);
  }

  be16(value: number): void {
    const at = this.#advance(2);
    this.#view.setUint16(at, value);
  }

  be32(value: number): void {
    const at = this.#advance(4);
    this.#view.setUint32(at, value);
  }

  be64(value: bigint): void {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#advance(bytes.length);
    this.#bytes.set(bytes, at);
  }

  zeros(count: number): void {
    const at = this.#advance(count);
    this.#bytes.fill(0, at, at + count);
  }

  /** Pads with zeros to a multiple of four, as netlink aligns everything. */
  align(): void {
    this.zeros(-this.length & 3);
  }

  /** Overwrites an earlier u16, such as a length that is known only now. */
  patch16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  patch32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  clear(): void {
    this.length = 0;
  }

  /** NB: may put a larger buffer in place of the view, so ask for the place before the view. */
  #advance(count: number): number {
    const at = this.length;
    const end = at + count;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.length = end;
    return at;
  }
}
