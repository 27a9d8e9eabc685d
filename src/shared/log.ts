/** LOG: the events that the server tells (contract: "Log and audit events"), their shape and how untrusted text is made
 *  safe. Owns nothing; where lines go is decided by whoever holds the sink. */

export const EVENT_NAMES = [
  'server.listening',
  'server.draining',
  'server.stopped',
  'worker.started',
  'worker.exited',
  'config.reloaded',
  'config.rejected',
  'connection.accepted',
  'connection.refused',
  'connection.closed',
  'auth.succeeded',
  'auth.failed',
  'channel.opened',
  'channel.refused',
  'channel.closed',
  'forward.bound',
  'forward.refused',
  'forward.released',
] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** One event, one line. Only `event` is always there; text that came from a peer has passed `safeText`. */
export interface AuditEvent {
  readonly event: EventName;
  readonly conn?: number;
  readonly user?: string;
  readonly peer?: string;
  readonly fingerprint?: string;
  readonly method?: string;
  readonly destination?: string;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly durationMs?: number;
  readonly reason?: string;
  readonly worker?: number;
  readonly pid?: number;
  readonly address?: string;
  readonly detail?: string;
}

/** Takes events; never throws and never blocks. */
export type EventSink = (event: AuditEvent) => void;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Makes a peer's text fit for one line of a log: control characters and bidirectional overrides become `\xNN` or
 *  `\u{…}`, and at most 255 characters remain (the last one `…` where text was cut). */
export function safeText(text: string): string {
  const head = text.length > 4 * MAX_TEXT ? text.slice(0, 4 * MAX_TEXT) : text;
  let out = '';
  for (const character of head) {
    const code = character.codePointAt(0) ?? 0;
    const shown =
      code < 0x20 || (code >= 0x7f && code < 0xa0)
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : isInvisible(code)
          ? `\\u{${code.toString(16)}}`
          : character;
    if (out.length + shown.length > MAX_TEXT) return `${out.slice(0, MAX_TEXT - 1)}…`;
    out += shown;
  }
  return out;
}

const MAX_TEXT = 255;

function isInvisible(code: number): boolean {
  return (
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069) ||
    code === 0xfeff ||
    (code >= 0xd800 && code <= 0xdfff) // a surrogate that stands alone
  );
}
