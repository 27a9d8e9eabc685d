/** LOG: the levels of a log, and how untrusted text is made safe for one line of it.
 *  Owns nothing. */
import { escapeUnprintable } from './text.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Makes a peer's text fit for one line of a log: what cannot be printed is escaped, and at most 255 characters remain
 *  (the last one `…` where text was cut). */
export function safeText(text: string): string {
  const head = text.length > 4 * MAX_TEXT ? text.slice(0, 4 * MAX_TEXT) : text;
  let out = '';
  for (const character of head) {
    const shown = escapeUnprintable(character);
    if (out.length + shown.length > MAX_TEXT) return `${out.slice(0, MAX_TEXT - 1)}…`;
    out += shown;
  }
  return out;
}

const MAX_TEXT = 255;
