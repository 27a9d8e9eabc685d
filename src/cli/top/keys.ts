/** KEYS: what a terminal in raw mode sends, as keys. Owns nothing. Pure: what is left of a sequence that a read has cut is
 *  handed back and comes again in front of the next one. */

export type Key =
  | { readonly kind: 'character'; readonly text: string }
  /** A paste is never a row of commands: a text with an `x` and a `y` in it would end a connection. */
  | { readonly kind: 'paste'; readonly text: string }
  | { readonly kind: NamedKey };

export type NamedKey =
  | 'up'
  | 'down'
  | 'page-up'
  | 'page-down'
  | 'home'
  | 'end'
  | 'enter'
  | 'escape'
  | 'tab'
  | 'back-tab'
  | 'backspace'
  | 'ctrl-c'
  | 'ctrl-l'
  | 'ctrl-u'
  | 'ctrl-z';

export interface Decoded {
  readonly keys: readonly Key[];
  /** The beginning of a sequence. */
  readonly rest: string;
}

const CONTROLS: Readonly<Record<string, NamedKey>> = {
  '\r': 'enter',
  '\n': 'enter',
  '\t': 'tab',
  '\b': 'backspace',
  '\x7f': 'backspace',
  '\x03': 'ctrl-c',
  '\x0c': 'ctrl-l',
  '\x15': 'ctrl-u',
  '\x1a': 'ctrl-z',
};

/** Behind ESC [ or ESC O, in the dialects that terminals speak. */
const SEQUENCES: Readonly<Record<string, NamedKey>> = {
  A: 'up',
  B: 'down',
  H: 'home',
  F: 'end',
  Z: 'back-tab',
  '1~': 'home',
  '7~': 'home',
  '4~': 'end',
  '8~': 'end',
  '5~': 'page-up',
  '6~': 'page-down',
};

const ESC = '\x1b';
const PASTE_BEGINS = `${ESC}[200~`;
const PASTE_ENDS = `${ESC}[201~`;
/** ECMA-48 §5.4: parameters, intermediates, and one final byte. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal sends
const SEQUENCE = /^\x1b(?:\[([0-?]*[ -/]*[@-~])|O([@-~]))/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const UNFINISHED = /^\x1b(?:\[[0-?]*[ -/]*|O)?$/;
/** Of a sequence or a paste that does not end. */
const MAX_REST = 4_096;

/** @param isLast nothing follows soon: a lone ESC is the key of that name, and no beginning */
export function decode(text: string, isLast = false): Decoded {
  const keys: Key[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const read = readOne(rest, isLast);
    if (read === null) return { keys, rest: bounded(rest) };
    if (read.key !== null) keys.push(read.key);
    at += read.length;
  }
  return { keys, rest: '' };
}

/** What is too long is shortened; a paste stays one until its end, which the last characters may have begun. */
function bounded(rest: string): string {
  if (rest.length <= MAX_REST) return rest;
  return rest.startsWith(PASTE_BEGINS) ? PASTE_BEGINS + rest.slice(1 - PASTE_ENDS.length) : '';
}

/** @returns null: more has to come */
function readOne(text: string, isLast: boolean): { readonly key: Key | null; readonly length: number } | null {
  if (text.startsWith(PASTE_BEGINS)) {
    const end = text.indexOf(PASTE_ENDS);
    if (end === -1) return null;
    return { key: { kind: 'paste', text: text.slice(PASTE_BEGINS.length, end) }, length: end + PASTE_ENDS.length };
  }
  if (!text.startsWith(ESC)) return readCharacter(text);
  const match = SEQUENCE.exec(text);
  if (match !== null) {
    const name = SEQUENCES[match[1] ?? match[2] ?? ''];
    return { key: name === undefined ? null : { kind: name }, length: match[0].length };
  }
  if (UNFINISHED.test(text) && !isLast) return null;
  if (text === ESC || text.startsWith(ESC + ESC)) return { key: { kind: 'escape' }, length: 1 };
  // Alt and a key, or a sequence that breaks off: nothing of ours.
  return { key: null, length: text.startsWith(`${ESC}[`) ? 2 : 1 + ([...text.slice(1)][0]?.length ?? 0) };
}

function readCharacter(text: string): { readonly key: Key | null; readonly length: number } {
  const character = [...text.slice(0, 2)][0] ?? '';
  const name = CONTROLS[character];
  if (name !== undefined) return { key: { kind: name }, length: 1 };
  const key: Key | null = /\p{Cc}/u.test(character) ? null : { kind: 'character', text: character };
  return { key, length: character.length };
}
