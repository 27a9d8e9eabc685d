/** RUN: measures every cell of every scenario on every peer, interleaved, so that what the machine does meanwhile falls on
 *  all alike. Owns the servers while a scenario runs. The first round is warm-up and is dropped. */
import { reasonOf } from '../src/shared/errors.js';
import { Stage } from './support/stage.js';
import type { Bench, Cell, Peer, RunningServer, Sample, Scenario } from './types.js';

export interface RunOptions {
  readonly scenarios: readonly Scenario[];
  readonly peers: readonly Peer[];
  readonly repeats: number;
  readonly quick: boolean;
  /** Only cells whose id contains one of these; empty = all. */
  readonly cells: readonly string[];
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** What one peer did in one cell. */
export interface CellResult {
  readonly scenario: string;
  readonly cell: string;
  readonly peer: string;
  /** In the order of the rounds, without the warm-up. Empty where every measurement failed. */
  readonly samples: readonly Sample[];
  /** Why there are fewer samples than rounds. */
  readonly failures: readonly string[];
}

export async function run(options: RunOptions): Promise<CellResult[]> {
  const stage = new Stage();
  const results: CellResult[] = [];
  try {
    for (const scenario of options.scenarios) results.push(...(await runScenario(scenario, stage, options)));
  } finally {
    stage.remove();
  }
  return results;
}

async function runScenario(scenario: Scenario, stage: Stage, options: RunOptions): Promise<CellResult[]> {
  const { quick, signal, progress } = options;
  const bench: Bench = {
    identityFile: stage.identityFile,
    knownHostsFile: stage.knownHostsFile,
    quick,
    signal,
    progress,
  };
  const wanted = (cell: Cell): boolean =>
    options.cells.length === 0 || options.cells.some((part) => cell.id.includes(part));
  const cells = scenario.cells(quick).filter(wanted);
  const peers = options.peers.filter(({ name }) => scenario.peers?.includes(name.split('@')[0] ?? name) ?? true);
  const table = new Map<string, { samples: Sample[]; failures: string[] }>();
  const key = (cell: Cell, peer: Peer): string => `${cell.id}\n${peer.name}`;
  for (const cell of cells)
    for (const peer of peers) if (canRun(peer, cell)) table.set(key(cell, peer), { samples: [], failures: [] });

  const servers = new Servers(stage);
  try {
    const rounds = quick ? options.repeats : options.repeats + 1;
    for (const cell of cells)
      for (let round = 0; round < rounds; round++)
        for (const peer of rotated(peers, round)) {
          const entry = table.get(key(cell, peer));
          if (entry === undefined || signal.aborted) continue;
          const isWarmUp = round === 0 && !quick;
          progress(
            `${scenario.name}: ${cell.id}, ${peer.name}, ${isWarmUp ? 'warm-up' : `round ${round} of ${rounds - 1}`}`,
          );
          try {
            const server = await servers.of(peer, cell.workers ?? 1);
            const sample = await scenario.measure(server, cell, bench);
            if (!isWarmUp) entry.samples.push(sample);
            progress(`${scenario.name}: ${cell.id}, ${peer.name}: ${JSON.stringify(sample)}`);
          } catch (error) {
            entry.failures.push(reasonOf(error));
            progress(`${scenario.name}: ${cell.id}, ${peer.name}: ${reasonOf(error)}`);
            await servers.drop(peer, cell.workers ?? 1); // the next round begins with a fresh one
          }
          if (scenario.freshServer) await servers.drop(peer, cell.workers ?? 1);
        }
  } finally {
    await servers.stop();
  }
  const results: CellResult[] = [];
  for (const cell of cells)
    for (const peer of peers) {
      const entry = table.get(key(cell, peer));
      if (entry !== undefined) results.push({ scenario: scenario.name, cell: cell.id, peer: peer.name, ...entry });
    }
  return results;
}

function canRun(peer: Peer, cell: Cell): boolean {
  if (cell.cipher !== undefined && !peer.ciphers.includes(cell.cipher)) return false;
  return !cell.needs?.some((feature) => peer.lacks?.includes(feature));
}

/** Each round begins with another peer: whoever comes first after a pause has it cooler. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** The servers of a scenario, started at their first use. All of them stand at once; those that are not asked rest. */
class Servers {
  readonly #stage: Stage;
  readonly #running = new Map<string, RunningServer>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async of(peer: Peer, workers: number): Promise<RunningServer> {
    const key = `${peer.name}/${workers}`;
    const known = this.#running.get(key);
    if (known !== undefined) return known;
    const server = await peer.start(this.#stage.startOptions(workers));
    this.#running.set(key, server);
    return server;
  }

  async drop(peer: Peer, workers: number): Promise<void> {
    const key = `${peer.name}/${workers}`;
    const server = this.#running.get(key);
    this.#running.delete(key);
    await server?.stop();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((server) => server.stop()));
    this.#running.clear();
  }
}
