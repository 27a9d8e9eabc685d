/** EVENT LINES: how an event is written: one line of JSON with its level and time. Owns nothing. Text of peers is escaped: JSON
 *  knows no raw control character, so one event stays one line. */
import { type Logger, pino } from 'pino';
import type { LogLevel } from '../shared/log.js';

/** @param write takes each line, with its newline */
export function eventLines(level: LogLevel, write: (line: string) => void): Logger {
  return pino(
    {
      level,
      base: null, // pid and host name: the journal knows them
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}
