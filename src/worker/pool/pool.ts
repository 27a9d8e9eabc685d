/** POOL: CPU-heavy work for logins, in threads, bounded in number, queue and time. The only room that knows piscina.
 *  Owns the threads and the queue before them. Fails closed: whatever goes wrong is `ok: false`, never a match. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { type PasswordVerdict, type PoolFailure, VERIFY_PASSWORD, type VerifyPasswordTask } from './task.js';

export interface CryptoPoolOptions {
  /** Threads at most; default 2. Each hash takes the memory that it asks for (19 MiB by default, 1 GiB at most) while it runs. */
  readonly maxThreads?: number;
  /** Checks that may wait for a thread; default 64. One more is answered POOL_BUSY at once. */
  readonly maxQueue?: number;
  /** From the question to the verdict, waiting included; default 5000. */
  readonly deadlineMs?: number;
  /** An idle thread ends after this; default 10000. 0 ends it after each task. */
  readonly idleTimeoutMs?: number;
  /** The module that the threads run; for tests. Default password_task. */
  readonly taskModule?: URL;
  /** Told the number of threads whenever one is up or has ended. Only tests listen: it is how they see that an idle or
   *  hung thread has really gone. */
  readonly onThreads?: (count: number) => void;
}

interface Job {
  readonly task: VerifyPasswordTask;
  /** Aborted at the deadline: piscina then ends the thread under a task that hangs. */
  readonly deadline: AbortController;
  /** The first call answers; later ones do nothing. */
  readonly settle: (verdict: PasswordVerdict) => void;
  readonly timer: NodeJS.Timeout;
}

export class CryptoPool {
  readonly #maxThreads: number;
  readonly #maxQueue: number;
  readonly #deadlineMs: number;
  readonly #idleTimeoutMs: number;
  readonly #filename: string;
  readonly #onThreads: (count: number) => void;
  /** Made for the first password, so that a worker which never sees one starts no thread. */
  #threads: Piscina<VerifyPasswordTask, unknown> | null = null;
  /** piscina counts no task with an abort signal against its maxQueue and starts no thread for those that wait when one
   *  dies, so the queue is ours and piscina holds only what a thread may run at once. */
  readonly #waiting = new Set<Job>();
  readonly #running = new Set<Job>();
  #closed = false;

  constructor(options: CryptoPoolOptions = {}) {
    this.#maxThreads = options.maxThreads ?? 2;
    this.#maxQueue = options.maxQueue ?? 64;
    this.#deadlineMs = options.deadlineMs ?? 5_000;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 10_000;
    this.#filename = fileURLToPath(options.taskModule ?? new URL('./password_task.js', import.meta.url));
    this.#onThreads = options.onThreads ?? (() => {});
  }

  /** Checks that wait for a thread. */
  get waiting(): number {
    return this.#waiting.size;
  }
  /** Checks that a thread holds. */
  get running(): number {
    return this.#running.size;
  }

  /** Checks a password against a hash of one (shared/password_hash.ts). Never rejects. `POOL_BUSY` when the queue is full, `HOOK_TIMEOUT` past the
   *  deadline, `HOOK_FAILED` when the thread died, the hash is unreadable or takes too much, `signal` fired or the pool is closed. */
  verifyPassword(phc: string, password: string, signal?: AbortSignal): Promise<PasswordVerdict> {
    if (this.#closed || signal?.aborted === true) return Promise.resolve(FAILED);
    if (this.#running.size >= this.#maxThreads && this.#waiting.size >= this.#maxQueue) {
      return Promise.resolve({ ok: false, code: 'POOL_BUSY' });
    }
    return new Promise((resolve) => {
      // A caller that has gone leaves the queue, but a thread that already hashes for it goes on: ending it would cost
      // more than the hash, and every peer that hangs up could make us pay that.
      const onAbort = (): void => {
        this.#drop(job, 'HOOK_FAILED');
      };
      const job: Job = {
        task: { phc, password },
        deadline: new AbortController(),
        settle: (verdict) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(verdict);
        },
        timer: setTimeout(() => {
          this.#drop(job, 'HOOK_TIMEOUT');
          job.deadline.abort();
        }, this.#deadlineMs).unref(),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(job);
      this.#fill();
    });
  }

  /** Ends every thread. Checks that wait or run are answered HOOK_FAILED first, and so are all later ones. For tests, whose
   *  process goes on: a worker exits when it has drained, and its threads with it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting) this.#drop(job, 'HOOK_FAILED');
    for (const job of this.#running) this.#drop(job, 'HOOK_FAILED');
    await this.#endThreads();
  }

  #drop(job: Job, code: PoolFailure): void {
    if (this.#waiting.delete(job)) clearTimeout(job.timer);
    job.settle({ ok: false, code });
  }

  #fill(): void {
    for (const job of this.#waiting) {
      if (this.#running.size >= this.#maxThreads) return;
      this.#waiting.delete(job);
      this.#running.add(job);
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    try {
      this.#threads ??= this.#startThreads();
      const match = await this.#threads.run(job.task, { name: VERIFY_PASSWORD, signal: job.deadline.signal });
      job.settle(typeof match === 'boolean' ? { ok: true, match } : FAILED);
    } catch {
      job.settle(FAILED); // past the deadline the job has its answer already
    } finally {
      clearTimeout(job.timer);
      this.#running.delete(job);
      if (!this.#closed) this.#fill();
    }
  }

  #startThreads(): Piscina<VerifyPasswordTask, unknown> {
    const threads = new Piscina<VerifyPasswordTask, unknown>({
      filename: this.#filename,
      name: VERIFY_PASSWORD,
      minThreads: 0,
      maxThreads: this.#maxThreads,
      maxQueue: this.#maxThreads,
      idleTimeout: this.#idleTimeoutMs,
      recordTiming: false,
    });
    // 'error' without a task is a thread that could not even load its module. piscina would keep the task that waits for
    // it until its deadline; a fresh start answers it now and gives the next password a new chance.
    threads.on('error', () => {
      if (this.#threads === threads) void this.#endThreads();
    });
    threads.on('workerCreate', () => this.#onThreads(threads.threads.length));
    // piscina tells this before it takes the thread off its list.
    threads.on('workerDestroy', () => queueMicrotask(() => this.#onThreads(threads.threads.length)));
    return threads;
  }

  async #endThreads(): Promise<void> {
    const threads = this.#threads;
    this.#threads = null;
    await threads?.destroy();
  }
}

const FAILED: PasswordVerdict = { ok: false, code: 'HOOK_FAILED' };
