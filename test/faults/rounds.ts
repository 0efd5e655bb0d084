/**
 * Runs plugins in this process with a libc that fails. NB: import this module before anything from src/; see
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

/** Runs rounds until there is no further call to fail. @returns how many calls there were */
export function eachCall(round: (n: number) => readonly string[]): number {
  for (let n = 1; ; n++) if (round(n).length < n) return n - 1;
}

/** Expects that a failed ADD gave its reason in a CNI error object, and undid everything. */
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

/** An attachment that is made and removed while calls fail. */
export interface Scene {
  readonly lab: Lab;
  readonly target: Target & { readonly sandbox: Sandbox };
  readonly conf: Json;
  /** The configuration for DEL, if it differs. */
  readonly delConf?: Json;
  /** The present state of everything that it may touch. */
  look(): string;
}

/**
 * Runs ADD while each call fails in turn. An ADD that fails leaves nothing; DEL undoes one that succeeds all the same.
 * @param only the functions that may fail, instead of all
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
    // If DEL has nothing to do but breaks something, the next round sees it.
    if (!hasFailed) t.is(settled(look, before), before, what);
    failures += Number(hasFailed);
    return calls;
  });
  t.log(`${points} calls, ${failures} failed ADDs`);
  return { points, failures };
}

/**
 * Runs DEL while each call fails in turn. A DEL that succeeds has left nothing; after one that fails, another finishes.
 * @returns how many calls there were
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
