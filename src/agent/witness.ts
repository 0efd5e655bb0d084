/** What is kept of a call when it is over: it is counted and logged. */
import type { EndedCall } from './call.ts';
import { type Log, traceOf } from './log.ts';
import type { Tally } from './tally.ts';

/** For an error object without a code: netloom's code for a fault of its own. */
const INTERNAL = 999;

/**
 * A call that failed is always in the log; one that succeeded where its caller traces it, else only at the level
 * `debug`.
 */
export function witness({ type, environment, stdin, failure, time }: EndedCall, tally: Tally, log: Log): void {
  const { CNI_COMMAND: command = '', TRACEPARENT: traceparent } = environment;
  const trace = traceparent === undefined ? undefined : traceOf(traceparent);
  const { code, msg } = failure === undefined ? { code: 0, msg: undefined } : readFailure(failure);
  tally.called(type, command, code, time);
  const level = failure !== undefined ? 'warn' : trace === undefined ? 'debug' : 'info';
  if (!log.has(level)) return;
  log.write(level, failure === undefined ? 'call' : 'call failed', {
    type,
    command,
    network: networkOf(stdin),
    container: environment['CNI_CONTAINERID'],
    ifname: environment['CNI_IFNAME'],
    code,
    error: msg,
    ms: Math.round(time * 1000) / 1000,
    ...trace,
  });
}

function readFailure(text: string): { readonly code: number; readonly msg: string } {
  const { code, msg } = JSON.parse(text) as { code?: unknown; msg?: unknown };
  return { code: typeof code === 'number' ? code : INTERNAL, msg: typeof msg === 'string' ? msg : '' };
}

function networkOf(stdin: string): string | undefined {
  try {
    const { name } = JSON.parse(stdin) as { name?: unknown };
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
