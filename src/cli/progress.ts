/**
 * Shows progress on anything that takes over a second: one line on stderr, cleared when there is other output. On
 * terminals only.
 */
import { listen } from '../activity.ts';
import { libc } from '../ffi/libc.ts';
import { alone, clearing, TEXT_MAX, WORD } from './progress-memory.ts';

/** Inside the executable, like the agent's threads. */
const WORKER = '/$bunfs/root/cli/progress-worker.js';
const STDERR = 2;
/** The width of a terminal that does not report it. */
const COLUMNS = 80;

/** Starts to show progress if stderr is a terminal. @returns a function that ends it */
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
  // NB: output on stdout also clears the line on stderr. stdout may be a file or a pipe, which must not get the
  // sequence.
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

/** One line of progress, from its start to its end. A command may have several in succession. */
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

  /** Clears the line until the next second. */
  clear(): void {
    alone(this.#words, () => {
      if (Atomics.load(this.#words, WORD.shown) === 0) return;
      // Not through the stream, which may write later: whatever comes next must begin on an empty line.
      const bytes = new TextEncoder().encode(clearing(this.#words));
      libc.write(STDERR, bytes, bytes.length);
      Atomics.store(this.#words, WORD.shown, 0);
    });
  }

  /** NB: when this returns, nothing of ours writes to the terminal any more. */
  end(): void {
    Atomics.store(this.#words, WORD.isEnded, 1);
    Atomics.notify(this.#words, WORD.isEnded);
    this.clear();
    this.#worker.terminate();
  }
}

/** https://no-color.org, and terminals without escape sequences. */
function isPlain({ NO_COLOR = '', TERM }: NodeJS.ProcessEnv): boolean {
  return NO_COLOR !== '' || TERM === 'dumb';
}
