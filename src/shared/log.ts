/** LOG: the events that the server tells, their shape and how untrusted text is made safe.
 *  Owns nothing; where lines go is decided by whoever holds the sink. */
import type { ReasonCode } from './errors.js';
import { escapeUnprintable } from './text.js';

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
  readonly reason?: ReasonCode;
  readonly worker?: number;
  readonly pid?: number;
  readonly address?: string;
  readonly detail?: string;
}

/** Takes events; never throws and never blocks. */
export type EventSink = (event: AuditEvent) => void;

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
