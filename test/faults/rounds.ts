/** Running plugins in this process with a libc that fails. NB: import this module before anything of src/: see faulty-ffi.ts. */
import './faulty-ffi.ts';
import { readdirSync, readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { checkNetns } from '../../src/cni/netns.ts';
import { serve } from '../../src/cni/serve.ts';
import { plugins } from '../../src/plugins/registry.ts';
import { mounts } from '../support/host.ts';
import type { Json, Lab, Output, Target } from '../support/lab.ts';
import { type Fault, withFault } from './faulty-ffi.ts';

export const WORDS: Readonly<Record<Fault, string>> = {
  fail: 'fails',
  lose: 'fails after it has done its work',
  interrupt: 'is interrupted',
  shorten: 'is cut short',
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

export function faulty(fault: Fault, n: number, run: () => CallEnd): { calls: readonly string[]; end: CallEnd } {
  let end: CallEnd | undefined;
  const calls = withFault(fault, n, () => {
    end = run();
  });
  if (end === undefined) throw new Error('withFault() did not run');
  return { calls, end };
}

/** Goes on until there are no more calls to fail. @returns how many there were */
export function eachCall(round: (n: number) => readonly string[]): number {
  for (let n = 1; ; n++) if (round(n).length < n) return n - 1;
}

/** The state as soon as it is what it should be, or after a while: some of a link's state follows by itself. */
export function settled(look: () => string, wanted: string): string {
  const deadline = Date.now() + 3_000;
  for (;;) {
    const state = look();
    if (state === wanted || Date.now() > deadline) return state;
  }
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

/** Links, addresses, routes, rules, files; mounts; and the settings of each link. */
export function stateOf(lab: Lab): string {
  return [
    lab.snapshot(),
    mounts(),
    ...settings('/proc/sys/net/ipv4/conf'),
    ...settings('/proc/sys/net/ipv6/conf'),
  ].join('\n');
}

function settings(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((key) => `${directory}/${key}: ${settingAt(`${directory}/${key}`)}`);
}

/** Undefined for a directory, and for a secret that was never set. */
function settingAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
