/** CHART: results.svg: what a unit of work costs each server, relative to OpenSSH. From a results file, the same for the
 *  same file. Pure. */
import type { Results } from './schema.js';
import { BASELINE, type Figure, Figures, geometricMean } from './stats.js';
import { bulkCells, IDLE, LOGIN } from './targets.js';
import { figure, times } from './text.js';

const WIDTH = 900;
const LEFT = 130;
const RIGHT = 200;
const TOP = 64;
const ROW = 22;
const BAR = 15;
const GROUP_HEAD = 34;
const FOOT = 40;
const OURS = 'sallyport';

interface Bar {
  readonly peer: string;
  /** Cost of one unit of work; OpenSSH = 1. */
  readonly cost: number;
  /** The same as it was measured. */
  readonly absolute: string;
}

interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export function chart(results: Results): string {
  const figures = new Figures(results);
  const peers = peersOf(results);
  const groups = [
    group('Server CPU per GB (aes128-gcm and chacha20-poly1305, both ways)', 's/GB', bulkCells(), figures, peers),
    group('Server CPU per login', 'ms', [LOGIN], figures, peers),
    group('Memory per idle connection', 'KiB', [IDLE], figures, peers),
  ].filter(({ bars }) => bars.length > 1); // OpenSSH alone says nothing
  return svg(groups);
}

function group(
  title: string,
  unit: string,
  cells: readonly Figure[],
  figures: Figures,
  peers: readonly string[],
): Group {
  const bars = peers.flatMap((peer): Bar[] => {
    // Of several cells the geometric mean, over those that this server has: not every server has every cipher.
    const pairs = cells.flatMap((cell) => {
      const [own, base] = [figures.median(cell, peer), figures.median(cell, BASELINE)];
      return own === undefined || base === undefined || own <= 0 || base <= 0 ? [] : [{ own, cost: own / base }];
    });
    if (pairs.length === 0) return [];
    const part = pairs.length < cells.length ? `, ${pairs.length} of ${cells.length} cells` : '';
    const absolute = `${figure(geometricMean(pairs.map(({ own }) => own)))} ${unit}${part}`;
    return [{ peer, cost: geometricMean(pairs.map(({ cost }) => cost)), absolute }];
  });
  return { title, bars };
}

function svg(groups: readonly Group[]): string {
  const costs = groups.flatMap(({ bars }) => bars.map(({ cost }) => cost));
  const scale = logScale(costs);
  const height = TOP + groups.reduce((sum, { bars }) => sum + GROUP_HEAD + bars.length * ROW, 0) + FOOT;
  const body: string[] = [];
  let y = TOP;
  for (const { title, bars } of groups) {
    body.push(`<text class="head" x="16" y="${y + 22}">${escaped(title)}</text>`);
    y += GROUP_HEAD;
    for (const bar of bars) {
      body.push(barOf(bar, y, scale.x));
      y += ROW;
    }
  }
  const grid = scale.ticks.map((tick) => {
    const x = at(scale.x(tick));
    return (
      `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${x}" y1="${TOP}" x2="${x}" y2="${y + 4}"/>` +
      `<text class="tick" x="${x}" y="${y + 20}">${tick === 1 ? BASELINE : times(tick)}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title desc">
<title id="title">What a unit of work costs each SSH server, relative to OpenSSH</title>
<desc id="desc">${escaped(description(groups))}</desc>
<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .top { font-size: 16px; font-weight: 600; }
  .head { font-weight: 600; }
  .soft, .tick { fill: #59636e; }
  .tick { font-size: 11px; text-anchor: middle; }
  .peer { text-anchor: end; }
  .other { fill: #9aa4ae; }
  .ours { fill: #1a7f64; }
  .grid { stroke: #d1d9e0; }
  .one { stroke: #59636e; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .soft, .tick { fill: #9198a1; }
    .other { fill: #656c76; }
    .ours { fill: #3fb68b; }
    .grid { stroke: #3d444d; }
    .one { stroke: #9198a1; }
  }
</style>
<text class="top" x="16" y="26">Cost relative to OpenSSH</text>
<text class="soft" x="16" y="46">To the left of the line is cheaper, to the right dearer. Each step of the scale is a factor.</text>
${[...grid, ...body].join('\n')}
</svg>
`;
}

function barOf({ peer, cost, absolute }: Bar, y: number, x: (cost: number) => number): string {
  const [from, to] = [Math.min(x(1), x(cost)), Math.max(x(1), x(cost))];
  const label = `${times(cost)} (${absolute})`;
  // Behind the bar's right end, also where it grows to the left: there is always room.
  return (
    `<g><title>${escaped(`${peer}: ${label}`)}</title><text class="peer" x="${LEFT - 10}" y="${y + 12}">${escaped(peer)}</text>` +
    `<rect class="${peer === OURS ? 'ours' : 'other'}" x="${at(from)}" y="${y}" width="${at(Math.max(2, to - from))}" height="${BAR}"/>` +
    `<text class="soft" x="${at(to + 6)}" y="${y + 12}">${escaped(label)}</text></g>`
  );
}

/** Costs lie between a hundredth and thirty times: only a logarithm shows both. */
function logScale(costs: readonly number[]): { x(cost: number): number; ticks: readonly number[] } {
  const lowest = Math.floor(Math.log10(Math.min(0.5, ...costs)));
  const highest = Math.ceil(Math.log10(Math.max(2, ...costs)));
  const width = WIDTH - LEFT - RIGHT;
  const x = (cost: number): number => LEFT + (width * (Math.log10(cost) - lowest)) / (highest - lowest);
  const ticks = Array.from({ length: highest - lowest + 1 }, (_, i) => 10 ** (lowest + i));
  return { x, ticks };
}

function description(groups: readonly Group[]): string {
  return groups
    .map(
      ({ title, bars }) =>
        `${title}: ${bars.map(({ peer, cost, absolute }) => `${peer} ${times(cost)} (${absolute})`).join(', ')}.`,
    )
    .join(' ');
}

/** In the order of the file, over all scenarios. */
function peersOf({ scenarios }: Results): string[] {
  return [...new Set(scenarios.flatMap(({ cells }) => cells.flatMap(({ peers }) => peers.map(({ peer }) => peer))))];
}

/** Coordinates of one decimal: the same text on every machine. */
function at(value: number): string {
  return String(Number(value.toFixed(1)));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
