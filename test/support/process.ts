/** PROCESS: one child process, its output and its end.
 *  Owns the child: whatever happens it is killed, by pid, when its test ends. Waits on events, never on time. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Test } from 'tap';
import { DEADLINE_MS, deferred, within } from './deadline.js';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  /** Added to a clean environment: PATH, and LC_ALL=C so that messages are those that the tests expect. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Leaves stdout to the caller, for a program whose stdout carries a tunnel's bytes. Default false. */
  readonly rawStdout?: boolean;
  /** `stop` asks again and again: OpenSSH 9.2's client sleeps on when a signal comes just before its poll(). Default false. */
  readonly mayMissSignals?: boolean;
}

/** Between one such signal and the next. */
const AGAIN_MS = 500;

export class Running {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #command: string;
  readonly #mayMissSignals: boolean;
  readonly #exited = deferred<Exit>();
  readonly #died = deferred<void>();
  readonly #waiters = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #exit: Exit | undefined;

  constructor(child: ChildProcessWithoutNullStreams, command: string, { rawStdout, mayMissSignals }: StartOptions) {
    this.#child = child;
    this.#command = command;
    this.#mayMissSignals = mayMissSignals ?? false;
    if (rawStdout !== true) {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        this.#stdout += text;
        this.#wake();
      });
    }
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    // A program that ended early closes its stdin: the write that was under way is not what the test is about.
    child.stdin.on('error', () => {});
    child.on('error', (error) => this.#end({ code: null, signal: null }, error.message));
    child.on('exit', (code, signal) => {
      this.#died.resolve();
      // 'close' comes once the output is whole, but a grandchild that kept the pipe could delay it for ever.
      const timer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, 5_000);
      child.once('close', () => {
        clearTimeout(timer);
        this.#end({ code, signal });
      });
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#command} did not start`);
    return this.#child.pid;
  }
  /** Resolves when the program has ended and all of its output was read. */
  get exited(): Promise<Exit> {
    return this.#exited.promise;
  }
  /** Resolves when the process has ended; others may hold its output open still. */
  get died(): Promise<void> {
    return this.#died.promise;
  }
  get hasExited(): boolean {
    return this.#exit !== undefined;
  }
  get stdin(): Writable {
    return this.#child.stdin;
  }
  /** Only with `rawStdout`. */
  get rawStdout(): Readable {
    return this.#child.stdout;
  }
  /** Text so far. */
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }

  /** The first match in stdout or stderr; rejects when the program ends without one, or at the deadline. */
  async waitFor(pattern: RegExp, deadlineMs: number = DEADLINE_MS): Promise<RegExpMatchArray> {
    return await this.waitUntil(
      () => this.#stderr.match(pattern) ?? this.#stdout.match(pattern) ?? undefined,
      String(pattern),
      deadlineMs,
    );
  }

  /** Calls `probe` after every piece of output until it gives a value. */
  async waitUntil<Value>(probe: () => Value | undefined, what: string, deadlineMs = DEADLINE_MS): Promise<Value> {
    const { promise, resolve, reject } = deferred<Value>();
    const look = (): void => {
      const value = probe();
      if (value !== undefined) resolve(value);
      else if (this.hasExited) reject(new Error(`${this.#command} ended before ${what}\n${this.describe()}`));
    };
    this.#waiters.add(look);
    look();
    try {
      return await within(promise, what, deadlineMs, () => this.describe());
    } finally {
      this.#waiters.delete(look);
    }
  }

  /** Sends the signal and waits for the end; SIGKILL when that does not come. Safe to call twice. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', deadlineMs: number = DEADLINE_MS): Promise<Exit> {
    if (!this.hasExited) this.#child.kill(signal);
    const again = this.#mayMissSignals ? setInterval(() => this.#child.kill(signal), AGAIN_MS) : undefined;
    try {
      return await within(this.exited, `end of ${this.#command} after ${signal}`, deadlineMs, () => this.describe());
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    } finally {
      clearInterval(again);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  describe(): string {
    const exit = this.#exit === undefined ? 'running' : `exit ${this.#exit.code ?? this.#exit.signal}`;
    return `${this.#command}: ${exit}\nstdout: ${tail(this.#stdout)}\nstderr: ${tail(this.#stderr)}`;
  }

  #end(exit: Exit, note = ''): void {
    this.#exit ??= exit;
    this.#stderr += note;
    this.#exited.resolve(this.#exit);
    this.#wake();
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

const TAIL_CHARACTERS = 4_000;

function tail(text: string): string {
  return text.length > TAIL_CHARACTERS ? `…${text.slice(-TAIL_CHARACTERS)}` : text;
}

export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', LC_ALL: 'C', ...extra };
}

/** Starts a program that the test owns. */
export function start(t: Test, command: string, args: readonly string[], options: StartOptions = {}): Running {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: cleanEnvironment(options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const running = new Running(child, [command, ...args].join(' '), options);
  // A test file that runs out of time exits without its teardowns.
  const killAtExit = (): unknown => child.kill('SIGKILL');
  process.setMaxListeners(process.getMaxListeners() + 1).once('exit', killAtExit);
  void running.exited.then(() => process.off('exit', killAtExit).setMaxListeners(process.getMaxListeners() - 1));
  t.teardown(async () => {
    // What it said is often the only trace of a failure that does not come again.
    if (!t.passing()) t.comment(running.describe());
    if (running.hasExited) return;
    child.kill('SIGKILL');
    child.stdin.destroy();
    await running.exited;
  });
  return running;
}

export interface Outcome extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end with `input` on its stdin. */
export async function run(
  t: Test,
  command: string,
  args: readonly string[],
  options: StartOptions & { readonly input?: string; readonly deadlineMs?: number } = {},
): Promise<Outcome> {
  const running = start(t, command, args, options);
  running.stdin.end(options.input ?? '');
  const exit = await within(running.exited, `end of ${command}`, options.deadlineMs, () => running.describe());
  return { ...exit, stdout: running.stdout, stderr: running.stderr };
}

/** `run` for set-up steps: anything but exit code 0 is an error. @returns stdout */
export async function mustRun(t: Test, command: string, args: readonly string[], input = ''): Promise<string> {
  const outcome = await run(t, command, args, { input });
  if (outcome.code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${outcome.code}\n${outcome.stderr}`);
  return outcome.stdout;
}
