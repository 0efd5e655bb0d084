/** What a path between two sandboxes is worth, by one TCP connection (wire.c). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Sandbox } from '../test/support/host.ts';
import { round, summarize } from './statistics.ts';

const PORT = 5201;
const ROUND_TRIPS = 2000;
const STREAM_MS = 300;
/** Both are measured as often, one after the other, and the median counts: the machine may pause in one of them. */
const TIMES = 15;

export interface Path {
  /** Median of a TCP round trip of one byte, in µs. */
  readonly roundTrip: number;
  /** One TCP stream, in Gbit/s. */
  readonly throughput: number;
}

/** Two ends of a path, and the address of the first as the second knows it. */
export interface Ends {
  readonly server: Sandbox;
  readonly client: Sandbox;
  readonly address: string;
}

export async function path(wire: string, server: Sandbox, client: Sandbox, address: string): Promise<Path> {
  const [measured] = await paths(wire, [{ server, client, address }]);
  if (measured === undefined) throw new Error('one path was asked for');
  return measured;
}

/** Several paths, each measured in turn, so that whatever the machine does in between falls on all of them. */
export async function paths(wire: string, all: readonly Ends[]): Promise<Path[]> {
  const serving = all.map(({ server }) =>
    spawn('nsenter', [`--net=${server.path}`, wire, 'serve', `${PORT}`], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  try {
    for (const each of serving) await once(each.stdout, 'data');
    const roundTrips = inTurn(wire, all, 'rtt', ROUND_TRIPS);
    const streams = inTurn(wire, all, 'stream', STREAM_MS);
    return all.map((_, i) => ({
      roundTrip: round((roundTrips[i] ?? Number.NaN) / 1000),
      throughput: round(((streams[i] ?? Number.NaN) * 8) / 1e9),
    }));
  } finally {
    for (const each of serving) await ended(each);
  }
}

/** The median of each path. */
function inTurn(wire: string, all: readonly Ends[], what: 'rtt' | 'stream', n: number): number[] {
  const samples = all.map((): number[] => []);
  for (let i = 0; i < TIMES; i++) {
    for (const [k, { client, address }] of all.entries()) {
      samples[k]?.push(Number(client.run(wire, what, address, `${PORT}`, `${n}`)));
    }
  }
  return samples.map((each) => summarize(each).median);
}

/** The server ends with its input. */
async function ended(serving: ChildProcess): Promise<void> {
  serving.stdin?.end();
  if (serving.exitCode === null) await once(serving, 'exit');
}
