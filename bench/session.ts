/** SESSION: a run with everything around it: which peers are here, progress on stderr, the file, Ctrl-C. Owns the signal
 *  handlers while it runs, and sees to it that no process outlives it. */
import { reasonOf } from '../src/shared/errors.js';
import { commitOf, machine } from './metadata.js';
import { type CellPlan, stepsOf } from './plan.js';
import { Progress } from './progress/progress.js';
import { Recorder } from './recorder.js';
import { EMPTY } from './report/results.js';
import type { Results, Run } from './report/schema.js';
import { run } from './run.js';
import { endDescendants } from './support/descendants.js';
import type { Peer } from './types.js';

const REDRAW_EVERY_MS = 1_000;
const EXIT_INTERRUPTED = 130;

export interface SessionOptions {
  readonly plan: readonly CellPlan[];
  readonly roster: Roster;
  readonly options: Run['options'];
  readonly file: string;
  /** Of a run that goes on: what its file holds. */
  readonly before?: Results;
}

export interface SessionEnd {
  readonly results: Results;
  readonly interrupted: boolean;
}

/** The peers of a run. */
export interface Roster {
  readonly here: readonly { readonly peer: Peer; readonly version: string }[];
  readonly missing: readonly { readonly name: string; readonly why: string }[];
}

export async function rosterOf(peers: readonly Peer[]): Promise<Roster> {
  const probes = await Promise.all(peers.map(async (peer) => ({ peer, found: await probe(peer) })));
  return {
    here: probes.flatMap(({ peer, found }) => (found.found ? [{ peer, version: found.version }] : [])),
    missing: probes.flatMap(({ peer, found }) => (found.found ? [] : [{ name: peer.name, why: found.why }])),
  };
}

/** @throws what made the run impossible; what was measured until then is in the file */
export async function session({ plan, roster, options, file, before = EMPTY }: SessionOptions): Promise<SessionEnd> {
  const progress = new Progress(plan.flatMap(stepsOf), process.stderr, () => performance.now());
  const { commit, dirty } = commitOf();
  const startedAt = new Date().toISOString();
  const head = {
    id: `${startedAt.slice(0, 19)}Z ${commit.slice(0, 7)}`,
    ...{ commit, dirty, startedAt, options },
    machine: machine(),
    peers: roster.here.map(({ peer, version }) => ({ name: peer.name, version })),
    missing: [...roster.missing],
  };
  const recorder = new Recorder(file, head, before, () => Date.now());
  const ending = new Ending(progress);
  const redraw = setInterval(() => progress.draw(), REDRAW_EVERY_MS);
  try {
    await run({
      plan,
      quick: options.quick,
      signal: ending.signal,
      observer: {
        serverStarted: (peer, workers, config) => recorder.serverStarted(peer, workers, config),
        cellEnded: (cell, measured) => recorder.cellEnded(cell, measured),
        stepStarted: (step) => progress.stepStarted(step),
        stepEnded: (step, outcome) => progress.stepEnded(step, outcome),
        note: (text) => progress.note(text),
      },
    });
    if (ending.fault !== undefined) throw ending.fault;
  } finally {
    clearInterval(redraw);
    progress.end();
    await endDescendants();
    ending.done();
    recorder.write(false);
  }
  return { results: recorder.write(!ending.interrupted), interrupted: ending.interrupted };
}

/** What ends a run before its time: a signal, or an error that nobody caught. */
class Ending {
  readonly #controller = new AbortController();
  readonly #progress: Progress;
  interrupted = false;
  fault: Error | undefined;

  constructor(progress: Progress) {
    this.#progress = progress;
    process.on('SIGINT', this.#interrupt).on('SIGTERM', this.#interrupt).on('uncaughtException', this.#fail);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  done(): void {
    process.off('SIGINT', this.#interrupt).off('SIGTERM', this.#interrupt).off('uncaughtException', this.#fail);
  }

  readonly #interrupt = (): void => {
    if (this.interrupted) {
      void endDescendants().finally(() => process.exit(EXIT_INTERRUPTED));
      return;
    }
    this.interrupted = true;
    this.#progress.say('ending: the servers are stopped, what was measured is written (again to end at once)');
    this.#controller.abort();
  };

  /** Such as the error of a socket that a measurement let go of. Which measurement it spoiled cannot be known. */
  readonly #fail = (error: Error): void => {
    if (this.signal.aborted) return; // sockets of an ending run
    this.fault = error;
    this.#progress.say(`ending, because of an error that nobody caught: ${reasonOf(error)}`);
    this.#controller.abort();
  };
}

async function probe(peer: Peer): ReturnType<Peer['probe']> {
  try {
    return await peer.probe();
  } catch (error) {
    return { found: false, why: reasonOf(error) };
  }
}
