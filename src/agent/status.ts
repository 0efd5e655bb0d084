/** What the agent says of itself, for people (`netloom status`) and programs (`/status`). */
import { errnoName } from '../ffi/errno.ts';
import type { NetworkFigures } from './networks.ts';
import { type Figures, quantile } from './tally.ts';

/** Calls of one type and command since the agent began; latencies in ms, estimated from the histogram. */
export interface CallStatus {
  readonly type: string;
  readonly command: string;
  readonly count: number;
  /** Failed calls by the code of the CNI error. */
  readonly failed: Readonly<Record<string, number>>;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
}

export interface Status {
  readonly version: string;
  readonly build: string;
  readonly pid: number;
  /** When it began. */
  readonly since: string;
  /** What it looks after. It serves callers at the socket, and makes way for an agent that replaces the socket. */
  readonly watches: {
    readonly socket: string;
    readonly settings: string;
    /** Conflists, for the figures of the networks below. */
    readonly networks: string;
    /** Where it answers questions. */
    readonly answersAt: readonly string[];
  };
  readonly threads: { readonly idle: number; readonly waiting: number; readonly busy: number };
  readonly calls: readonly CallStatus[];
  readonly declined: number;
  readonly broken: number;
  readonly kernelErrors: Readonly<Record<string, number>>;
  readonly networks: readonly NetworkFigures[];
}

export function callStatus({ type, command, outcomes, ...rest }: Figures['calls'][number]): CallStatus {
  const at = (share: number) => Math.round((quantile(rest, share) ?? 0) * 100) / 100;
  const failed = [...outcomes].filter(([code]) => code !== 0).map(([code, count]) => [String(code), count]);
  return {
    type,
    command,
    count: rest.count,
    failed: Object.fromEntries(failed),
    median: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
  };
}

export function kernelErrorNames({ kernelErrors }: Figures): Record<string, number> {
  return Object.fromEntries([...kernelErrors].map(([errno, count]) => [errnoName(errno), count]));
}

/** The socket where the agent of a run directory answers. */
export function statusSocket(run: string): string {
  return `${run}/status.sock`;
}
