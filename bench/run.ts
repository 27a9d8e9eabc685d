/** RUN: measures every cell of a plan on every peer, interleaved, so that what the machine does meanwhile falls on all
 *  alike. Owns the servers while a scenario runs. What it finds goes to an observer, cell by cell. */
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf } from '../src/shared/errors.js';
import { type CellPlan, type Step, stepsOf } from './plan.js';
import type { CellRecord, Failure, PeerRecord } from './report/schema.js';
import { Stage } from './support/stage.js';
import { type Bench, type Peer, type RunningServer, type Sample, VerificationFailed } from './types.js';

export interface RunOptions {
  readonly plan: readonly CellPlan[];
  readonly quick: boolean;
  /** Ends the run: nothing new is begun, the servers are stopped. */
  readonly signal: AbortSignal;
  readonly observer: RunObserver;
}

/** Who wants to know how it goes. */
export interface RunObserver {
  /** `config`: what the server was started with, where it tells. */
  serverStarted(peer: string, workers: number, config: string | undefined): void;
  stepStarted(step: Step): void;
  stepEnded(step: Step, outcome: Outcome): void;
  /** All rounds of a cell are done, or the run was interrupted in it: then the record is not complete. */
  cellEnded(plan: CellPlan, record: Measured): void;
  /** A line of a scenario for the person who waits. */
  note(text: string): void;
}

export type Outcome = { readonly sample: Sample } | { readonly failure: Failure } | { readonly skipped: string };
/** A cell's record before it is known which run it belongs to. */
export type Measured = Omit<CellRecord, 'run'>;

/** A measurement that hangs must not hang the run. The longest, ten thousand logins to a slow server, takes minutes. */
const STEP_LIMIT_MS = { quick: 60_000, full: 20 * 60_000 } as const;
/** Errors in a row after which a peer is given up in this cell. */
const GIVE_UP_AFTER = 2;

export async function run({ plan, quick, signal, observer }: RunOptions): Promise<void> {
  const stage = new Stage();
  const remove = (): void => stage.remove();
  process.once('exit', remove); // also when somebody cannot wait for the end
  const bench = {
    identityFile: stage.identityFile,
    knownHostsFile: stage.knownHostsFile,
    quick,
    progress: (text: string) => observer.note(text),
  };
  try {
    for (const scenario of new Set(plan.map((cell) => cell.scenario))) {
      const servers = new Servers(stage, observer);
      try {
        for (const cell of plan)
          if (cell.scenario === scenario && !signal.aborted) await runCell(cell, servers, bench, signal, observer);
      } finally {
        await servers.stop();
      }
    }
  } finally {
    process.off('exit', remove);
    remove();
  }
}

async function runCell(
  plan: CellPlan,
  servers: Servers,
  bench: Omit<Bench, 'signal'>,
  signal: AbortSignal,
  observer: RunObserver,
): Promise<void> {
  const { cell, peers } = plan;
  const workers = cell.workers ?? 1;
  const entries = new Map(peers.map(({ name }) => [name, new Entry(name)]));
  for (const step of stepsOf(plan)) {
    const entry = entries.get(step.peer.name);
    if (entry === undefined || signal.aborted) continue;
    observer.stepStarted(step);
    if (entry.givenUp !== undefined) {
      observer.stepEnded(step, { skipped: entry.givenUp });
      continue;
    }
    try {
      const sample = await within(bench.quick ? STEP_LIMIT_MS.quick : STEP_LIMIT_MS.full, signal, async (ending) => {
        const server = await servers.of(step.peer, workers);
        return plan.scenario.measure(server, cell, { ...bench, signal: ending });
      });
      entry.succeeded(step.round, sample);
      observer.stepEnded(step, { sample });
    } catch (error) {
      if (signal.aborted) continue; // what fails now fails because its server or its client is being ended
      const failure = entry.failed(step.round, error);
      observer.stepEnded(step, { failure });
      await servers.drop(step.peer, workers); // the next round begins with a fresh one
    }
    if (plan.scenario.freshServer) await servers.drop(step.peer, workers);
  }
  const records = [...entries.values()].map((entry) => entry.record);
  observer.cellEnded(plan, { id: cell.id, complete: !signal.aborted, peers: records });
}

/** What one peer did in one cell. */
class Entry {
  readonly record: PeerRecord;
  #errorsInARow = 0;
  #givenUp: string | undefined;

  constructor(peer: string) {
    this.record = { peer, samples: [], failures: [] };
  }

  /** Why no further round is worth its time. */
  get givenUp(): string | undefined {
    return this.#givenUp;
  }

  succeeded(round: number, values: Sample): void {
    this.#errorsInARow = 0;
    if (round > 0) this.record.samples.push({ round, values: { ...values } });
  }

  failed(round: number, error: unknown): Failure {
    const kind = error instanceof VerificationFailed ? 'verification' : 'error';
    const failure: Failure = { round, kind, reason: reasonOf(error) };
    this.record.failures.push(failure);
    this.#errorsInARow++;
    if (kind === 'verification') this.#givenUp = 'what arrived was not what was sent: this cell has no number';
    else if (this.#errorsInARow >= GIVE_UP_AFTER) this.#givenUp = `failed ${GIVE_UP_AFTER} times in a row`;
    return failure;
  }
}

/** Runs `measure` until it settles, the run ends or its time is over. In the two last cases it is told by its signal, and
 *  not waited for: its server is stopped next, which ends what it still does. */
async function within<T>(
  limitMs: number,
  runSignal: AbortSignal,
  measure: (ending: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const limit = delay(limitMs, undefined, { signal: AbortSignal.any([runSignal, over.signal]) }).then(() => {
    throw new Error(`did not end within ${limitMs / 1000} s`);
  });
  const measuring = measure(AbortSignal.any([runSignal, over.signal]));
  measuring.catch(() => {}); // nobody listens any more when the limit has won
  limit.catch(() => {}); // and the other way round
  try {
    return await Promise.race([measuring, limit]);
  } finally {
    over.abort(); // after the race: how a measurement fails that was told to end says nothing
  }
}

/** The servers of a scenario, started at their first use. All of them stand at once; those that are not asked rest. */
class Servers {
  readonly #stage: Stage;
  readonly #observer: RunObserver;
  readonly #running = new Map<string, RunningServer>();

  constructor(stage: Stage, observer: RunObserver) {
    this.#stage = stage;
    this.#observer = observer;
  }

  async of(peer: Peer, workers: number): Promise<RunningServer> {
    const key = `${peer.name}/${workers}`;
    const known = this.#running.get(key);
    if (known !== undefined) return known;
    const server = await peer.start(this.#stage.startOptions(workers));
    this.#running.set(key, server);
    // Without the temporary folder, which says nothing and differs each time.
    this.#observer.serverStarted(peer.name, workers, server.config?.replaceAll(this.#stage.dir, '$DIR'));
    return server;
  }

  async drop(peer: Peer, workers: number): Promise<void> {
    const key = `${peer.name}/${workers}`;
    const server = this.#running.get(key);
    this.#running.delete(key);
    await server?.stop();
  }

  async stop(): Promise<void> {
    const servers = [...this.#running.values()];
    this.#running.clear();
    const stops = await Promise.allSettled(servers.map((server) => server.stop())); // one that fails stops no other's end
    for (const stop of stops) if (stop.status === 'rejected') throw stop.reason;
  }
}
