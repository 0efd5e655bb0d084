/** Names of files for texts that may be longer than a name can be. */
import { fnv1a } from './fnv.ts';

/** NAME_MAX of linux/limits.h, in bytes. */
const NAME_MAX = 255;
/** For a second hash of 64 bits: the upper half of the 128-bit basis. */
const SECOND_BASIS = 0x6c62272e07bb0142n;

/** A text as the name of a file: itself where it can be one, its hash behind a `#` otherwise. */
export function fileName(text: string, max: number = NAME_MAX): string {
  // NB: a code unit has three bytes at most. Most names are short, and the encoder costs a fresh process some
  // microseconds.
  const fits = text.length * 3 <= max || new TextEncoder().encode(text).length <= max;
  const isName = fits && !text.startsWith('#') && !text.startsWith('.') && !text.includes('/');
  return isName ? text : `#${fnv1a(text)}${fnv1a(text, SECOND_BASIS)}`;
}
