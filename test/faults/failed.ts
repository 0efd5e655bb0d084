/**
 * Runs a plugin while one of its system calls fails. man 1 strace, "Syscall tampering". rounds.ts is for plugins in
 * this process.
 */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { End, Json, Lab, Output, Target } from '../support/lab.ts';
import type { Scene } from './rounds.ts';
import { settled } from './settled.ts';

/** The calls that change what others see, as libc makes them, and how each may fail. */
const ERRORS = { sendto: 'ENOBUFS', link: 'ENOSPC', symlink: 'ENOSPC', unlink: 'EIO' } as const;

export type FailingCall = keyof typeof ERRORS;

/** Runs a plugin whose n-th call of that name fails. @returns how it ended, and whether there was such a call */
function failing(
  lab: Lab,
  command: string,
  conf: Json,
  target: Target,
  name: FailingCall,
  n: number,
): { end: End; hasFailed: boolean } {
  const log = `${lab.root}/netns/strace`; // snapshots do not look there
  const inject = `inject=${name}:error=${ERRORS[name]}:when=${n}`;
  const wrap = ['strace', '-f', '-qqq', '-o', log, '-e', `trace=${name}`, '-e', inject];
  const end = lab.exec(command, conf, target, { wrap });
  return { end, hasFailed: readFileSync(log, 'utf8').includes('(INJECTED)') };
}

/**
 * Runs a command while each of the calls fails in turn. An ADD that reports a failure has left nothing, and so has a
 * DEL that reports none. After any of them, another DEL leaves nothing.
 * @returns how many calls failed, and how many commands failed with them
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

/** Expects the reason in a CNI error object. */
function saysWhy(t: ExecutionContext, { stdout }: End, what: string): void {
  t.true(((JSON.parse(stdout || '{}') as Output).msg ?? '') !== '', what);
  t.notRegex(stdout, /internal error/, what);
}
