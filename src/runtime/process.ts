/** Processes by number, and whether a number still refers to the same process. man 5 proc_pid_stat */
import { adapter } from '#ffi';
import { tryList } from '../ffi/directory.ts';
import { tryReadText, tryStat } from '../ffi/file.ts';
import { libc } from '../ffi/libc.ts';
import type { Netns } from '../netns/namespace.ts';

const lib = adapter.load({ kill: { args: ['i32', 'i32'], returns: 'i32' } });

const SIGKILL = 9;

/**
 * A process: its number and when it started, in ticks since boot. Together they identify a process until the next boot.
 */
export interface ProcessId {
  readonly pid: number;
  readonly started: string;
}

/** Undefined where there is no such process, or only a zombie. */
export function findProcess(pid: number): ProcessId | undefined {
  const stat = tryReadStat(pid);
  if (stat === undefined) return undefined;
  // The program's name is in parentheses and may contain any character, so count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  const started = fields[19] ?? '';
  return state === 'Z' || state === 'X' ? undefined : { pid, started };
}

export function isAlive(pid: number): boolean {
  return findProcess(pid) !== undefined;
}

/** Whether the number still refers to that process. */
export function isSame({ pid, started }: ProcessId): boolean {
  return findProcess(pid)?.started === started;
}

/** NB: a process may end between opening the file and reading it, which then says ESRCH. */
function tryReadStat(pid: number): string | undefined {
  try {
    return tryReadText(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
}

/** A process in a namespace, with its command line. */
export interface RunningProcess extends ProcessId {
  readonly command: string;
}

/** The processes in a network namespace, by number. */
export function processesIn(netns: Netns): RunningProcess[] {
  return processesByNetns([netns.id]).get(netns.id) ?? [];
}

/** The processes in each of these namespaces (Netns.id), by number. Reads /proc once for all of them. */
export function processesByNetns(ids: Iterable<string>): ReadonlyMap<string, RunningProcess[]> {
  const found = new Map<string, RunningProcess[]>([...ids].map((id) => [id, []]));
  const numbers = (tryList('/proc') ?? []).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of numbers.sort((a, b) => a - b)) {
    const processes = found.get(netnsIdOf(pid) ?? '');
    const process = processes === undefined ? undefined : findProcess(pid);
    if (process !== undefined) processes?.push({ ...process, command: commandOf(pid) });
  }
  return found;
}

/** Kills processes, and waits until they have ended. Skips those that have already ended. */
export function killAll(processes: readonly ProcessId[]): void {
  for (const process of processes) if (isSame(process)) lib.kill(process.pid, SIGKILL);
  for (const process of processes) while (isSame(process)) libc.poll(null, 0, 5);
}

function netnsIdOf(pid: number): string | undefined {
  try {
    const stat = tryStat(`/proc/${pid}/ns/net`);
    return stat && `${stat.dev}/${stat.ino}`;
  } catch {
    return undefined; // It has just ended.
  }
}

function commandOf(pid: number): string {
  try {
    return (tryReadText(`/proc/${pid}/cmdline`) ?? '').split('\0').join(' ').trim();
  } catch {
    return '';
  }
}
