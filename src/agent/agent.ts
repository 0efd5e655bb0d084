/**
 * The resident agent: threads with warm code that execute the calls of plugins. This file looks after the threads, and
 * takes no part in a call. The agent keeps nothing that is not on disk or in the kernel, so that it may be killed at
 * any moment.
 */
import { rest } from '../activity.ts';
import { messageOf } from '../error.ts';
import { makeEvent } from '../ffi/event.ts';
import { notify, passedSocket } from '../ffi/notify.ts';
import { hangUp } from '../ffi/unix-socket.ts';
import { Keeping } from '../overlay/keeping.ts';
import type { Paths } from '../paths.ts';
import { plugins } from '../plugins/registry.ts';
import { Board, REST, STATES } from './board.ts';
import { BUILD } from './build.ts';
import { type Desk, openDesk } from './desk.ts';
import { Door, leave } from './door.ts';
import { etcdMemberships } from './etcd-memberships.ts';
import { giveCodeBack } from './garbage.ts';
import { Health } from './health.ts';
import { Log } from './log.ts';
import { metricsText } from './metrics.ts';
import { networkFigures } from './networks.ts';
import { OverlayThread } from './overlay-thread.ts';
import { overlayConfs } from './overlays.ts';
import { GIVEN_UP } from './protocol.ts';
import { addressOf, readSettings, type Settings, type SomeSettings } from './settings.ts';
import { callStatus, kernelErrorNames, type Status, statusSocket } from './status.ts';
import { Tally } from './tally.ts';
import type { Assignment, Report } from './worker.ts';

export interface AgentOptions {
  readonly paths: Paths;
  readonly version: string;
  /** Settings that override those of the file. */
  readonly flags: SomeSettings;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * How long there is no thread that waits for calls, in ms, before one more does. It is longer than calls take that
 * only compete for the processors: for those, one more thread is one more competitor.
 */
const PATIENCE = 40;
/** How long an extra thread stays without work, in ms. */
const KEEP = 30_000;
/**
 * The most threads there can be. Extra threads stand in for those that wait for something else (a lock, another
 * plugin).
 */
const THREADS_MAX = 32;
/** How often the agent looks after its threads, in ms. */
const TICK = 250;
/**
 * How long no thread may take calls, in ms, before the agent counts as unhealthy: then shims give up waiting for it
 * (native/shim.c, ACCEPT_LIMIT_MS).
 */
const DEAF = 10_000;
/** How often the engine's code is given back, in ms: meanwhile some 10 MB accumulate that nobody needs again. */
const SPARE = 5_000;

/** What a thread does, for people. Any other state means that it executes a call. */
const WORDS: Readonly<Record<number, 'idle' | 'waiting'>> = {
  [STATES.ABSENT]: 'idle',
  [STATES.IDLE]: 'idle',
  [STATES.LEADING]: 'waiting',
  [STATES.RETIRED]: 'idle',
  [STATES.GONE]: 'idle',
};

/**
 * The threads' files inside the executable. NB: absolute paths, or a file of that name in the working directory could
 * be loaded instead.
 */
const WORKER = '/$bunfs/root/agent/worker.js';
const OVERLAY_WORKER = '/$bunfs/root/agent/overlay-worker.js';
const ETCD_WORKER = '/$bunfs/root/agent/etcd-worker.js';

/**
 * Serves calls until it is told to end, or another agent has taken its place. The process goes on when this returns.
 * @throws NetloomError invalid-config and others of readSettings()
 */
export function runAgent(options: AgentOptions): void {
  const { paths, flags, environment } = options;
  const settings = readSettings(paths.agentSettings, flags);
  const passed = passedSocket(environment);
  const door = passed === undefined ? Door.open(paths) : Door.take(paths, passed);
  rest();
  new Agent(options, settings, door).start();
}

class Agent {
  readonly #options: AgentOptions;
  readonly #door: Door;
  /** How many calls may run at once. Calls sleep now and then, so it is one more than there are processors. */
  readonly #active = Math.max(2, Math.min(navigator.hardwareConcurrency + 1, THREADS_MAX / 2));
  readonly #board = new Board(THREADS_MAX, this.#active);
  readonly #threads = new Map<number, Worker>();
  /**
   * Each thread's latest call, and when it was first seen: how long the call has been running, or how long the thread
   * has had none since.
   */
  readonly #seen = new Map<number, { readonly call: number; readonly since: number }>();
  readonly #tally = new Tally([...plugins.keys()]);
  readonly #log = new Log();
  readonly #wake = makeEvent();
  readonly #health = new Health(DEAF / TICK);
  readonly #keeping = new Keeping(() => {});
  readonly #since = new Date().toISOString();
  /** By address. */
  readonly #desks = new Map<string, Desk>();
  #settings: Settings;
  #isDraining = false;

