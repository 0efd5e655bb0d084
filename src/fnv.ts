/** FNV-1a in 64 bits (RFC 9923). Not cryptographic: what it names is always compared with what it should be. */

const OFFSET_BASIS = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

/** The hash of a text as 16 hexadecimal digits. Another basis gives another hash. */
export function fnv1a(text: string, basis: bigint = OFFSET_BASIS): string {
  let hash = basis;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  return hash.toString(16).padStart(16, '0');
}
