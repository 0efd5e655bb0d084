/**
 * Running plugins in this process with a libc that fails. NB: import this module before anything of src/: see
 * faulty-ffi.ts.
 */
import './faulty-ffi.ts';
import type { ExecutionContext } from 'ava';
import { checkNetns } from '../../src/cni/netns.ts';
import { serve } from '../../src/cni/serve.ts';
import { plugins } from '../../src/plugins/registry.ts';
import type { Sandbox } from '../support/host.ts';
import type { Json, Lab, Output, Target } from '../support/lab.ts';
import { type Fault, withFault } from './faulty-ffi.ts';
import { settled } from './settled.ts';

export const WORDS: Readonly<Record<Fault, string>> = {
  fail: 'fails',
  lose: 'fails after it has done its work',
  interrupt: 'is interrupted',
  shorten: 'is cut short',
  mute: 'is the first message that does not go out',
};

export interface CallEnd {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a plugin in this process. */
export function call(lab: Lab, command: string, conf: Json, target: Target): CallEnd {
  const plugin = plugins.get(String(conf['type']));
  if (plugin === undefined) throw new Error(`no plugin ${conf['type']}`);
  let [stdout, stderr] = ['', ''];
  const status = serve(plugin, {
    environment: lab.environment(command, target, { path: `${lab.root}/bin` }),
    readStdin: () => JSON.stringify(conf),
    writeStdout: (text) => {
      stdout += text;
    },
    writeStderr: (text) => {
      stderr += text;
    },
    checkNetns,
  });
  return { status, stdout, stderr };
}

export function faulty(
  fault: Fault,
  n: number,
  run: () => CallEnd,
  only?: ReadonlySet<string>,
): { calls: readonly string[]; end: CallEnd } {
  let end: CallEnd | undefined;
  const keep = () => {
    end = run();
  };
  const calls = withFault(fault, n, keep, only);
  if (end === undefined) throw new Error('withFault() did not run');
  return { calls, end };
}

/** Goes on until there are no more calls to fail. @returns how many there were */
export function eachCall(round: (n: number) => readonly string[]): number {
  for (let n = 1; ; n++) if (round(n).length < n) return n - 1;
}

/** An ADD that failed said why, in an error object of CNI, and took everything back. */
export function hasFailedCleanly(
  t: ExecutionContext,
  { stdout }: CallEnd,
  look: () => string,
  before: string,
  what: string,
): void {
  t.notThrows(() => (JSON.parse(stdout) as Output).msg, what);
  t.notRegex(stdout, /internal error/, what);
  t.is(settled(look, before), before, what);
}

/** An attachment that is made and taken away while things fail. */
export interface Scene {
  readonly lab: Lab;
  readonly target: Target & { readonly sandbox: Sandbox };
  readonly conf: Json;
  /** What DEL gets, where that is something else. */
  readonly delConf?: Json;
  /** All that it may touch, as it is now. */
  look(): string;
}

/**
 * ADDs in which each call fails in turn: one that fails leaves nothing, and DEL takes back what one did that succeeded
 * all the same.
 * @param only the functions that fail, in place of all
 */
export function eachAddThatFails(
  t: ExecutionContext,
  { lab, target, conf, delConf = conf, look }: Scene,
  fault: Fault,
  only?: ReadonlySet<string>,
): { readonly points: number; readonly failures: number } {
  const before = look();
  let failures = 0;
  const points = eachCall((n) => {
    const { calls, end } = faulty(fault, n, () => call(lab, 'ADD', conf, target), only);
    const what = whatFailed(calls, n, end);
    const hasFailed = end.status !== 0;
    if (hasFailed) hasFailedCleanly(t, end, look, before, what);
    t.is(call(lab, 'DEL', delConf, target).status, 0, what);
    // A DEL that has nothing to do and breaks something is seen by the next round.
    if (!hasFailed) t.is(settled(look, before), before, what);
    failures += Number(hasFailed);
    return calls;
  });
  t.log(`${points} calls, ${failures} failed ADDs`);
  return { points, failures };
}

/**
 * DELs in which each call fails in turn: one that succeeds has left nothing, and after one that fails another finishes.
 * @returns how many calls
 */
export function eachDelThatFails(
  t: ExecutionContext,
  { lab, target, conf, delConf = conf, look }: Scene,
  fault: Fault,
  only?: ReadonlySet<string>,
): number {
  const before = look();
  const points = eachCall((n) => {
    t.is(call(lab, 'ADD', conf, target).status, 0);
    const { calls, end } = faulty(fault, n, () => call(lab, 'DEL', delConf, target), only);
    const what = whatFailed(calls, n, end);
    const hasFailed = end.status !== 0;
    if (!hasFailed) t.is(settled(look, before), before, `a DEL that succeeded, ${what}`);
    t.is(call(lab, 'DEL', delConf, target).status, 0, what);
    if (hasFailed) t.is(settled(look, before), before, what);
    return calls;
  });
  t.log(`${points} calls`);
  return points;
}

export function whatFailed(calls: readonly string[], n: number, { stdout, stderr }: CallEnd): string {
  return `call ${n}, ${calls[n - 1]}, after ${calls.slice(0, n - 1).slice(-3)}\n${stdout}${stderr}`;
}
