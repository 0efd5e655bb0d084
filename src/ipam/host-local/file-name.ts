/** Names of files for what may be longer than a name can be. */

/** NAME_MAX of linux/limits.h, in bytes. */
const NAME_MAX = 255;

/** A text as the name of a file: itself where it can be one, its hash behind a `#` otherwise. */
export function fileName(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const isName = bytes.length <= NAME_MAX && !/[/#.]/.test(text.slice(0, 1)) && !text.includes('/');
  return isName ? text : `#${fnv1a(bytes, 0xcbf29ce484222325n)}${fnv1a(bytes, 0x6c62272e07bb0142n)}`;
}

/** 64 bits of FNV-1a (RFC 9923), in hex. Not a cryptographic hash: what it names is always compared with what it should be. */
function fnv1a(bytes: Uint8Array, basis: bigint): string {
  let hash = basis;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
