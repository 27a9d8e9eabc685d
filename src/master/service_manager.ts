/** SERVICE MANAGER: tells systemd how the server is (sd_notify(3)): ready, reloading, stopping, alive.
 *  Owns the helper that carries the words. The socket takes datagrams, for which Node has nothing: a shell is started once and
 *  hands each line on to `systemd-notify`, which is wherever systemd is. So a word costs this process a write, and its fork is a small
 *  shell's. Words come from a process of the unit that is not its main one: `NotifyAccess=all`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { formatHostPort } from '../shared/address.js';
import { reasonOf } from '../shared/errors.js';
import type { ListenerAddress } from '../shared/ipc.js';

/** What systemd says to a service of `Type=notify`. */
export interface ServiceSettings {
  /** Path of its socket, or an abstract name behind `@`. */
  readonly socket: string;
  /** It wants a sign of life that often; 0: it does not ask. */
  readonly watchdogMs: number;
  /** Where programs are looked for. */
  readonly path: string;
}

export interface ServiceManagerOptions extends ServiceSettings {
  /** Another process is the service by now: that one's words count. */
  isReplaced(): boolean;
  /** In a few words, for `systemctl status`. */
  status(): string;
  /** In words, for the log. */
  trouble(text: string): void;
  /** CLOCK_MONOTONIC. */
  nowNs(): bigint;
  /** @returns how to stop it */
  every(everyMs: number, action: () => void): () => void;
}

/** Up to three assignments a line, behind tabs; all of a line go in one datagram. */
const HELPER = `command -v systemd-notify >/dev/null || exit 127
while IFS='	' read -r one two three; do
  systemd-notify "$one" \${two:+"$two"} \${three:+"$three"}
done`;

export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  #helper: ChildProcess | undefined;
  #stopWatchdog: () => void = nothing;
  #isOver = false;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
  }

  /** It serves. With its process number: whoever has taken another's place is the one to be sent signals from now on, and so is who
   *  was started through a shell. */
  ready(addresses: readonly ListenerAddress[]): void {
    const { watchdogMs, every } = this.#options;
    const at = addresses.flatMap((own) => (own.kind === 'tcp' ? [formatHostPort(own.address, own.port)] : []));
    this.#say('READY=1', `MAINPID=${process.pid}`, `STATUS=listening on ${at.join(', ')}`);
    this.#stopWatchdog();
    // "about half of the time" (sd_watchdog_enabled(3)), from a timer of the loop that accepts: where that hangs, nothing is said.
    if (watchdogMs > 0) this.#stopWatchdog = every(watchdogMs / 2, () => this.#alive());
  }

  /** It reads its config again; `reloaded` follows. */
  reloading(): void {
    this.#say('RELOADING=1', `MONOTONIC_USEC=${this.#options.nowNs() / 1000n}`);
  }
  reloaded(error: Error | null): void {
    this.#say(
      'READY=1',
      error === null ? `STATUS=${this.#options.status()}` : 'STATUS=the reload was rejected: see the log',
    );
  }

  stopping(): void {
    this.#say('STOPPING=1', `STATUS=draining: ${this.#options.status()}`);
  }

  /** Nothing more is said. What was said is on its way. */
  close(): void {
    this.#isOver = true;
    this.#stopWatchdog();
    this.#helper?.stdin?.end();
  }

  #alive(): void {
    this.#say('WATCHDOG=1', `STATUS=${this.#options.status()}`);
  }

  #say(...words: readonly string[]): void {
    if (this.#isOver || this.#options.isReplaced()) return;
    this.#helper ??= this.#start();
    this.#helper.stdin?.write(`${words.join('\t')}\n`);
  }

  /** One that ends is started again with the next word. */
  #start(): ChildProcess {
    const { socket, path, trouble } = this.#options;
    const helper = spawn('/bin/sh', ['-c', HELPER], {
      env: { NOTIFY_SOCKET: socket, PATH: path },
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true, // Ctrl-C and a signal to the group are the server's; it ends with its stdin
    });
    helper.unref();
    helper.stdin?.on('error', nothing); // its end is told below
    const ended = (how: string): void => {
      if (this.#helper !== helper) return;
      this.#helper = undefined;
      if (!this.#isOver) trouble(`systemd is not told how the server is: ${how}`);
    };
    helper.once('error', (error) => ended(reasonOf(error)));
    helper.once('exit', (code, signal) =>
      ended(code === NOT_FOUND ? 'there is no systemd-notify' : `the helper has ended (${signal ?? code})`),
    );
    return helper;
  }
}

const NOT_FOUND = 127;

/** @returns null where no service manager wants to be told. The variables are to be taken away from children, for whom they are not meant */
export function serviceSettings(env: NodeJS.ProcessEnv, pid: number): ServiceSettings | null {
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC, WATCHDOG_PID, PATH: path = '/usr/bin:/bin' } = env;
  if (!/^[/@]/.test(socket)) return null;
  const micros = Number(WATCHDOG_USEC);
  const isOurs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid;
  return { socket, path, watchdogMs: isOurs && micros > 0 && Number.isSafeInteger(micros) ? micros / 1000 : 0 };
}

function nothing(): void {}
