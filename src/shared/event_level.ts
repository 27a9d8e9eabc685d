/** EVENT LEVEL: how loud each event is in the log.
 *  Owns the table. Both sides of IPC ask it: the primary for the line, a worker for whether anybody wants to hear. */
import type { AuditEvent, EventName } from './events.js';
import { LOG_LEVELS, type LogLevel } from './log.js';

type Level = Extract<LogLevel, 'debug' | 'info' | 'warn'>;

/** Refusals are warnings, since an operator looks for them; the everyday life of channels is for `debug`. */
const LEVELS: { readonly [event in EventName]: Level } = {
  'server.listening': 'info',
  'server.draining': 'info',
  'server.stopped': 'info',
  'config.reloaded': 'info',
  'config.rejected': 'warn',
  'worker.started': 'info',
  'worker.adopted': 'info',
  'worker.exited': 'warn',
  'source.penalised': 'warn',
  'connection.accepted': 'info',
  'connection.refused': 'warn',
  'connection.closed': 'info',
  'auth.succeeded': 'info',
  'auth.partial': 'info',
  'auth.failed': 'warn',
  'auth.weakHash': 'warn',
  'channel.opened': 'debug',
  'channel.refused': 'warn',
  'channel.closed': 'debug',
  'forward.bound': 'info',
  'forward.refused': 'warn',
  'forward.released': 'info',
};

export function levelOf(event: AuditEvent): Level {
  if (event.event === 'worker.exited' && event.reason === 'DRAINED') return 'info'; // as it was told to
  if ('reason' in event && (event.reason === 'HOOK_FAILED' || event.reason === 'HOOK_TIMEOUT')) return 'warn';
  // A load balancer and this server that do not agree: nobody gets in by it, and no other line says so.
  if (event.event === 'connection.closed' && event.reason.startsWith('PROXY_')) return 'warn';
  return Object.hasOwn(LEVELS, event.event) ? LEVELS[event.event] : 'info';
}

/** Is the event told at this level of the log, where everything below it is left out? */
export function isEnabled(event: AuditEvent, level: LogLevel): boolean {
  return LOG_LEVELS.indexOf(levelOf(event)) >= LOG_LEVELS.indexOf(level);
}
