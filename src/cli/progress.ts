/**
 * Progress on anything over a second: one line on stderr, which goes when there is something else to say. For terminals
 * only.
 */
import { listen } from '../activity.ts';
import { libc } from '../ffi/libc.ts';
import { alone, clearing, TEXT_MAX, WORD } from './progress-memory.ts';

/** Inside the executable, as the agent's threads are. */
const WORKER = '/$bunfs/root/cli/progress-worker.js';
const STDERR = 2;
/** Of a terminal that does not say how wide it is. */
const COLUMNS = 80;

/** Begins to show it, where there is somebody to see it. @returns what ends it */
export function showProgress(args: readonly string[]): () => void {
  if (!process.stderr.isTTY) return () => {};
  let line: Line | undefined = new Line('working');
  const end = () => {
    line?.end();
    line = undefined;
  };
  const endForGood = () => {
    listen(() => {});
    end();
  };
  listen((what) => {
    if (what === undefined) end();
    else if (line === undefined) line = new Line(what);
    else line.tell(what);
  });
  const isWatching = args.includes('--watch');
  // NB: the line goes from stderr also where stdout is what comes: that may be a file or a pipe, for which it is no
  // data.
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (...args: unknown[]) => {
      if (isWatching) endForGood();
      line?.clear();
      return write(...args);
    };
  }
  return endForGood;
}

/** What is shown, from when it is begun until it ends: there may be several in the life of a command. */
class Line {
  readonly #memory = new SharedArrayBuffer(WORD.count * 4 + TEXT_MAX);
  readonly #words = new Int32Array(this.#memory, 0, WORD.count);
  readonly #text = new Uint8Array(this.#memory, WORD.count * 4);
  readonly #worker = new Worker(WORKER, { smol: true });

  constructor(what: string) {
    this.#words[WORD.columns] = (process.stderr.columns || COLUMNS) - 1;
    this.#words[WORD.isPlain] = isPlain(process.env) ? 1 : 0;
    this.tell(what);
    this.#worker.postMessage(this.#memory);
    this.#worker.unref();
  }

  tell(what: string): void {
    const { written } = new TextEncoder().encodeInto(what, this.#text);
    Atomics.store(this.#words, WORD.length, written);
  }

  /** Until the next second. */
  clear(): void {
    alone(this.#words, () => {
      if (Atomics.load(this.#words, WORD.shown) === 0) return;
      // Not by way of the stream, which may write later: whatever comes next begins in a clear line.
      const bytes = new TextEncoder().encode(clearing(this.#words));
      libc.write(STDERR, bytes, bytes.length);
      Atomics.store(this.#words, WORD.shown, 0);
    });
  }

  /** NB: when this returns the terminal is somebody else's. */
  end(): void {
    Atomics.store(this.#words, WORD.isEnded, 1);
    Atomics.notify(this.#words, WORD.isEnded);
    this.clear();
    this.#worker.terminate();
  }
}

/** https://no-color.org, and terminals that know no escape sequences. */
function isPlain({ NO_COLOR = '', TERM }: NodeJS.ProcessEnv): boolean {
  return NO_COLOR !== '' || TERM === 'dumb';
}
