/** LOAD POOL: two processes that make connections. A client in JavaScript costs more than the server that it asks, so it
 *  must not share a thread with the measurement. Owns the processes until `stop()`. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bench, RunningServer } from '../types.js';
import { type Amount, type Answer, isAnswer, type LoginTarget, type Order } from './load_orders.js';

const ENTRY = fileURLToPath(new URL('../load_worker.js', import.meta.url));
const PROCESSES = 2;
/** Below the ports that the kernel gives to connections. Named ones, because a channel of asyncssh 2.10 says port 0 where
 *  the server was to choose, and a client cannot tell then which port it came through. */
const FIRST_PORT = 12_000;
const PORTS_PER_PROCESS = 10_000;

export class LoadPool {
  readonly #loaders: readonly Loader[];
  readonly #to: LoginTarget;

  constructor(server: RunningServer, { identityFile, knownHostsFile, signal }: Bench) {
    const { host, port, user } = server;
    const hostKey = readFileSync(knownHostsFile, 'utf8').trim().split(' ')[2] ?? '';
    this.#to = { host, port, user, identityFile, hostKey };
    this.#loaders = Array.from({ length: PROCESSES }, () => new Loader(signal));
  }

  /** @returns milliseconds of each login, tunnel included where one is asked for */
  async logins(amount: Amount, tunnelToPort: number | null = null): Promise<number[]> {
    return this.#durations(amount, (share) => ({ type: 'logins', to: this.#to, tunnelToPort, ...share }));
  }
  /** @returns milliseconds of each visit */
  async visits(amount: Amount): Promise<number[]> {
    return this.#durations(amount, (share) => ({ type: 'visits', to: this.#to, ...share }));
  }
  async hold(amount: Amount): Promise<void> {
    await this.#shared(amount, (share) => ({ type: 'hold', to: this.#to, ...share }));
  }
  async tunnels(perConnection: number, toPort: number): Promise<void> {
    await this.#all({ type: 'tunnels', perConnection, toPort });
  }
  /** @returns milliseconds from each open to its echo */
  async opens(amount: Amount, toPort: number): Promise<number[]> {
    return this.#durations(amount, (share) => ({ type: 'opens', toPort, ...share }));
  }
  /** @returns the bound ports */
  async forwards(perConnection: number): Promise<number[]> {
    const answers = await Promise.all(
      this.#loaders.map((loader, i) =>
        loader.ask({ type: 'forwards', perConnection, fromPort: FIRST_PORT + i * PORTS_PER_PROCESS }),
      ),
    );
    return answers.flatMap((answer) => (answer.type === 'ports' ? answer.ports : []));
  }
  async stall(toPort: number, windowBytes: number | null): Promise<void> {
    await this.#all({ type: 'stall', toPort, windowBytes });
  }
  /** Of all held connections together. */
  async bytesRead(): Promise<number> {
    const answers = await this.#all({ type: 'bytesRead' });
    return answers.reduce((total, answer) => total + (answer.type === 'bytes' ? answer.bytes : 0), 0);
  }
  /** Of a connection that is held beside the others. @returns milliseconds of each round trip */
  async echoes(toPort: number, forMs: number, everyMs: number): Promise<readonly number[]> {
    const answer = await this.#loaders[0]?.ask({ type: 'echoes', to: this.#to, toPort, forMs, everyMs });
    return answer?.type === 'durations' ? answer.ms : [];
  }
  async release(): Promise<void> {
    await this.#all({ type: 'release' });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loaders.map((loader) => loader.stop()));
  }

  async #durations(amount: Amount, order: (share: Amount) => Order): Promise<number[]> {
    const answers = await this.#shared(amount, order);
    return answers.flatMap((answer) => (answer.type === 'durations' ? answer.ms : []));
  }

  async #shared(amount: Amount, order: (share: Amount) => Order): Promise<Answer[]> {
    const shares = sharesOf(amount, this.#loaders.length);
    return Promise.all(shares.map((share, i) => this.#loaders[i]?.ask(order(share)) ?? NOTHING));
  }

  async #all(order: Order): Promise<Answer[]> {
    return Promise.all(this.#loaders.map((loader) => loader.ask(order)));
  }
}

const NOTHING: Answer = { type: 'done' };

/** Cuts a load into equal parts; one that asks for no concurrency stays whole. */
export function sharesOf({ count, concurrency }: Amount, parts: number): Amount[] {
  const used = Math.min(parts, concurrency);
  return Array.from({ length: used }, (_, i) => ({
    count: Math.floor(count / used) + (i < count % used ? 1 : 0),
    concurrency: Math.floor(concurrency / used) + (i < concurrency % used ? 1 : 0),
  }));
}

/** One load process. An order waits until the one before it has been answered. */
class Loader {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  #last: Promise<unknown> = Promise.resolve();
  #why: string | null = null;

  constructor(signal: AbortSignal) {
    this.#process = fork(ENTRY, { signal, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#gone = new Promise((resolve) => {
      const left = (why: string): void => {
        this.#why ??= why;
        resolve();
      };
      this.#process.once('exit', (code, killer) => left(`the load process ended (${killer ?? code})`));
      this.#process.once('error', ({ message }) => left(`the load process failed: ${message}`));
    });
  }

  /** @throws with the load process' own words when it could not do it */
  async ask(order: Order): Promise<Answer> {
    const turn = this.#last.then(() => this.#ask(order));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGKILL'); // nothing of it is kept
    await this.#gone;
  }

  async #ask(order: Order): Promise<Answer> {
    if (this.#why !== null) throw new Error(this.#why);
    let hear = (_message: unknown): void => {};
    const heard = new Promise<Answer | null>((resolve) => {
      hear = (message) => resolve(isAnswer(message) ? message : null);
      this.#process.once('message', hear);
      this.#process.send(order, (error) => error !== null && resolve({ type: 'failed', why: error.message }));
    });
    const answer = await Promise.race([heard, this.#gone]);
    this.#process.off('message', hear);
    if (answer === undefined) throw new Error(this.#why ?? 'the load process ended');
    if (answer === null) throw new Error(`the load process gave an answer to ${order.type} that is none`);
    if (answer.type === 'failed') throw new Error(answer.why);
    return answer;
  }
}
