/** Measures a path between two sandboxes, with one TCP connection (wire.c). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Sandbox } from '../test/support/host.ts';
import { round, summarize } from './statistics.ts';

const PORT = 5201;
const ROUND_TRIPS = 2000;
const STREAM_MS = 300;
/**
 * How often each path is measured, one after the other. The median counts, because the machine may pause during one of
 * them.
 */
const TIMES = 15;

export interface Path {
  /** The median TCP round-trip time of one byte, in µs. */
  readonly roundTrip: number;
  /** The throughput of one TCP stream, in Gbit/s. */
  readonly throughput: number;
  /** The streams behind that median, in order of time. */
  readonly streams: readonly number[];
}

/** The two ends of a path, and the first one's address as the second one knows it. */
export interface Ends {
  readonly server: Sandbox;
  readonly client: Sandbox;
  readonly address: string;
}

export interface How {
  /** The processors of the server and the client. If undefined, the kernel chooses. */
  readonly processors?: readonly [server: number, client: number];
  /** Whether the ends poll instead of waiting, so that their processors never sleep. */
  readonly isBusy?: boolean;
  readonly times?: number;
}

export async function path(wire: string, server: Sandbox, client: Sandbox, address: string): Promise<Path> {
  const [measured] = await paths(wire, [{ server, client, address }]);
  if (measured === undefined) throw new Error('one path was asked for');
  return measured;
}

/** Measures several paths in turn, so that disturbances on the machine affect all of them. */
export async function paths(wire: string, all: readonly Ends[], how: How = {}): Promise<Path[]> {
  const servers = [...new Set(all.map(({ server }) => server))];
  const serving = servers.map(({ path }) => {
    const args = [`--net=${path}`, wire, ...flags(how, 0), 'serve', `${PORT}`];
    return spawn('nsenter', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  });
  try {
    for (const each of serving) await once(each.stdout, 'data');
    const roundTrips = inTurn(wire, all, how, 'rtt', ROUND_TRIPS);
    const streams = inTurn(wire, all, how, 'stream', STREAM_MS);
    return all.map((_, i) => {
      const each = (streams[i] ?? []).map((bytes) => round((bytes * 8) / 1e9));
      return {
        roundTrip: round(summarize(roundTrips[i] ?? []).median / 1000),
        throughput: summarize(each).median,
        streams: each,
      };
    });
  } finally {
    for (const each of serving) await ended(each);
  }
}

/**
 * The share of one path's throughput that another path reaches, if both were measured in turn: the median of the shares
 * of all pairs. If the processor's clock changes from one minute to the next, both members of a pair are affected; two
 * medians might come from different minutes.
 */
export function shareOf(part: Path, whole: Path): number {
  return summarize(part.streams.map((each, i) => each / (whole.streams[i] ?? Number.NaN))).median;
}

/** The measurements of each path. */
function inTurn(wire: string, all: readonly Ends[], how: How, what: 'rtt' | 'stream', n: number): number[][] {
  const samples = all.map((): number[] => []);
  for (let i = 0; i < (how.times ?? TIMES); i++) {
    for (const [k, { client, address }] of all.entries()) {
      samples[k]?.push(Number(client.run(wire, ...flags(how, 1), what, address, `${PORT}`, `${n}`)));
    }
  }
  return samples;
}

function flags({ processors, isBusy = false }: How, end: 0 | 1): string[] {
  return [...(processors === undefined ? [] : ['-c', `${processors[end]}`]), ...(isBusy ? ['-b'] : [])];
}

/** Waits for the server, which ends with its input. */
async function ended(serving: ChildProcess): Promise<void> {
  serving.stdin?.end();
  if (serving.exitCode === null) await once(serving, 'exit');
}
