/** Running a person's command in a sandbox: with our terminal and our signals, and its exit status as ours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { rest } from '../../activity.ts';
import { readText } from '../../ffi/file.ts';
import { bindFile, mountSysfs, withOwnMounts } from '../../netns/own-mounts.ts';
import { withNetns } from '../../netns/within.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { filesOf } from '../../runtime/sandbox/files.ts';
import { openSandboxNetns, type Sandbox } from '../../runtime/sandbox/store.ts';

/** As in docker: netloom itself failed; the command cannot be executed; there is no such command. */
export const EXEC_EXIT = { failed: 125, notExecutable: 126, notFound: 127 } as const;

/** Signals that a terminal sends to its whole foreground process group: the command has already got them. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const FORWARDED: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'];

/** Gets notice of how a command starts. */
export interface Watcher {
  /** The command runs. */
  begun(): void;
  /** The command cannot be started; the message is for people. */
  failed(message: string, status: number): void;
}

const NOBODY: Watcher = {
  begun: () => {},
  failed: (message) => void process.stderr.write(message),
};

/**
 * Runs a command to its end.
 * @returns our exit status: that of the command, 128 plus the signal that ended it, 126 or 127 where it could not be
 * started
 */
export function execute(
  context: RuntimeContext,
  sandbox: Sandbox,
  command: readonly string[],
  watcher = NOBODY,
): Promise<number> {
  let child: ChildProcess | undefined;
  const early: NodeJS.Signals[] = [];
  const forward = (signal: NodeJS.Signals) => {
    if (FROM_TERMINAL.includes(signal) && isInForeground()) return;
    if (child === undefined) early.push(signal);
    else child.kill(signal);
  };
  // NB: never removed. A signal that ends the command must not end us before the sandbox is removed.
  for (const signal of FORWARDED) process.on(signal, forward);
  rest();
  const started = startInside(context, sandbox, command);
  child = started;
  return new Promise<number>((resolve) => {
    started.on('spawn', () => {
      watcher.begun();
      for (const signal of early.splice(0)) started.kill(signal);
    });
    started.on('error', (error: NodeJS.ErrnoException) => {
      const status = error.code === 'ENOENT' ? EXEC_EXIT.notFound : EXEC_EXIT.notExecutable;
      watcher.failed(`netloom: Cannot run ${JSON.stringify(command[0])}: ${sentenceOf(error)}\n`, status);
      resolve(status);
    });
    started.on('exit', (status, signal) => resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** Starts a command in a sandbox: in its network, with its own resolv.conf and hosts over those of the machine. */
function startInside(context: RuntimeContext, { name, mode }: Sandbox, command: readonly string[]): ChildProcess {
  if (mode === 'host') return start(command);
  const { resolvConf, hosts } = filesOf(context, name);
  using netns = openSandboxNetns(context, name);
  return withNetns(netns, () =>
    withOwnMounts(() => {
      mountSysfs();
      for (const [from, to] of [
        [resolvConf, '/etc/resolv.conf'],
        [hosts, '/etc/hosts'],
      ] as const) {
        if (!bindFile(from, to)) context.warn(`this machine has no "${to}", so the sandbox has none`);
      }
      return start(command);
    }),
  );
}

function start([file = '', ...args]: readonly string[]): ChildProcess {
  return spawn(file, args, { stdio: 'inherit' });
}

/** Whether a terminal sends its signals to our process group, and so to the command. man 5 proc_pid_stat */
function isInForeground(): boolean {
  const stat = readText('/proc/self/stat');
  const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return terminal !== '0' && group === foreground;
}

function sentenceOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such command';
  return code === 'EACCES' ? 'it is not executable' : message;
}
