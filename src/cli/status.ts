/** `netloom status`: what the agent reports about itself. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { type Status, statusSocket } from '../agent/status.ts';
import { hasCode, NetloomError } from '../error.ts';
import { pathsOf } from '../paths.ts';
import { get } from '../runtime/engine/http.ts';
import { EXIT } from './errors.ts';
import { jsonFlag, printJson, printTable } from './print.ts';
import { VERSION } from './version.ts';

export const statusCommand = buildCommand({
  docs: {
    brief: 'Show the calls, latencies and threads of the agent',
    fullDescription: `Shows what the agent says at /run/netloom/status.sock of its calls, threads and
networks. Latencies are in milliseconds, estimated from the histogram that
/metrics has.

Exit status: 0 if an agent runs; 3 if none does, so that plugins work by
themselves; 1 if it does not answer.

Example: netloom status --json`,
  },
  parameters: { flags: { json: jsonFlag } },
  func(this: CommandContext, { json }: { readonly json: boolean }) {
    const { run } = pathsOf(process.env);
    const status = ask(statusSocket(run));
    if (status === undefined) process.exitCode = EXIT.notRunning;
    if (json) printJson(this, status === undefined ? { running: false } : { running: true, ...status });
    else if (status === undefined) this.process.stdout.write('no agent runs: plugins work by themselves\n');
    else print(this, status);
  },
});

/** @returns undefined where no agent runs @throws NetloomError where one runs and does not answer */
function ask(socket: string): Status | undefined {
  try {
    const { status, json } = get('netloom-agent', socket, '/status');
    if (status === 200 && json !== undefined) return json as Status;
    throw new NetloomError('engine-no-answer', `The agent answers "${socket}" with ${status}`);
  } catch (error) {
    if (error instanceof NetloomError && hasCode(error.cause, 'ENOENT', 'ECONNREFUSED')) return undefined;
    throw error;
  }
}

function print(context: CommandContext, status: Status): void {
  const { version, build, pid, since, watches, threads, calls, declined, broken, kernelErrors, networks } = status;
  const out = (line: string) => void context.process.stdout.write(`${line}\n`);
  out(`netloom agent ${version} (build ${build}), process ${pid}, since ${since}`);
  if (version !== VERSION) out(`this command has another version, ${VERSION}`);
  out(`watches ${watches.socket}, ${watches.networks}, ${watches.settings}`);
  out(`answers at ${watches.answersAt.join(', ')}`);
  out(`threads: ${threads.busy} busy, ${threads.waiting} waiting for a call, ${threads.idle} idle`);
  out(`calls left to the plugins: ${declined}, callers that went away: ${broken}`);
  const errors = Object.entries(kernelErrors).map(([name, count]) => `${name} ${count}`);
  if (errors.length > 0) out(`refused by the kernel: ${errors.join(', ')}`);
  if (calls.length > 0) {
    out('');
    printTable(
      context,
      ['PLUGIN', 'COMMAND', 'CALLS', 'MEDIAN MS', 'P90 MS', 'P99 MS', 'FAILED (CODE: TIMES)'],
      calls.map(({ type, command, count, median, p90, p99, failed }) => [
        type,
        command,
        ...[count, median, p90, p99].map(String),
        Object.entries(failed)
          .map(([code, times]) => `${code}: ${times}`)
          .join(', ') || '-',
      ]),
    );
  }
  if (networks.length > 0) {
    out('');
    printTable(
      context,
      ['NETWORK', 'ENDPOINTS', 'LEASES USED', 'LEASES FREE'],
      networks.map(({ name, endpoints, leases }) => [
        name,
        String(endpoints),
        leases.map(({ used }) => used).join(' ') || '-',
        leases.map(({ free }) => free).join(' ') || '-',
      ]),
    );
  }
}