  constructor(options: AgentOptions, settings: Settings, door: Door) {
    this.#options = options;
    this.#settings = settings;
    this.#door = door;
    this.#log.level = settings.logLevel;
  }

  start(): void {
    // NB: before calls are served, so that the first one waits for the overlays that it needs.
    this.#startOverlays();
    for (let id = 0; id <= this.#active; id++) this.#addThread(id);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#drain(`got ${signal}`));
    process.on('SIGHUP', () => this.#reread());
    setInterval(() => this.#look(), TICK);
    this.#openDesks();
    // Once when the threads have started too, and from then on for code that rare work has loaded.
    setTimeout(giveCodeBack, REST);
    setInterval(giveCodeBack, SPARE);
    this.#log.write('info', 'serving calls', {
      socket: this.#door.path,
      version: this.#options.version,
      build: BUILD,
      pid: process.pid,
    });
    this.#notify('READY=1');
  }

  #startOverlays(): void {
    const say = (message: string) => this.#log.write('warn', message);
    const shared = { paths: this.#options.paths, keeping: this.#keeping.memory, wake: this.#wake.number, say };
    const begins = (isThere: boolean) => {
      this.#keeping.hasKeeper = isThere;
    };
    new OverlayThread(OVERLAY_WORKER, { ...shared, isWanted: (each) => overlayConfs(each).length > 0, begins }).start();
    new OverlayThread(ETCD_WORKER, { ...shared, isWanted: (each) => etcdMemberships(each).length > 0 }).start();
  }

  #notify(state: string): void {
    notify(state, this.#options.environment);
  }

  /** Reads the settings again. Where the file is wrong it logs why, and the old settings stay. */
  #reread(): void {
    const file = this.#options.paths.agentSettings;
    try {
      this.#settings = readSettings(file, this.#options.flags);
    } catch (error) {
      this.#log.write('error', messageOf(error));
      return;
    }
    this.#log.write('info', 'read the settings again', { file });
    this.#log.level = this.#settings.logLevel;
    if (!this.#isDraining) this.#openDesks();
  }

  /**
   * Opens the desks that are missing and closes those that are no longer wanted. One that cannot be opened does not
   * affect calls.
   */
  #openDesks(): void {
    const own = statusSocket(this.#options.paths.run);
    const wanted = new Map(this.#settings.metrics.map((text) => [text, addressOf(text)]));
    wanted.set(`unix:${own}`, { unix: own });
    for (const [name, desk] of this.#desks) {
      if (wanted.has(name)) continue;
      desk.close();
      this.#desks.delete(name);
    }
    for (const [name, address] of wanted) {
      if (this.#desks.has(name)) continue;
      try {
        this.#desks.set(name, openDesk(address, this.#answers));
      } catch (error) {
        this.#log.write('error', `Cannot answer at "${name}": ${messageOf(error)}`);
      }
    }
  }

  readonly #answers = {
    faultOf: (): string | undefined => {
      if (this.#isDraining) return 'it ends';
      return this.#threads.size > 0 ? this.#health.fault : 'no thread serves calls';
    },
    metrics: (): string => metricsText(this.#tally.read(), this.#status()),
    status: (): Status => this.#status(),
  };

  #status(): Status {
    const { version, paths } = this.#options;
    const figures = this.#tally.read();
    const threads = { idle: 0, waiting: 0, busy: 0 };
    for (const id of this.#threads.keys()) threads[WORDS[this.#board.stateOf(id)] ?? 'busy']++;
    return {
      version,
      build: BUILD,
      pid: process.pid,
      since: this.#since,
      watches: {
        socket: this.#door.path,
        settings: paths.agentSettings,
        networks: paths.conf,
        answersAt: [...this.#desks.keys()],
      },
      threads,
      calls: figures.calls.map(callStatus),
      declined: figures.declined,
      broken: figures.broken,
      kernelErrors: kernelErrorNames(figures),
      networks: networkFigures(paths),
    };
  }

  #addThread(id: number): void {
    // Smaller heaps: what a call leaves behind is garbage.
    const worker = new Worker(WORKER, { smol: true });
    this.#threads.set(id, worker);
    worker.onmessage = ({ data }: MessageEvent<Report>) => this.#hear(id, data);
    worker.onerror = (event) => {
      this.#log.write('error', 'a thread broke down', { thread: id, error: event.message });
      this.#loseThread(id);
    };
    const assignment: Assignment = {
      id,
      size: THREADS_MAX,
      active: this.#active,
      memory: this.#board.memory,
      listening: this.#door.fd,
      closing: this.#door.closing,
      tally: this.#tally.memory,
      log: this.#log.memory,
      keeping: this.#keeping.memory,
      wake: this.#wake.number,
    };
    worker.postMessage(assignment);
  }

  #hear(id: number, report: Report): void {
    if (report.kind === 'short') this.#watch();
    else {
      this.#threads.delete(id);
      this.#seen.delete(id);
      this.#board.bury(id);
      if (this.#isDraining && this.#threads.size === 0) leave(0);
    }
  }

  /**
   * Looks again and again until a thread waits for calls. Busy threads that do not finish are waiting for something
   * themselves, so that one more thread may take calls.
   */
  #watch(): void {
    setTimeout(() => {
      const outcome = this.#board.press();
      if (outcome === 'short') this.#makeUp();
      if (outcome !== 'led') this.#watch();
    }, PATIENCE);
  }

  /** Adds a thread where all are busy. */
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
    this.#health.look(this.#board.look());
    for (const id of this.#threads.keys()) {
      const call = this.#board.callOf(id);
      const seen = this.#seen.get(id);
      if (seen?.call !== call) this.#seen.set(id, { call, since: now });
      else if (this.#board.stateOf(id) === STATES.BUSY && now - seen.since > this.#settings.callLimit * 1000)
        this.#expire(id, call);
      else if (id > this.#active && now - seen.since > KEEP) this.#board.retire(id);
    }
    if (!this.#isDraining && !this.#isOurs()) this.#drain('another agent has taken its place, or somebody its socket');
  }

  #expire(id: number, call: number): void {
    if (!this.#board.expire(id, call, (fd) => hangUp(fd, GIVEN_UP))) return;
    const { callLimit } = this.#settings;
    this.#log.write('error', `gave up a call after ${callLimit} s; its thread is still at it`, { thread: id });
    this.#makeUp();
  }

  #isOurs(): boolean {
    try {
      return this.#door.isOurs;
    } catch (error) {
      this.#log.write('error', messageOf(error));
      return true;
    }
  }

  #drain(reason: string): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#log.write('info', 'ends with its calls', { reason });
    this.#notify('STOPPING=1');
    try {
      for (const desk of this.#desks.values()) desk.close();
      this.#door.close(this.#options.paths);
    } catch (error) {
      this.#log.write('error', messageOf(error));
      leave(1);
    }
    setTimeout(() => {
      this.#log.write('error', 'calls go on for too long, ends without them');
      leave(1);
    }, this.#settings.drainLimit * 1000);
  }
}
