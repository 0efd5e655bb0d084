/** The plots of the bench: what is drawn, and where. */
import test from 'ava';
import { type Plot, svgOf } from '../../bench/plot.ts';

const PLOT: Plot = {
  title: 'ADD & <DEL>',
  caption: ['n = 40', 'Linux'],
  x: 'at once',
  y: 'ms',
  series: [
    {
      name: 'slow',
      points: [
        [1, 8],
        [4, 16],
        [16, 64],
      ],
    },
    {
      name: 'fast',
      points: [
        [1, 1],
        [4, 1.5],
        [16, 4],
      ],
    },
  ],
};

function lines(svg: string): [number, number][][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points = '']) =>
    points.split(' ').map((point) => point.split(',').map(Number) as [number, number]),
  );
}

test('a line a series, with equal steps for equal factors, and less time further down', (t) => {
  const [slow = [], fast = []] = lines(svgOf(PLOT));
  const xs = slow.map(([x]) => x);
  t.is(Math.round((xs[1] ?? 0) - (xs[0] ?? 0)), Math.round((xs[2] ?? 0) - (xs[1] ?? 0)));
  t.true(slow.every(([, y], i) => y < (fast[i]?.[1] ?? 0)));
  t.is(fast[0]?.[1], 408, 'the least is on the axis');
});

test('a 0 stands left of the first step', (t) => {
  const points = [0, 10, 100].map((x) => [x, 2] as const);
  const [line = []] = lines(svgOf({ ...PLOT, series: [{ name: 'one', points }] }));
  const [zero = 0, ten = 0, hundred = 0] = line.map(([x]) => x);
  t.true(zero < ten && ten < hundred);
  t.is(zero, 64);
});

test('every line has its name, and text is escaped', (t) => {
  const svg = svgOf(PLOT);
  for (const word of ['>slow<', '>fast<', '>at once<', '>ms<', '>n = 40<', '>ADD &amp; &lt;DEL&gt;<'])
    t.true(svg.includes(word), word);
  const opened = [...svg.matchAll(/<([a-z]+)(?:\s[^<>]*[^/])?>/g)].map(([, name]) => name);
  const closed = [...svg.matchAll(/<\/([a-z]+)>/g)].map(([, name]) => name);
  t.deepEqual(opened.toSorted(), closed.toSorted());
});

test('one point is a plot as well', (t) => {
  const svg = svgOf({ ...PLOT, series: [{ name: 'one', points: [[1, 2]] }] });
  t.false(/NaN|Infinity/.test(svg));
});
