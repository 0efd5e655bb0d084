/**
 * The thread that tells a person on a terminal what netloom is waiting for. The main thread cannot: it is blocked by
 * the kernel, an engine or a lock.
 */
import { libc } from '../ffi/libc.ts';
import { alone, clearing, WORD } from './progress-memory.ts';

/** Milliseconds that something must take to be shown. */
const PATIENCE = 1_000;
const STDERR = 2;

interface Scope {
  onmessage: ((event: { data: SharedArrayBuffer }) => void) | null;
}

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data }) => {
  scope.onmessage = null;
  const words = new Int32Array(data, 0, WORD.count);
  const text = new Uint8Array(data, WORD.count * 4);
  const isEnded = () => Atomics.load(words, WORD.isEnded) === 1;
  for (let seconds = 1; Atomics.wait(words, WORD.isEnded, 0, PATIENCE) === 'timed-out'; seconds++) {
    alone(words, () => {
      if (!isEnded()) show(words, text, seconds);
    });
  }
};

function show(words: Int32Array, text: Uint8Array, seconds: number): void {
  const what = new TextDecoder().decode(text.slice(0, Atomics.load(words, WORD.length)));
  // NB: at most one line of the terminal, because only one can be cleared.
  const line = [...`netloom: ${what}, ${seconds} s`].slice(0, Atomics.load(words, WORD.columns));
  const bytes = new TextEncoder().encode(clearing(words) + line.join(''));
  Atomics.store(words, WORD.shown, line.length);
  libc.write(STDERR, bytes, bytes.length);
}
