/** A line plot as SVG. Both axes are logarithmic; the horizontal one may have a 0 at its left. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  /** Lines below the title: the machine, and the date. */
  readonly caption: readonly string[];
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 460;
const AREA = { left: 64, right: 150, top: 82, bottom: 52 };
/** Distinguishable without colours, too: the palette of Okabe and Ito, and a different mark for each. */
const COLOURS = ['#d55e00', '#0072b2', '#009e73', '#cc79a7'];
const DASHES = ['', '7 4', '2 3', '9 3 2 3'];

export function svgOf({ title, caption, x, y, series }: Plot): string {
  const points = series.flatMap((each) => each.points);
  const xs = [...new Set(points.map(([value]) => value))].sort((a, b) => a - b);
  const [low, high] = decades(points.map(([, value]) => value));
  const [width, height] = [WIDTH - AREA.left - AREA.right, HEIGHT - AREA.top - AREA.bottom];
  const across = positions(xs);
  const atX = (value: number) => AREA.left + (across.get(value) ?? 0) * width;
  const atY = (value: number) => AREA.top + height - (Math.log10(value / low) / Math.log10(high / low)) * height;
  const bottom = AREA.top + height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${AREA.left}" y="24" font-size="16" fill="#111111">${escaped(title)}</text>`,
    ...caption.map((text, i) => `<text x="${AREA.left}" y="${44 + i * 17}" fill="#555555">${escaped(text)}</text>`),
    ...ticks(low, high).map((value) => {
      const at = round(atY(value));
      return `<path d="M${AREA.left} ${at}H${AREA.left + width}" stroke="#dddddd"/><text x="${AREA.left - 8}" y="${at + 4}" text-anchor="end" fill="#333333">${value}</text>`;
    }),
    ...xs.map((value) => {
      const at = round(atX(value));
      return `<path d="M${at} ${bottom}v5" stroke="#333333"/><text x="${at}" y="${bottom + 20}" text-anchor="middle" fill="#333333">${value}</text>`;
    }),
    `<path d="M${AREA.left} ${AREA.top}V${bottom}H${AREA.left + width}" fill="none" stroke="#333333"/>`,
    `<text x="${AREA.left + width / 2}" y="${HEIGHT - 12}" text-anchor="middle" fill="#111111">${escaped(x)}</text>`,
    `<text transform="translate(16 ${AREA.top + height / 2}) rotate(-90)" text-anchor="middle" fill="#111111">${escaped(y)}</text>`,
    ...series.flatMap((each, i) => line(each, i, atX, atY)),
    ...legend(series),
    '</svg>',
    '',
  ].join('\n');
}

function line({ points }: Series, i: number, atX: (value: number) => number, atY: (value: number) => number): string[] {
  const colour = COLOURS[i % COLOURS.length];
  const at = points.map(([x, y]) => [round(atX(x)), round(atY(y))] as const);
  return [
    `<polyline points="${at.map(([x, y]) => `${x},${y}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"${dash(i)}/>`,
    ...at.map(
      ([x, y], j) =>
        `<circle cx="${x}" cy="${y}" r="3.5" fill="${colour}"><title>${points[j]?.[0]}: ${points[j]?.[1]}</title></circle>`,
    ),
  ];
}

/** The legend, in the order in which the lines end, from the top. */
function legend(series: readonly Series[]): string[] {
  const left = WIDTH - AREA.right + 16;
  const last = ({ points }: Series) => points.at(-1)?.[1] ?? 0;
  const order = series.map((each, i) => ({ each, i })).sort((a, b) => last(b.each) - last(a.each));
  return order.map(({ each, i }, row) => {
    const at = AREA.top + 12 + row * 22;
    const colour = COLOURS[i % COLOURS.length];
    return `<path d="M${left} ${at}h24" stroke="${colour}" stroke-width="2"${dash(i)}/><text x="${left + 30}" y="${at + 4}" fill="#111111">${escaped(each.name)}</text>`;
  });
}

function dash(i: number): string {
  const pattern = DASHES[i % DASHES.length];
  return pattern === '' ? '' : ` stroke-dasharray="${pattern}"`;
}

/**
 * The position of each value, from 0 to 1, by its logarithm. 0 is as far before the first value as the average step.
 */
function positions(xs: readonly number[]): Map<number, number> {
  const above = xs.filter((value) => value > 0).map(Math.log10);
  const [first = 0, last = 0] = [above[0], above.at(-1)];
  const step = above.length > 1 ? (last - first) / (above.length - 1) : 1;
  const begin = xs[0] === 0 ? first - step : first;
  const span = last - begin || 1;
  return new Map(xs.map((value) => [value, value === 0 ? 0 : (Math.log10(value) - begin) / span]));
}

/** The bounds of the vertical axis: 1, 2 or 5 times a power of ten. */
function decades(values: readonly number[]): [low: number, high: number] {
  const all = ticks(10 ** -4, 10 ** 6);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const low = all.findLast((tick) => tick <= least) ?? 10 ** -4;
  return [low, all.find((tick) => tick >= most && tick > low) ?? 10 ** 6];
}

function ticks(low: number, high: number): number[] {
  const found: number[] = [];
  for (let power = -4; power <= 6; power++) {
    for (const digit of [1, 2, 5]) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
