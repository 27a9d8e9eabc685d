/** CHILD: a process that the suite started. Owns it until it has ended; its last words are kept for the error. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { treeOf } from './process_tree.js';

const KEPT_OUTPUT_CHARS = 4_000;
const STOP_GRACE_MS = 3_000;

export class Child {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly #name: string;
  readonly #exited: Promise<void>;
  #output = '';

  constructor(command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}) {
    this.#name = command;
    this.process = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    this.pid = this.process.pid ?? -1;
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT_CHARS);
      });
    this.#exited = new Promise((resolve) => {
      this.process.once('exit', () => resolve());
      this.process.once('error', (error) => {
        this.#output += String(error);
        resolve();
      });
    });
  }

  get output(): string {
    return this.#output;
  }
  get hasExited(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null || this.pid === -1;
  }
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Resolves when `port` takes connections.
   *  @throws with the last output when the child ends first, or does not listen within `timeoutMs` */
  async listening(port: number, timeoutMs = 15_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!(await takesConnections(port))) {
      if (this.hasExited) throw new Error(`${this.#name} ended before it listened: ${this.#output.trim()}`);
      if (performance.now() > deadlineMs) {
        await this.stop();
        throw new Error(`${this.#name} did not listen on port ${port} within ${timeoutMs} ms: ${this.#output.trim()}`);
      }
      await delay(20); // a foreign program tells nobody when it listens
    }
  }

  /** Resolves when its output contains `text`. @throws with the last output when it ends without */
  async says(text: string, timeoutMs = 15_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let look = (): void => {};
    const said = new Promise<boolean>((resolve) => {
      look = () => this.#output.includes(text) && resolve(true);
      timer = setTimeout(() => resolve(false), timeoutMs);
      void this.#exited.then(() => resolve(false));
    });
    const streams = [this.process.stdout, this.process.stderr];
    for (const stream of streams) stream?.on('data', look);
    look();
    const ok = await said;
    clearTimeout(timer);
    for (const stream of streams) stream?.off('data', look);
    if (ok) return;
    await this.stop();
    throw new Error(`${this.#name} did not say ${JSON.stringify(text)}: ${this.#output.trim()}`);
  }

  /** SIGTERM, then SIGKILL. Then its descendants: a server that forks may leave the process of a connection behind. */
  async stop(): Promise<void> {
    if (this.hasExited) return;
    const descendants = treeOf([this.pid]).filter((pid) => pid !== this.pid);
    this.process.kill('SIGTERM');
    const killer = setTimeout(() => this.process.kill('SIGKILL'), STOP_GRACE_MS);
    await this.#exited;
    clearTimeout(killer);
    for (const pid of descendants) end(pid);
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It went with its parent.
  }
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port that was free a moment ago, for programs that cannot be told to take any. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
  return address.port;
}
