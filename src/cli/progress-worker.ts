/** The thread that tells a person on a terminal what is being waited for. The main one cannot: it waits for the kernel, an engine or a lock. */
import { libc } from '../ffi/libc.ts';
import { CLEAR, WORD } from './progress-memory.ts';

/** Nothing that takes less is told of, in ms. */
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
  const decoder = new TextDecoder();
  for (let seconds = 1; Atomics.wait(words, WORD.isEnded, 0, PATIENCE) === 'timed-out'; seconds++) {
    const what = decoder.decode(text.slice(0, Atomics.load(words, WORD.length)));
    const line = new TextEncoder().encode(`${CLEAR}netloom: ${what}, ${seconds} s`);
    Atomics.store(words, WORD.isShown, 1);
    libc.write(STDERR, line, line.length);
  }
};
