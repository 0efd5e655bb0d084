/**
 * A thread of the agent: takes calls from the listening socket, one after another. It never returns to the engine's
 * event loop, so that everything may block here: the kernel's waits, another plugin, a lock. See board.ts for how
 * threads take turns.
 */
import { keepConfigurations } from '../cni/config.ts';
import { messageOf } from '../error.ts';
import { happen } from '../ffi/event.ts';
import { O, open } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import { awaitReadable } from '../ffi/poll.ts';
import { ownDirectory } from '../ffi/thread.ts';
import { accept, type Connection, isCalled } from '../ffi/unix-socket.ts';
import { hashWord } from '../fnv.ts';
import { countRefusals } from '../netlink/error.ts';
import { keepTransports } from '../netlink/transport.ts';
import { keepHome } from '../netns/within.ts';
import { Keeping, relyOn } from '../overlay/keeping.ts';
import { plugins } from '../plugins/registry.ts';
import { Board, REST } from './board.ts';
import { handle, type Thread } from './call.ts';
import { collectGarbage, giveBack } from './garbage.ts';
import { Log } from './log.ts';
import { REQUEST_MAX } from './protocol.ts';
import { removeInBackground } from './removal.ts';
import { Surroundings } from './surroundings.ts';
import { Tally } from './tally.ts';
import { witness } from './witness.ts';

/** A call that takes this long, in ms, has probably dealt with thousands of nodes or rules. */
const LONG = 200;

/** What a thread is told when it begins. */
export interface Assignment {
  readonly id: number;
  readonly size: number;
  readonly active: number;
  readonly memory: SharedArrayBuffer;
  readonly listening: number;
  /** Becomes readable when no more callers are to be accepted, where the socket cannot tell; otherwise -1. */
  readonly closing: number;
  readonly tally: SharedArrayBuffer;
  readonly log: SharedArrayBuffer;
  /** What the thread that looks after overlays knows, and the event that wakes it. */
  readonly keeping: SharedArrayBuffer;
  readonly wake: number;
}

/** What a thread reports. `short`: its call has begun, and nobody waits for the next one. `ended`: it has ended. */
export interface Report {
  readonly kind: 'short' | 'ended';
}

interface Scope {
  onmessage: ((event: { data: Assignment }) => void) | null;
  postMessage(report: Report): void;
}

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data }) => {
  scope.onmessage = null;
  work(data);
  scope.postMessage({ kind: 'ended' });
};

function work({ id, size, active, memory, listening, closing, ...shared }: Assignment): void {
  const board = new Board(size, active, memory);
  const tally = new Tally([...plugins.keys()], shared.tally);
  const log = new Log(shared.log);
  ownDirectory();
  keepHome();
  keepTransports();
  keepConfigurations();
  removeInBackground();
  relyOn(new Keeping(() => happen(shared.wake), shared.keeping), id);
  countRefusals((errno) => tally.refused(errno));
  using home = open('/', O.RDONLY);
  const thread: Thread = {
    surroundings: new Surroundings(),
    buffer: new Uint8Array(new ArrayBuffer(REQUEST_MAX)),
    home,
    awaitOrder: (containerId) => containerId === '' || board.awaitOrder(id, hashWord(containerId)),
    declined: () => tally.declined(),
    ended: (call) => witness(call, tally, log),
  };
  board.rest(id);
  let isTidy = true;
  const tidy = () => {
    if (!isTidy) collectGarbage();
    isTidy = true;
  };
  while (board.awaitTurn(id, tidy)) {
    if (!isTidy && !isCalled(listening, REST)) tidy();
    const connection = next(listening, closing, log);
    isTidy = false;
    if (connection === undefined) {
      board.leave(id);
      return;
    }
    if (!board.begin(id, connection.fd)) scope.postMessage({ kind: 'short' });
    const begin = performance.now();
    try {
      handle(connection, thread);
    } catch (error) {
      tally.broken();
      log.write('warn', messageOf(error), { thread: id });
    }
    board.end(id);
    connection[Symbol.dispose]();
    // The garbage of thousands of nodes is not left until the next rest, or another thread's would come on top.
    if (performance.now() - begin > LONG) giveBack();
    board.rest(id);
  }
}

/** @returns undefined where nobody can call any more */
function next(listening: number, closing: number, log: Log): Connection | undefined {
  for (;;) {
    try {
      if (closing >= 0 && awaitReadable([closing, listening])[0] === true) return undefined;
      return accept(listening);
    } catch (error) {
      // Out of descriptors or memory: calls that end give some back.
      log.write('error', messageOf(error));
      libc.poll(null, 0, 100);
    }
  }
}
