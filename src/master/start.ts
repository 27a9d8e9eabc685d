/** START: a primary with its log, its host keys and the limits of its machine, ready to be started.
 *  Owns the log until `end`. Knows no signal and no environment. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isatty } from 'node:tty';
import type { Config } from '../shared/config.js';
import { TunnelError } from '../shared/errors.js';
import type { AuditEvent, EventSink } from '../shared/events.js';
import type { HandlerStart } from '../shared/ipc.js';
import { type LogLevel, lowerLevel } from '../shared/log.js';
import { Feed } from './admin/feed.js';
import type { Steering } from './admin/served.js';
import type { AuditChange } from './audit.js';
import { systemClock } from './clock.js';
import { EventLog, type LinesLost, type Log, type LogSettings } from './event_log.js';
import { loadHostKeys, whyUnsafe } from './host_keys.js';
import { Primary, type PrimaryTiming } from './primary.js';
import type { Fork } from './worker_process.js';

export interface PrimarySetup {
  readonly config: Config;
  readonly handler: HandlerStart | null;
  /** The config as it was written; see Settings. */
  readonly written?: object;
  readonly fork: Fork;
  /** As in PrimaryOptions. */
  readonly workersOutlive: boolean;
  readonly takeover: boolean;
  /** Inherited listening sockets. */
  readonly fds: readonly number[];
  readonly timing?: PrimaryTiming;
  /** Lines for the log, said first. */
  readonly warnings?: readonly string[];
  /** Hears every event that the log hears. */
  readonly listener?: EventListener;
  /** For the admin API; without it there is none. */
  readonly steering?: Steering;
}

/** Who else hears events. */
export interface EventListener {
  event(event: AuditEvent): void;
  lost(count: number): void;
}

export interface Prepared {
  readonly primary: Primary;
  readonly log: Log;
  /** Writes what the log still holds, and closes it. */
  close(): Promise<void>;
  /** Says that the server has stopped, writes what the log still holds, and closes it. */
  end(clean: boolean): Promise<void>;
}

/** @throws TunnelError HOST_KEY_INVALID, CONFIG_INVALID (the audit's file cannot be opened) */
export async function preparePrimary(setup: PrimarySetup): Promise<Prepared> {
  const { config, handler, written = {}, fork, workersOutlive, takeover, fds, timing, warnings = [] } = setup;
  const { listener, steering } = setup;
  const eventLog = new EventLog({ ...config.log, terminal: isatty(STDERR_FD) });
  const feed = new Feed();
  const log = new HeardLog(eventLog, feed, listener);
  for (const line of warnings) log.warn(line);
  const hostKeys = await refuseUnsafe(config.stateDir)
    .then(() => loadHostKeys(config.hostKeys, config.stateDir))
    .then(async (keys) => {
      await makeAuditFolder(config);
      (await eventLog.prepare(config.log)).keep();
      return keys;
    })
    .catch(async (error: unknown) => {
      await eventLog.close(LOG_FLUSH_MS);
      throw error;
    });
  const primary = new Primary({
    config,
    hostKeys,
    handler,
    written,
    fork,
    workersOutlive,
    takeover,
    fds,
    maxWaiting: Math.max(MIN_WAITING, openFilesLimit() - RESERVED_FILES),
    log,
    clock: systemClock,
    random: Math.random,
    ...(steering === undefined ? {} : { admin: { feed, steering } }),
    ...(timing === undefined ? {} : { timing }),
  });
  return {
    primary,
    log,
    close: () => eventLog.close(LOG_FLUSH_MS),
    async end(clean) {
      log.event({ event: 'server.stopped', reason: clean ? 'DRAINED' : 'KILLED' });
      await eventLog.close(LOG_FLUSH_MS);
    },
  };
}

/** Also where the host keys lie elsewhere. */
async function refuseUnsafe(stateDir: string): Promise<void> {
  const unsafe = await whyUnsafe(stateDir);
  if (unsafe !== null) throw new TunnelError('HOST_KEY_INVALID', unsafe);
}

/** An audit may lie in stateDir, which host keys bring only where they are made there. Of any other folder a typo is to be told. */
async function makeAuditFolder({ log, stateDir }: Config): Promise<void> {
  const folder = resolve(stateDir);
  // Where that fails, opening the file says why.
  if (log.audit !== null && dirname(log.audit) === folder)
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => undefined);
}

const LOG_FLUSH_MS = 1_000;
const STDERR_FD = 2;
/** For channels to workers, logs, keys and the like. */
const RESERVED_FILES = 100;
const MIN_WAITING = 16;

/** The log, and beside it those who look at the server, and a program's listener. */
class HeardLog implements Log {
  readonly #log: EventLog;
  readonly #feed: Feed;
  readonly #listener: EventListener | undefined;

  constructor(log: EventLog, feed: Feed, listener: EventListener | undefined) {
    this.#log = log;
    this.#feed = feed;
    this.#listener = listener;
  }
  /** A listener hears every event, and who looks at the server what an operator wants to see, however quiet the log is. */
  get eventLevel(): LogLevel {
    if (this.#listener !== undefined) return 'trace';
    return this.#feed.isOn ? lowerLevel(this.#log.eventLevel, 'info') : this.#log.eventLevel;
  }
  get linesLost(): LinesLost {
    return this.#log.linesLost;
  }
  readonly event: EventSink = (event) => {
    this.#log.event(event);
    this.#feed.event(event);
    this.#listener?.event(event);
  };
  prepare(settings: LogSettings): Promise<AuditChange> {
    return this.#log.prepare(settings);
  }
  reopen(): Promise<void> {
    return this.#log.reopen();
  }
  lost(worker: number, count: number): void {
    this.#log.lost(worker, count);
    this.#feed.lost(count);
    this.#listener?.lost(count);
  }
  info(text: string): void {
    this.#log.info(text);
  }
  warn(text: string): void {
    this.#log.warn(text);
  }
  error(text: string): void {
    this.#log.error(text);
  }
}

/** RLIMIT_NOFILE; Node has raised the soft limit to the hard one. */
function openFilesLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? DEFAULT_OPEN_FILES : Number(soft);
  } catch {
    return DEFAULT_OPEN_FILES; // no /proc: not Linux
  }
}

const DEFAULT_OPEN_FILES = 1_024;
