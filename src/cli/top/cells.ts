/** CELLS: texts as a terminal shows them: what is harmless, how many cells it takes, and how it is cut to so many.
 *  Owns nothing. Pure. */
import { escapeUnprintable } from '../../shared/text.js';

/** What the terminal can show: `ascii` where its locale is not UTF-8. */
export type Glyphs = 'unicode' | 'ascii';

/** A text of somebody else's as one line that does nothing to a terminal: controls, overrides of direction and everything else
 *  without a shape of its own is written as its number. */
export function harmless(text: string, glyphs: Glyphs = 'unicode'): string {
  const shown = escapeUnprintable(text.normalize('NFC'))
    .replaceAll(SHAPELESS, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
    .replaceAll(SPACES, ' ')
    .replaceAll(PILED_MARKS, '$1');
  return glyphs === 'unicode' ? shown : shown.replaceAll(NOT_ASCII, '?');
}

const SHAPELESS = /[\p{Cf}\p{Co}\p{Cn}\p{Variation_Selector}]/gu;
const SPACES = /\p{Zs}/gu;
/** Two marks on a letter are a language, twenty cover the lines above. */
const PILED_MARKS = /([\p{Mn}\p{Me}]{2})[\p{Mn}\p{Me}]+/gu;
const NOT_ASCII = /[^\x20-\x7e]/gu;

/** Cells that a harmless text takes. Terminals differ about a few characters; the screen sets every line by itself, so that such a
 *  one shifts the rest of its own line and nothing else. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += cellsOf(character);
  return width;
}

function cellsOf(character: string): 0 | 1 | 2 {
  if (NO_CELL.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

const NO_CELL = /[\p{Mn}\p{Me}\u{1160}-\u{11ff}]/u;
/** Wide and fullwidth of UAX #11, in blocks. */
const WIDE = new RegExp(
  '\\p{Emoji_Presentation}|[\\u{1100}-\\u{115f}\\u{2329}\\u{232a}\\u{2e80}-\\u{303e}\\u{3041}-\\u{a4cf}\\u{a960}-\\u{a97f}' +
    '\\u{ac00}-\\u{d7a3}\\u{f900}-\\u{faff}\\u{fe10}-\\u{fe19}\\u{fe30}-\\u{fe6f}\\u{ff00}-\\u{ff60}\\u{ffe0}-\\u{ffe6}' +
    '\\u{16fe0}-\\u{1b2ff}\\u{1f200}-\\u{1f2ff}\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f900}-\\u{1faff}\\u{20000}-\\u{3fffd}]',
  'u',
);

/** What of a text fits into `width` cells; where it does not, its last cell says so. */
export function cut(text: string, width: number, glyphs: Glyphs): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return '';
  let [kept, cells] = ['', 0];
  for (const character of text) {
    cells += cellsOf(character);
    if (cells > width - 1) break;
    kept += character;
  }
  return `${kept}${glyphs === 'unicode' ? '…' : '~'}`;
}

/** A text in exactly `width` cells. */
export function fit(text: string, width: number, align: 'left' | 'right', glyphs: Glyphs): string {
  const shown = cut(text, width, glyphs);
  const gap = ' '.repeat(Math.max(0, width - widthOf(shown)));
  return align === 'left' ? shown + gap : gap + shown;
}
