/** SPARKLINE: how a throughput has gone lately, one cell a sample. Owns nothing. Pure. */
import type { Glyphs } from './cells.js';

const STEPS: Readonly<Record<Glyphs, string>> = { unicode: '▁▂▃▄▅▆▇█', ascii: '_.-:=+*#' };

/** The latest sample stands at the right; where there are fewer than `width` the left is empty. The highest one reaches the top. */
export function sparkline(samples: readonly number[], width: number, glyphs: Glyphs): string {
  const shown = samples.slice(-width);
  const highest = Math.max(...shown, 1);
  const steps = STEPS[glyphs];
  const drawn = shown.map((value) => {
    // Anything that moves at all is seen to.
    const step = value <= 0 ? 0 : Math.max(1, Math.round((value / highest) * (steps.length - 1)));
    return steps[step] ?? ' ';
  });
  return drawn.join('').padStart(width);
}
