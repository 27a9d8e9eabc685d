/** LOG: the levels of a log, and how untrusted text is made safe for one line of it.
 *  Owns nothing. */
import { escapeUnprintable } from './text.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The one of two that lets more through. */
export function lowerLevel(a: LogLevel, b: LogLevel): LogLevel {
  return LOG_LEVELS.indexOf(a) < LOG_LEVELS.indexOf(b) ? a : b;
}

/** Longest text of a peer's in a log, in characters. */
export const MAX_TEXT = 255;

/** Makes a peer's text fit for one line of a log: what cannot be printed is escaped, and at most `maxLength` characters
 *  remain (the last one `…` where text was cut). */
export function safeText(text: string, maxLength: number = MAX_TEXT): string {
  const head = text.length > 4 * maxLength ? text.slice(0, 4 * maxLength) : text;
  let out = '';
  for (const character of head) {
    const shown = escapeUnprintable(character);
    if (out.length + shown.length > maxLength) return `${out.slice(0, maxLength - 1)}…`;
    out += shown;
  }
  return out;
}
