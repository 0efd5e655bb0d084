/** Runs a plugin that is killed at a chosen system call. man 1 strace, "Syscall tampering". */
import type { ExecutionContext } from 'ava';
import type { Json, Lab, Target } from '../support/lab.ts';
import type { Scene } from './rounds.ts';
import { settled } from './settled.ts';

/**
 * The calls that change what others see, and some in between. strace counts each name separately. Other calls (open,
 * read, close) change nothing: a process killed at one of them leaves the same as one killed at the next call listed
 * here.
 */
export const CALLS = [
  'sendto',
  'recvfrom',
  'setns',
  'flock',
  'rename',
  'renameat2',
  'link',
  'linkat',
  'symlink',
  'symlinkat',
  'unlink',
  'unlinkat',
  'mkdir',
  'mkdirat',
  'rmdir',
  'utimensat',
  'write',
  'mount',
  'umount2',
];

/**
 * The command that runs a program and kills it on entry to the n-th call of that name. Only calls of that name are
 * traced, because each traced call stops the program twice.
 */
export function killing(name: string, n: number): string[] {
  return [
    'strace',
    '-f',
    '-qqq',
    '-o',
    '/dev/null',
    '-e',
    `trace=${name}`,
    '-e',
    `inject=${name}:signal=KILL:when=${n}`,
  ];
}

/** Runs a plugin that is killed on entry to the n-th call of that name. @returns false if there was no n-th call */
export function isKilled(lab: Lab, command: string, conf: Json, target: Target, name: string, n: number): boolean {
  const wrap = killing(name, n);
  const { status, signal, stderr } = lab.exec(command, conf, target, { wrap });
  if (signal === 'SIGKILL') return true;
  if (status !== 0) throw new Error(`${command} left with ${status ?? signal}: ${stderr}`);
  return false;
}

/**
 * Runs a command that is killed before each of the calls in turn, and cleans up after each kill.
 * @param command a DEL has an ADD before it
 * @returns how often it was killed
 */
export function eachKill(
  t: ExecutionContext,
  { lab, target, conf, delConf = conf, look }: Scene,
  command: 'ADD' | 'DEL',
  cleanUp: () => void = () => lab.del(delConf, target),
  calls: readonly string[] = CALLS,
): number {
  const before = look();
  let kills = 0;
  for (const name of calls) {
    for (let n = 1; ; n++) {
      if (command === 'DEL') lab.add(conf, target);
      const wasKilled = isKilled(lab, command, conf, target, name, n);
      cleanUp();
      t.is(settled(look, before), before, `${command} killed before ${name}, the ${n}th`);
      if (!wasKilled) break;
      kills++;
    }
  }
  t.log(`${kills} calls`);
  return kills;
}
