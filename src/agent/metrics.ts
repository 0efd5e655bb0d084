/** The agent's figures as text for Prometheus. https://prometheus.io/docs/instrumenting/exposition_formats/ */
import { errnoName } from '../ffi/errno.ts';
import type { Status } from './status.ts';
import { BOUNDS, type Figures } from './tally.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number, suffix?: string];

export function metricsText({ calls, declined, broken, kernelErrors }: Figures, status: Status): string {
  const { version, build, since, threads, networks } = status;
  return [
    ...family('netloom_info', 'gauge', 'The agent that answers.', [[{ version, build }, 1]]),
    ...family('netloom_start_time_seconds', 'gauge', 'When it began, since 1970.', [[{}, Date.parse(since) / 1000]]),
    ...family(
      'netloom_calls_total',
      'counter',
      'Calls of plugins by outcome: 0 for success, else the code of the CNI error.',
      calls.flatMap(({ type, command, outcomes }) =>
        [...outcomes].map(([code, count]): Sample => [{ type, command, code: String(code) }, count]),
      ),
    ),
    ...family(
      'netloom_call_duration_seconds',
      'histogram',
      'From when a call was read to when its result was printed.',
      calls.flatMap(histogram),
    ),
    ...family('netloom_calls_declined_total', 'counter', 'Calls that were left to the caller.', [[{}, declined]]),
    ...family('netloom_calls_broken_total', 'counter', 'Calls whose caller went away.', [[{}, broken]]),
    ...family(
      'netloom_kernel_errors_total',
      'counter',
      'Requests of netlink that the kernel refused.',
      [...kernelErrors].map(([errno, count]): Sample => [{ errno: errnoName(errno) }, count]),
    ),
    ...family(
      'netloom_threads',
      'gauge',
      'Threads that carry calls out.',
      Object.entries(threads).map(([state, count]): Sample => [{ state }, count]),
    ),
    ...family(
      'netloom_endpoints',
      'gauge',
      'Interfaces that are attached to a network.',
      networks.map(({ name, endpoints }): Sample => [{ network: name }, endpoints]),
    ),
    ...(['free', 'used'] as const).flatMap((which) =>
      family(
        `netloom_leases_${which}`,
        'gauge',
        `Addresses of host-local that are ${which === 'free' ? 'left' : 'taken'}.`,
        networks.flatMap(({ name, leases }) =>
          leases.map((lease): Sample => [{ network: name, ranges: lease.ranges }, lease[which]]),
        ),
      ),
    ),
    '',
  ].join('\n');
}

function histogram({ type, command, buckets, count, sum }: Figures['calls'][number]): Sample[] {
  let below = 0;
  const samples = BOUNDS.map((bound, i): Sample => {
    below += buckets[i] ?? 0;
    return [{ type, command, le: String(bound / 1e6) }, below, '_bucket'];
  });
  return [
    ...samples,
    [{ type, command, le: '+Inf' }, count, '_bucket'],
    [{ type, command }, sum / 1e6, '_sum'],
    [{ type, command }, count, '_count'],
  ];
}

/** A metric without samples is left out, as its type says nothing. */
function family(name: string, type: string, help: string, samples: readonly Sample[]): string[] {
  if (samples.length === 0) return [];
  const lines = samples.map(([labels, value, suffix = '']) => `${name}${suffix}${labelText(labels)} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
