/**
 * The resident agent: threads with warm code that carry out the calls of plugins. This file looks after them; it takes no part in a call. It keeps
 * nothing that is not on disk or in the kernel, so that it may be killed at any moment.
 */
import { messageOf } from '../error.ts';
import { printLine } from '../ffi/print.ts';
import { hangUp } from '../ffi/unix-socket.ts';
import type { Paths } from '../paths.ts';
import { Board, STATES } from './board.ts';
import { Door, leave } from './door.ts';
import type { Assignment, Report } from './worker.ts';

export interface AgentOptions {
  readonly paths: Paths;
  /** How long a call may take, in ms. */
  readonly callLimit: number;
  /** How long calls may go on after SIGTERM, in ms. */
  readonly drainLimit: number;
}

/** How long nobody may wait for calls before one thread more does, in ms. */
const PATIENCE = 5;
/** How long a thread that was made up stays without work, in ms. */
const KEEP = 30_000;
/** The most there can be: threads that wait for something else (a lock, another plugin) are made up for. */
const THREADS_MAX = 32;
/** How often the agent looks after its threads, in ms. */
const TICK = 250;

/** Inside the executable. NB: by its whole path, or a file of that name in the working directory would do as well. */
const WORKER = '/$bunfs/root/agent/worker.js';

/** Serves calls until it is told to end, or another agent has taken its place. Does not return: the process ends. */
export function runAgent(options: AgentOptions): void {
  const door = Door.open(options.paths);
  const agent = new Agent(options, door);
  agent.start();
  printLine(`netloom agent: serving calls at ${door.path}`);
}

class Agent {
  readonly #options: AgentOptions;
  readonly #door: Door;
  /** Calls that make progress at once. A call sleeps now and then, so one more than there are processors. */
  readonly #active = Math.max(2, Math.min(navigator.hardwareConcurrency + 1, THREADS_MAX / 2));
  readonly #board = new Board(THREADS_MAX, this.#active);
  readonly #threads = new Map<number, Worker>();
  /** Each thread's latest call as it was seen first, to know for how long it has been going on, or how long nothing has come after it. */
  readonly #seen = new Map<number, { readonly call: number; readonly since: number }>();
  #isDraining = false;

  constructor(options: AgentOptions, door: Door) {
    this.#options = options;
    this.#door = door;
  }

  start(): void {
    for (let id = 0; id <= this.#active; id++) this.#addThread(id);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#drain(`got ${signal}`));
    setInterval(() => this.#look(), TICK);
  }

  #addThread(id: number): void {
    // Smaller heaps: what a call leaves behind is garbage.
    const worker = new Worker(WORKER, { smol: true });
    this.#threads.set(id, worker);
    worker.onmessage = ({ data }: MessageEvent<Report>) => this.#hear(id, data);
    worker.onerror = (event) => {
      printLine(`netloom agent: thread ${id} broke down: ${event.message}`);
      this.#loseThread(id);
    };
    const assignment: Assignment = {
      id,
      size: THREADS_MAX,
      active: this.#active,
      memory: this.#board.memory,
      listening: this.#door.fd,
    };
    worker.postMessage(assignment);
  }

  #hear(id: number, report: Report): void {
    if (report.kind === 'short') this.#watch();
    else if (report.kind === 'failed') printLine(`netloom agent: ${report.message}`);
    else {
      this.#threads.delete(id);
      this.#seen.delete(id);
      this.#board.bury(id);
      if (this.#isDraining && this.#threads.size === 0) leave(0);
    }
  }

  /** Looks until somebody waits for calls again. Where those that are at work do not end, they wait themselves, for whatever it is. */
  #watch(): void {
    setTimeout(() => {
      const outcome = this.#board.press();
      if (outcome === 'short') this.#makeUp();
      if (outcome !== 'led') this.#watch();
    }, PATIENCE);
  }

  /** One thread more, where all are at work. */
  #makeUp(): void {
    if (this.#isDraining || [...this.#threads.keys()].some((id) => this.#board.stateOf(id) === STATES.ABSENT)) return;
    for (let id = 0; id < THREADS_MAX; id++) {
      if (this.#threads.has(id)) continue;
      this.#addThread(id);
      return;
    }
  }

  #loseThread(id: number): void {
    if (!this.#threads.delete(id)) return;
    const fd = this.#board.bury(id);
    if (fd >= 0) hangUp(fd);
    if (this.#isDraining && this.#threads.size === 0) leave(0);
    this.#makeUp();
  }

  #look(): void {
    const now = performance.now();
    for (const id of this.#threads.keys()) {
      const call = this.#board.callOf(id);
      const seen = this.#seen.get(id);
      if (seen?.call !== call) this.#seen.set(id, { call, since: now });
      else if (this.#board.stateOf(id) === STATES.BUSY && now - seen.since > this.#options.callLimit)
        this.#expire(id, call);
      else if (id > this.#active && now - seen.since > KEEP) this.#board.retire(id);
    }
    if (!this.#isDraining && !this.#isOurs()) this.#drain('another agent has taken its place, or somebody its socket');
  }

  #expire(id: number, call: number): void {
    if (!this.#board.expire(id, call, hangUp)) return;
    printLine(`netloom agent: gave up a call after ${this.#options.callLimit / 1000} s; its thread is still at it`);
    this.#makeUp();
  }

  #isOurs(): boolean {
    try {
      return this.#door.isOurs;
    } catch (error) {
      printLine(`netloom agent: ${messageOf(error)}`);
      return true;
    }
  }

  #drain(reason: string): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    printLine(`netloom agent: ${reason}, ends with its calls`);
    try {
      this.#door.close(this.#options.paths);
    } catch (error) {
      printLine(`netloom agent: ${messageOf(error)}`);
      leave(1);
    }
    setTimeout(() => {
      printLine('netloom agent: calls go on for too long, ends without them');
      leave(1);
    }, this.#options.drainLimit);
  }
}
