/** Golden bytes: pairs of hexadecimal digits, one field per line, with a comment after `#`. */
import { Writer } from '../../src/netlink/writer.ts';

export function bytes(text: string): Uint8Array {
  const pairs = text
    .split('\n')
    .map((line) => line.replace(/#.*/, ''))
    .join(' ')
    .match(/\S+/g);
  return Uint8Array.from(pairs ?? [], (pair) => Number.parseInt(pair, 16));
}

/** For comparisons, which then show the difference byte by byte. */
export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

export function written(write: (out: Writer) => void): Uint8Array {
  const out = new Writer(8);
  write(out);
  return out.bytes.slice();
}

export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
