/**
 * Executing a plugin of which one system call fails. man 1 strace, "Syscall tampering". What is called in process,
 * rounds.ts has.
 */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { End, Json, Lab, Output, Target } from '../support/lab.ts';
import type { Scene } from './rounds.ts';
import { settled } from './settled.ts';

/** The calls that change what others see, as libc makes them, and how each may fail. */
const ERRORS = { sendto: 'ENOBUFS', link: 'ENOSPC', symlink: 'ENOSPC', unlink: 'EIO' } as const;

export type FailingCall = keyof typeof ERRORS;

/** Runs a plugin of which the n-th of a call fails. @returns how it ended, and whether it came to that */
function failing(
  lab: Lab,
  command: string,
  conf: Json,
  target: Target,
  name: FailingCall,
  n: number,
): { end: End; hasFailed: boolean } {
  const log = `${lab.root}/netns/strace`; // where no snapshot looks
  const inject = `inject=${name}:error=${ERRORS[name]}:when=${n}`;
  const wrap = ['strace', '-f', '-qqq', '-o', log, '-e', `trace=${name}`, '-e', inject];
  const end = lab.exec(command, conf, target, { wrap });
  return { end, hasFailed: readFileSync(log, 'utf8').includes('(INJECTED)') };
}

/**
 * A command of which each of the calls fails in turn. An ADD that says so has left nothing; a DEL that does not say so
 * has left nothing; and another DEL leaves nothing.
 * @returns how many calls failed, and how many commands with them
 */
export function eachFailure(
  t: ExecutionContext,
  { lab, target, conf, delConf = conf, look }: Scene,
  command: 'ADD' | 'DEL',
  calls: readonly FailingCall[],
): { readonly points: number; readonly failures: number } {
  const before = look();
  let [points, failures] = [0, 0];
  for (const name of calls) {
    for (let n = 1; ; n++) {
      if (command === 'DEL') lab.add(conf, target);
      const { end, hasFailed } = failing(lab, command, command === 'ADD' ? conf : delConf, target, name, n);
      const what = `${command}, the ${n}th ${name} fails\n${end.stdout}${end.stderr}`;
      if (end.status !== 0) saysWhy(t, end, what);
      const isClean = (command === 'ADD') === (end.status !== 0);
      if (isClean) t.is(settled(look, before), before, what);
      lab.del(delConf, target);
      if (!isClean) t.is(settled(look, before), before, what);
      if (!hasFailed) break;
      points++;
      failures += Number(end.status !== 0);
    }
  }
  t.log(`${points} calls, ${failures} that the command failed with`);
  return { points, failures };
}

/** In an error object of CNI. */
function saysWhy(t: ExecutionContext, { stdout }: End, what: string): void {
  t.true(((JSON.parse(stdout || '{}') as Output).msg ?? '') !== '', what);
  t.notRegex(stdout, /internal error/, what);
}
