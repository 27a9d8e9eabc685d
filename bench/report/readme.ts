/** README: the sentences with figures in the project's README, between two markers. Pure. */
import type { Results } from './schema.js';
import { Figures, geometricMean } from './stats.js';
import { bulkCells, IDLE, LOGIN } from './targets.js';

const BEGIN = '<!-- figures of bench/results.json, by npm run bench:report -->';
const END = '<!-- end of figures -->';
const LINE_CHARS = 120;

/** @throws when the markers are not there: figures that nobody renews would stay */
export function readmeWith(readme: string, results: Results): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from === -1 || to < from) throw new Error(`README.md has no lines "${BEGIN}" and "${END}" around its figures`);
  return `${readme.slice(0, from + BEGIN.length)}\n${wrapped(sentences(results))}\n${readme.slice(to)}`;
}

function sentences(results: Results): string {
  const figures = new Figures(results);
  const bulk = bulkCells().map((cell) => figures.ratio(cell, 'sallyport'));
  const known = bulk.filter((ratio) => ratio !== undefined);
  const claims = [
    claim(known.length === bulk.length ? geometricMean(known) : undefined, (x) => `moves a gigabyte with ${x}`),
    claim(figures.ratio(LOGIN, 'sallyport'), (x) => `logs a client in with ${x}`),
  ].filter((text) => text !== undefined);
  const memory = figures.ratio(IDLE, 'sallyport');
  const cpu =
    claims.length === 0
      ? undefined
      : `${claims.join(' and ')} of the CPU that OpenSSH's sshd needs on the same machine`;
  const held = memory === undefined ? undefined : `holds an idle connection in ${part(memory)} of its memory`;
  const all = [cpu, held].filter((text) => text !== undefined);
  if (all.length === 0) return 'There are no figures yet.';
  return `Sallyport ${all.join(', and ')}.`;
}

function claim(ratio: number | undefined, text: (part: string) => string): string | undefined {
  return ratio === undefined ? undefined : text(part(ratio));
}

/** Ratios are "times better"; in a sentence the part that is needed is easier to read: 1/20, 71 %. */
function part(ratio: number): string {
  return ratio >= 5 ? `1/${Math.round(ratio)}` : `${Math.round(100 / ratio)} %`;
}

function wrapped(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > LINE_CHARS) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
