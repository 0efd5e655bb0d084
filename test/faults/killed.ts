/** Executing a plugin that is killed at a system call of our choice. man 1 strace, "Syscall tampering". */
import type { ExecutionContext } from 'ava';
import type { Json, Lab, Target } from '../support/lab.ts';
import type { Scene } from './rounds.ts';
import { settled } from './settled.ts';

/**
 * The calls that change what others see, and those between. strace counts each by itself. Others (open, read, close)
 * change nothing: killed at one of them, a process leaves what it leaves at the next of these.
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
 * What runs a program that is killed on entry to the n-th of a call. Only that call is traced: each that is stops the
 * program twice.
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

/** Runs a plugin that is killed on entry to the n-th of a call. @returns false where it did not come to that */
export function isKilled(lab: Lab, command: string, conf: Json, target: Target, name: string, n: number): boolean {
  const wrap = killing(name, n);
  const { status, signal, stderr } = lab.exec(command, conf, target, { wrap });
  if (signal === 'SIGKILL') return true;
  if (status !== 0) throw new Error(`${command} left with ${status ?? signal}: ${stderr}`);
  return false;
}

/**
 * A command that is killed before each of the calls in turn; what it leaves, somebody cleans up.
 * @param command before a DEL there is an ADD
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
