/** CHART: two lines over the last ten minutes. Owns one uPlot, which is made anew when colours change: light, dark, or more
 *  contrast. A screen reader hears a sentence in its place. */

import type { Lines } from './derive.js';
import { clock } from './format.js';
import uPlot from './uplot.js';

const HEIGHT_PX = 190;
const WINDOW_SECONDS = 600;
/** Points between two labels of an axis, at least. */
const LABELS_PX = { x: 90, y: 34 } as const;

export interface ChartOptions {
  readonly root: HTMLElement;
  /** Custom properties of style.css with the colours of the two lines. */
  readonly colours: readonly [string, string];
  /** A value as the axis has it. */
  readonly label: (value: number) => string;
  /** The top of an empty chart: what counts as little. */
  readonly least: number;
  /** 1024 where values are bytes: round numbers are others there. */
  readonly base: 1_000 | 1_024;
  /** A point of time is under the pointer, or none: then the newest. */
  readonly onPoint: (index: number | undefined) => void;
}

export class Chart {
  readonly #options: ChartOptions;
  #plot: uPlot | undefined;
  #lines: Lines = [[], [], []];

  constructor(options: ChartOptions) {
    this.#options = options;
    new ResizeObserver(() => this.#resize()).observe(options.root);
    for (const query of ['(prefers-color-scheme: dark)', '(prefers-contrast: more)', '(forced-colors: active)'])
      matchMedia(query).addEventListener('change', () => this.#rebuild());
  }

  /** @param summary what the chart shows, as a sentence */
  update(lines: Lines, summary: string): void {
    this.#lines = lines;
    this.#options.root.setAttribute('aria-label', summary);
    if (this.#plot === undefined) this.#rebuild();
    else this.#plot.setData(columns(lines));
  }

  #resize(): void {
    const width = this.#options.root.clientWidth;
    if (width > 0 && this.#plot?.width !== width) this.#plot?.setSize({ width, height: HEIGHT_PX });
  }

  #rebuild(): void {
    const { root, colours, label, least, base, onPoint } = this.#options;
    this.#plot?.destroy();
    const style = getComputedStyle(root);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: colour('--muted'),
      font: `11px ${style.fontFamily}`,
      grid: { stroke: colour('--grid'), width: 1 },
      ticks: { show: false },
    };
    const line = (name: string, filled: boolean): uPlot.Series => ({
      stroke: colour(name),
      width: 1.75,
      points: { show: false },
      ...(filled ? { fill: colour(`${name}-fill`) } : {}),
    });
    this.#plot = new uPlot(
      {
        width: Math.max(root.clientWidth, 200),
        height: HEIGHT_PX,
        padding: [10, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'sallyport' }, points: { size: 7 } },
        scales: {
          x: { range: (_, __, last) => [last - WINDOW_SECONDS, last] },
          y: { range: (_, __, top) => [0, roof(top, least, base)] },
        },
        axes: [
          {
            ...axis,
            space: LABELS_PX.x,
            size: 28,
            values: (_, times) => times.map((time) => clock(time * 1_000).slice(0, 5)),
          },
          {
            ...axis,
            space: LABELS_PX.y,
            size: 66,
            gap: 6,
            splits: (_, __, ___, top) => [0, top / 4, top / 2, (3 * top) / 4, top],
            values: (_, values) => values.map(label),
          },
        ],
        series: [{}, line(colours[0], true), line(colours[1], true)],
        hooks: { setCursor: [(plot) => onPoint(plot.cursor.idx ?? undefined)] },
      },
      columns(this.#lines),
      root,
    );
  }
}

/** The next number above `top` whose quarters are round: 4, 8, 12 … 36 times a power of ten, of KiB or of MiB. */
export function roof(top: number | null, least: number, base: 1_000 | 1_024): number {
  const value = Math.max(top ?? 0, least);
  let unit = 1;
  while (value / unit > 800 && base > 1) unit *= base;
  for (let ten = unit; ; ten *= 10)
    for (const step of [4, 8, 12, 16, 20, 24, 28, 32, 36]) if (step * ten >= value) return step * ten;
}

function columns(lines: Lines): uPlot.AlignedData {
  return [[...lines[0]], [...lines[1]], [...lines[2]]];
}
