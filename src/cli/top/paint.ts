/** PAINT: a line of a frame as what a terminal is sent. Owns nothing. Pure. */
import type { Line, Style } from './frame.js';

/** `none`: no sequences at all. `attributes`: bold, faint and reverse, but no colour (https://no-color.org). */
export type Palette = 'colours' | 'attributes' | 'none';

/** Parameters of SGR (ECMA-48 §8.3.117). */
const SGR: Readonly<Record<Exclude<Palette, 'none'>, Readonly<Record<Style, string>>>> = {
  colours: {
    plain: '',
    strong: '1',
    faint: '2',
    good: '32',
    careful: '33',
    bad: '1;31',
    heading: '7',
    sorted: '1;7;36',
    selected: '30;46',
  },
  attributes: {
    plain: '',
    strong: '1',
    faint: '2',
    good: '',
    careful: '1',
    bad: '1',
    heading: '7',
    sorted: '1;7',
    selected: '7',
  },
};

export function paint(line: Line, palette: Palette): string {
  if (palette === 'none')
    return line
      .map(({ text }) => text)
      .join('')
      .trimEnd();
  return line
    .map(({ text, style }) => {
      const parameters = SGR[palette][style];
      return parameters === '' || text === '' ? text : `\x1b[${parameters}m${text}\x1b[m`;
    })
    .join('');
}
