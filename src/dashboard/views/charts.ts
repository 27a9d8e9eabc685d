/** CHARTS: throughput and connections over the last ten minutes; their legends say the values under the pointer, or the newest. */
import { Chart } from '../chart.js';
import { highest, type Lines, latest, population, throughput } from '../derive.js';
import { need, setText } from '../dom.js';
import { bytes, clock, count, rate, shortCount } from '../format.js';
import type { State } from '../state.js';

export function chartsView(): (state: State) => void {
  const panels = [
    new Panel('throughput', throughput, rate, {
      colours: ['--in', '--out'],
      label: (value) => `${bytes(value)}/s`,
      least: 1_024,
      base: 1_024,
      words: ['from clients', 'to clients'],
    }),
    new Panel('population', population, (value) => (value === undefined ? '–' : count(value)), {
      colours: ['--connections', '--channels'],
      label: shortCount,
      least: 4,
      base: 1_000,
      words: ['connections', 'channels'],
    }),
  ];
  let shown: State['samples'] | undefined;
  return ({ samples }) => {
    if (samples === shown) return;
    shown = samples;
    for (const panel of panels) panel.update(samples);
  };
}

interface PanelOptions {
  readonly colours: readonly [string, string];
  readonly label: (value: number) => string;
  readonly least: number;
  readonly base: 1_000 | 1_024;
  readonly words: readonly [string, string];
}

class Panel {
  readonly #name: string;
  readonly #linesOf: (samples: State['samples']) => Lines;
  readonly #say: (value: number | undefined) => string;
  readonly #words: readonly [string, string];
  readonly #chart: Chart;
  #lines: Lines = [[], [], []];
  #point: number | undefined;

  constructor(
    name: string,
    linesOf: (samples: State['samples']) => Lines,
    say: (value: number | undefined) => string,
    { words, ...options }: PanelOptions,
  ) {
    this.#name = name;
    this.#linesOf = linesOf;
    this.#say = say;
    this.#words = words;
    const onPoint = (index: number | undefined): void => {
      this.#point = index;
      this.#showLegend();
    };
    this.#chart = new Chart({ ...options, root: need(name, HTMLDivElement), onPoint });
  }

  update(samples: State['samples']): void {
    this.#lines = this.#linesOf(samples);
    this.#chart.update(this.#lines, this.#summary());
    this.#showLegend();
  }

  #showLegend(): void {
    const [times, a, b] = this.#lines;
    const index = this.#point ?? times.length - 1;
    const time = this.#point === undefined ? undefined : times[index];
    setText(need(`${this.#name}-a`, HTMLElement), this.#say(a[index] ?? undefined));
    setText(need(`${this.#name}-b`, HTMLElement), this.#say(b[index] ?? undefined));
    setText(need(`${this.#name}-time`, HTMLElement), time === undefined ? '' : `at ${clock(time * 1_000)}`);
  }

  #summary(): string {
    const [, a, b] = this.#lines;
    const line = (words: string, values: Lines[1]): string =>
      `${words} now ${this.#say(latest(values))}, at most ${this.#say(highest(values))}`;
    return `The last ten minutes: ${line(this.#words[0], a)}; ${line(this.#words[1], b)}.`;
  }
}
