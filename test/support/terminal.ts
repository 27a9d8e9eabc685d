/** TERMINAL: a real terminal with a shell in it, by a tmux server of the test's own: what is typed, and what stands on its screen.
 *  Owns that server until the test ends. What stands there is looked at again and again: a terminal tells nobody when it has changed. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { DEADLINE_MS } from './deadline.js';
import { cleanEnvironment } from './process.js';
import { tempDir } from './temp.js';

const AGAIN_MS = 100;
const run = promisify(execFile);

export interface TerminalOptions {
  /** Default 100. */
  readonly columns?: number;
  /** Default 30. */
  readonly rows?: number;
  /** Of the shell. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Terminal {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Names as tmux has them, such as `Enter` and `C-c`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.tmux('send-keys', ...keys);
  }

  async type(text: string): Promise<void> {
    await this.tmux('send-keys', '-l', text);
  }

  /** A line for the shell. */
  async command(line: string): Promise<void> {
    await this.type(line);
    await this.press('Enter');
  }

  /** Lines of the screen without what is empty at their ends. */
  async screen(): Promise<string> {
    return await this.tmux('capture-pane', '-p');
  }

  /** The same with the sequences that tmux would draw it by. */
  async painted(): Promise<string> {
    return await this.tmux('capture-pane', '-pe');
  }

  /** The screen once it matches. */
  async waitFor(pattern: RegExp, deadlineMs: number = DEADLINE_MS): Promise<string> {
    return await this.waitUntil(
      async () => await this.screen(),
      (screen) => pattern.test(screen),
      String(pattern),
      deadlineMs,
    );
  }

  /** Waits until `probe` gives a value that fits. */
  async waitUntil<Value>(
    probe: () => Promise<Value>,
    fits: (value: Value) => boolean,
    what: string,
    deadlineMs: number = DEADLINE_MS,
  ): Promise<Value> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const value = await probe();
      if (fits(value)) return value;
      if (performance.now() > end) throw new Error(`no ${what} within ${deadlineMs} ms:\n${await this.screen()}`);
      await wait(AGAIN_MS);
    }
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** A format of tmux, such as `#{alternate_on}`. */
  async ask(format: string): Promise<string> {
    return (await this.tmux('display-message', '-p', format)).trim();
  }

  /** What runs in the shell. */
  async child(): Promise<number> {
    const shell = await this.ask('#{pane_pid}');
    const children = await readFile(`/proc/${shell}/task/${shell}/children`, 'utf8');
    return Number(children.trim().split(' ').at(-1));
  }

  async tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('tmux', ['-u', '-f', '/dev/null', '-S', this.#socket, ...args], {
      env: cleanEnvironment({ LC_ALL: 'C.UTF-8' }),
    });
    return stdout;
  }
}

/** With a shell that asks by `ready$`. Needs tmux. */
export async function terminal(
  t: Test,
  { columns = 100, rows = 30, env = {} }: TerminalOptions = {},
): Promise<Terminal> {
  const opened = new Terminal(join(tempDir(t), 'tmux'));
  const variables = Object.entries({ LC_ALL: 'C.UTF-8', PS1: 'ready$ ', ...env });
  const assignments = variables.map(([name, value]) => `${name}=${value}`);
  t.teardown(async () => {
    if (!t.passing()) t.comment(await opened.screen().catch(String));
    await opened.tmux('kill-server').catch(() => {});
  });
  const size = ['-x', String(columns), '-y', String(rows)];
  await opened.tmux('new-session', '-d', ...size, 'env', ...assignments, 'sh', '-i');
  await opened.waitFor(/^ready\$/);
  return opened;
}
