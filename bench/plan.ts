/** PLAN: which measurements a run consists of, and in which order. Decides only; run.ts carries it out. */
import type { Cell, Peer, Scenario } from './types.js';

export interface PlanOptions {
  readonly scenarios: readonly Scenario[];
  readonly peers: readonly Peer[];
  /** Measurements that count, for each cell and peer. */
  readonly repeats: number;
  /** The smallest cells, no warm-up: for correctness, never for figures. */
  readonly quick: boolean;
  /** Only cells whose id contains one of these; empty = all. */
  readonly cells: readonly string[];
  /** Cells that an earlier run has measured already. */
  isDone?(scenario: string, cell: string): boolean;
}

/** All peers of one cell are measured in turns, before the next cell begins. */
export interface CellPlan {
  readonly scenario: Scenario;
  readonly cell: Cell;
  readonly peers: readonly Peer[];
  readonly repeats: number;
  readonly hasWarmUp: boolean;
}

export interface Step {
  readonly scenario: string;
  readonly cell: string;
  readonly peer: Peer;
  /** 1 to `rounds`; 0 is the warm-up, which is dropped. */
  readonly round: number;
  readonly rounds: number;
}

export function planOf(options: PlanOptions): CellPlan[] {
  const { quick, repeats } = options;
  const plans: CellPlan[] = [];
  for (const scenario of options.scenarios) {
    const candidates = options.peers.filter(({ name }) => scenario.peers?.includes(kindOf(name)) ?? true);
    for (const cell of scenario.cells(quick)) {
      if (options.cells.length > 0 && !options.cells.some((part) => cell.id.includes(part))) continue;
      if (options.isDone?.(scenario.name, cell.id)) continue;
      const peers = candidates.filter((peer) => canRun(peer, cell));
      if (peers.length > 0) plans.push({ scenario, cell, peers, repeats, hasWarmUp: !quick });
    }
  }
  return plans;
}

/** The rounds of a cell. Each begins with another peer: whoever comes first after a pause has it cooler. */
export function stepsOf({ scenario, cell, peers, repeats, hasWarmUp }: CellPlan): Step[] {
  const steps: Step[] = [];
  for (let round = hasWarmUp ? 0 : 1; round <= repeats; round++)
    for (const peer of rotated(peers, round))
      steps.push({ scenario: scenario.name, cell: cell.id, peer, round, rounds: repeats });
  return steps;
}

/** Of two builds of one server, `sallyport@base` is a `sallyport`. */
export function kindOf(peerName: string): string {
  return peerName.split('@')[0] ?? peerName;
}

function canRun(peer: Peer, cell: Cell): boolean {
  if (cell.cipher !== undefined && !peer.ciphers.includes(cell.cipher)) return false;
  return !cell.needs?.some((feature) => peer.lacks?.includes(feature));
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
