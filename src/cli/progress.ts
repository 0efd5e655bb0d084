/** Progress on anything over a second: one line on stderr, which goes when there is something else to say. For terminals only. */
import { listen } from '../activity.ts';
import { CLEAR, TEXT_MAX, WORD } from './progress-memory.ts';

/** Inside the executable, as the agent's threads are. */
const WORKER = '/$bunfs/root/cli/progress-worker.js';
/** Whose terminal is somebody else's, or which are there to be waited for. */
const SILENT: ReadonlySet<string | undefined> = new Set(['run', 'exec', 'agent', 'demo']);

/** Begins to show it, where there is somebody to see it. @returns what ends it */
export function showProgress([command, ...args]: readonly string[]): () => void {
  if (!process.stderr.isTTY || SILENT.has(command) || args.includes('--watch')) return () => {};
  const memory = new SharedArrayBuffer(WORD.count * 4 + TEXT_MAX);
  const words = new Int32Array(memory, 0, WORD.count);
  const text = new Uint8Array(memory, WORD.count * 4);
  const tell = (what: string) => {
    const { written } = new TextEncoder().encodeInto(what, text);
    Atomics.store(words, WORD.length, written);
  };
  tell('working');
  listen(tell);
  const worker = new Worker(WORKER, { smol: true });
  worker.postMessage(memory);
  worker.unref();
  const toTerminal = process.stderr.write.bind(process.stderr);
  // NB: the line goes from stderr also where stdout is what comes: that may be a file or a pipe, for which it is no data.
  const clear = () => {
    if (Atomics.exchange(words, WORD.isShown, 0) === 1) toTerminal(CLEAR);
  };
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (...args: unknown[]) => {
      clear();
      return write(...args);
    };
  }
  return () => {
    Atomics.store(words, WORD.isEnded, 1);
    Atomics.notify(words, WORD.isEnded);
    clear();
  };
}
