/** Follows the changes that the store's thread writes down (memory.ts), for the thread that applies them. */
import { type Fd, readAll, statFd, tryOpen, tryStat } from '../ffi/file.ts';
import { readFrom } from '../ffi/read-from.ts';
import { IN, Watch } from '../ffi/watch.ts';
import type { Paths } from '../paths.ts';
import type { Feed } from './feed.ts';
import { changesOf, memoryOf, recordsOf } from './memory.ts';
import type { Change, NodeRecord } from './record.ts';

const NEWLINE = 10;

const decoder = new TextDecoder();

export class MemoryFeed implements Feed {
  readonly #file: string;
  readonly #watch: Watch | undefined;
  #fd: Fd | undefined;
  #offset = 0;

  constructor(paths: Paths, network: string) {
    this.#file = memoryOf(paths, network);
    this.#watch = Watch.tryOpen(`${paths.state}/overlay`, IN.MODIFY | IN.MOVED_TO);
  }

  get fd(): number | undefined {
    return this.#watch?.fd;
  }

  records(): NodeRecord[] | undefined {
    this.#fd?.close();
    this.#fd = tryOpen(this.#file);
    if (this.#fd === undefined) return undefined;
    const bytes = readAll(this.#fd.number, `"${this.#file}"`);
    this.#offset = bytes.lastIndexOf(NEWLINE) + 1;
    return recordsOf(decoder.decode(bytes));
  }

  news(): readonly Change[] | undefined {
    this.#watch?.read();
    return this.catchUp();
  }

  catchUp(): readonly Change[] | undefined {
    const now = tryStat(this.#file);
    if (this.#fd === undefined || now === undefined)
      return this.#fd === undefined && now === undefined ? [] : undefined;
    const { ino, dev } = statFd(this.#fd.number);
    if (now.ino !== ino || now.dev !== dev || now.size < this.#offset) return undefined;
    const bytes = readFrom(this.#fd.number, this.#offset, now.size - this.#offset, `"${this.#file}"`);
    const whole = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1);
    if (whole.length === 0) return [];
    const text = decoder.decode(whole);
    const changes = changesOf(text);
    this.#offset += whole.length;
    return changes.length === text.split('\n').length - 1 ? changes : undefined;
  }

  [Symbol.dispose](): void {
    this.#fd?.close();
    this.#watch?.[Symbol.dispose]();
  }
}
