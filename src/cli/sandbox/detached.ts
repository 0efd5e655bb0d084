/**
 * `netloom run --detach`: a second netloom without the terminal runs the command to its end. The first one waits until
 * the command has begun.
 */
import { spawn } from 'node:child_process';
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { begin } from '../../activity.ts';
import { closeOnExec } from '../../ffi/inherited.ts';
import { EXEC_EXIT } from './execute.ts';

/** The variable that marks the second netloom. */
const MARK = 'NETLOOM_RUN_DETACHED';
/** The descriptor on which the second netloom reports. */
const REPORT_FD = 3;

/** Whether the command has begun, or why not. */
type Report = { readonly name: string } | { readonly status: number; readonly message: string };

/** Starts the second netloom with the arguments of the first. @returns whether the command has begun */
export async function startDetached(args: readonly string[]): Promise<Report> {
  begin('waiting for the command to begin');
  const child = spawn(process.execPath, args, {
    argv0: 'netloom',
    detached: true,
    env: { ...process.env, [MARK]: '1' },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  let text = '';
  for await (const chunk of child.stdio[REPORT_FD] as Readable) text += chunk;
  child.unref();
  if (text !== '') return JSON.parse(text) as Report;
  return { status: EXEC_EXIT.failed, message: 'netloom: the process that was to run the command ended at once\n' };
}

/** For the second netloom: a function that reports to the first one, once. Undefined in any other netloom. */
export function reporter(): ((report: Report) => void) | undefined {
  if (process.env[MARK] === undefined) return undefined;
  delete process.env[MARK];
  closeOnExec(REPORT_FD);
  let isTold = false;
  return (report) => {
    if (isTold) return;
    isTold = true;
    try {
      writeSync(REPORT_FD, JSON.stringify(report));
    } catch {
      // The first netloom is gone.
    }
    closeSync(REPORT_FD);
  };
}
