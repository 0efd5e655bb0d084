/** What the agent counts, and the figures that it derives. */
import test from 'ava';
import { traceOf } from '../../src/agent/log.ts';
import { metricsText } from '../../src/agent/metrics.ts';
import type { Status } from '../../src/agent/status.ts';
import { BOUNDS, quantile, Tally } from '../../src/agent/tally.ts';
import { samples } from './ask.ts';

const TYPES = ['bridge', 'portmap'];

const STATUS: Status = {
  version: '1',
  build: 'abc',
  pid: 1,
  since: '2026-01-01T00:00:00.000Z',
  watches: { socket: '', settings: '', networks: '', answersAt: [] },
  threads: { idle: 1, waiting: 1, busy: 0 },
  calls: [],
  declined: 0,
  broken: 0,
  kernelErrors: {},
  networks: [{ name: 'a"b\\c\nd', endpoints: 2, leases: [] }],
};

test('threads that share the memory count together', (t) => {
  const one = new Tally(TYPES);
  const other = new Tally(TYPES, one.memory);
  one.called('bridge', 'ADD', 0, 1.5);
  other.called('bridge', 'ADD', 7, 0.1);
  other.called('portmap', 'DEL', 0, 1000);
  one.declined();
  other.broken();
  one.refused(17);
  other.refused(17);
  const { calls, declined, broken, kernelErrors } = one.read();
  t.deepEqual([declined, broken, [...kernelErrors]], [1, 1, [[17, 2]]]);
  t.deepEqual(
    calls.map(({ type, command, count, sum, outcomes }) => [type, command, count, sum, [...outcomes]]),
    [
      [
        'bridge',
        'ADD',
        2,
        1600,
        [
          [0, 1],
          [7, 1],
        ],
      ],
      ['portmap', 'DEL', 1, 1_000_000, [[0, 1]]],
    ],
  );
});

test('what is none of its types, commands or errnos is not counted, nor in the way of others', (t) => {
  const tally = new Tally(TYPES);
  tally.called('other', 'ADD', 0, 1);
  tally.called('bridge', 'VERSION', 0, 1);
  for (const errno of [0, -1, 256, 4000]) tally.refused(errno);
  const { calls, kernelErrors } = tally.read();
  t.deepEqual([calls.length, kernelErrors.size], [0, 0]);
});

test('a code above all of netloom’s is its own for a fault', (t) => {
  const tally = new Tally(TYPES);
  for (const code of [999, 4321]) tally.called('bridge', 'ADD', code, 1);
  t.deepEqual([...(tally.read().calls[0]?.outcomes ?? [])], [[999, 2]]);
});

test('a bound belongs to the bucket below it', (t) => {
  for (const [i, bound] of BOUNDS.entries()) {
    const tally = new Tally(TYPES);
    tally.called('bridge', 'ADD', 0, bound / 1000);
    tally.called('bridge', 'ADD', 0, (bound + 1) / 1000);
    const buckets = tally.read().calls[0]?.buckets ?? [];
    t.deepEqual([buckets[i], buckets[i + 1]], [1, 1], String(bound));
  }
});

test('quantiles are taken within a bucket', (t) => {
  const buckets = BOUNDS.map(() => 0);
  t.is(quantile({ buckets, count: 0 }, 0.5), undefined);
  buckets[3] = 10; // 1 to 2 ms
  t.is(quantile({ buckets, count: 10 }, 0.5), 1.5);
  t.is(quantile({ buckets, count: 10 }, 1), 2);
  buckets[0] = 10; // up to 0.25 ms
  t.is(quantile({ buckets, count: 20 }, 0.5), 0.25);
  t.is(quantile({ buckets: [...BOUNDS.map(() => 0), 1], count: 1 }, 0.5), 30_000, 'above all bounds');
});

test('names of networks are escaped', (t) => {
  const text = metricsText(new Tally(TYPES).read(), STATUS);
  t.is(samples(text).get('netloom_endpoints{network="a\\"b\\\\c\\nd"}'), 2);
});

const ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const VALID = { trace_id: ID, span_id: SPAN, trace_flags: '01' };
/** https://www.w3.org/TR/trace-context/#versioning-of-traceparent */
const PARENTS: readonly [text: string, trace: object | undefined][] = [
  [`00-${ID}-${SPAN}-01`, VALID],
  [`cc-${ID}-${SPAN}-01-what-comes-later`, VALID],
  [`00-${ID}-${SPAN}-01x`, undefined],
  [`ff-${ID}-${SPAN}-01`, undefined],
  [`00-${ID.toUpperCase()}-${SPAN}-01`, undefined],
  [`00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
  [`00-${ID}-${'0'.repeat(16)}-01`, undefined],
  [`00-${ID}-${SPAN}`, undefined],
  ['', undefined],
];
for (const [text, trace] of PARENTS) {
  test(`the trace of "${text}"`, (t) => t.deepEqual(traceOf(text), trace));
}
