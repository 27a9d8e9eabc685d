/** TEXT: what of a text may stand in one line of a log or a terminal.
 *  Owns nothing. Pure. */

/** Control characters, C1 included, other than those in `except`. */
export function hasControl(text: string, except = ''): boolean {
  for (const character of text) if (CONTROL.test(character) && !except.includes(character)) return true;
  return false;
}

/** Can this be a user's name? 1 to 255 bytes, of which a log needs to escape none: what is shown is the name. */
export function isUserName(text: string): boolean {
  return text !== '' && Buffer.byteLength(text) <= 255 && escapeUnprintable(text) === text;
}

/** Makes one printable line of a text: control characters become `\xNN`; bidirectional overrides, zero-width characters
 *  and lone surrogates `\u{…}`. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16);
    return CONTROL.test(character) ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`;
  });
}

/** One line of JSON for a log or a terminal: what `escapeUnprintable` escapes is written as JSON has it, so that a reader of the
 *  JSON gets the very text. JSON itself leaves C1 control characters as they are, and to a terminal U+009B is ESC [. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`, // all of them are in the BMP
  );
}

const CONTROL = /\p{Cc}/u;
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}\u{feff}]/gu;
