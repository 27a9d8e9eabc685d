/** LEDGER: every flow of a run, what left and what arrived at each of its ends, what was done to it, and what came of it.
 *  Owns the flows until nothing more can come of them, and the sums. No socket and no clock: times are arguments, in
 *  milliseconds. */
import {
  type Cause,
  type End,
  type Flow,
  type FlowPlan,
  type Judgement,
  newEnd,
  type Side,
  type Verdict,
} from './flow.js';
import { causesOf, describe, judge, OPEN, TOLD_WITHIN_MS } from './judge.js';

export interface Entry {
  readonly plan: FlowPlan;
  readonly judgement: Judgement;
}

/** What came of all flows so far. */
export interface Totals {
  readonly verdicts: { readonly [verdict in Verdict]: number };
  /** Flows by the way they went, and those that ended by what ended them. */
  readonly ways: ReadonlyMap<string, number>;
  readonly endedBy: ReadonlyMap<string, number>;
  /** That arrived where they were meant to, both directions together. */
  readonly bytes: number;
  /** Equal in spite of something that was done to them meanwhile. */
  readonly survived: number;
}

export class Ledger {
  readonly #flows = new Map<number, Flow>();
  readonly #open = new Set<Flow>();
  /** Those with a verdict, the oldest first, until nothing more can come of them. */
  readonly #settled: { readonly flow: Flow; readonly atMs: number }[] = [];
  readonly #forgotten = newTotals();

  get openFlows(): number {
    return this.#open.size;
  }
  totals(): Totals {
    const totals = newTotals(this.#forgotten);
    for (const flow of this.#flows.values()) count(totals, flow);
    return totals;
  }
  /** Undefined for an id that was never given, or whose flow ended long ago. */
  plan(id: number): FlowPlan | undefined {
    return this.#flows.get(id)?.plan;
  }

  start(plan: FlowPlan, shared: ReadonlyArray<readonly Cause[]>, nowMs: number): void {
    const ends = { near: newEnd(), far: newEnd() };
    const flow: Flow = { plan, startedMs: nowMs, ends, own: [], shared, progressMs: nowMs, judgement: OPEN };
    this.#flows.set(plan.id, flow);
    this.#open.add(flow);
  }

  connected(id: number, side: Side, nowMs: number): void {
    this.#at(id, side, nowMs, (end) => {
      end.connectedMs ??= nowMs;
    });
  }
  sent(id: number, side: Side, bytes: number, nowMs: number): void {
    this.#at(id, side, nowMs, (end) => {
      end.sentBytes += bytes;
    });
  }
  /** @param differsAt within these bytes, or -1 */
  received(id: number, side: Side, bytes: number, differsAt: number, nowMs: number): void {
    this.#at(id, side, nowMs, (end) => {
      if (differsAt >= 0) end.wrongAt ??= end.receivedBytes + differsAt;
      end.receivedBytes += bytes;
    });
  }
  eof(id: number, side: Side, nowMs: number): void {
    this.#at(id, side, nowMs, (end) => {
      end.eof = true;
    });
  }
  /** @param error the errno where the socket was reset or failed */
  closed(id: number, side: Side, error: string | null, nowMs: number): void {
    this.#at(id, side, nowMs, (end) => {
      end.closedMs ??= nowMs;
      end.error ??= error;
    });
  }
  /** Something was done to this flow alone. */
  caused(id: number, cause: Cause): void {
    this.#flows.get(id)?.own.push(cause);
  }

  /** Judges what is open. @returns those of which the verdict is new */
  settle(nowMs: number): Entry[] {
    const settled: Entry[] = [];
    for (const flow of this.#open) {
      flow.judgement = judge(flow, nowMs);
      if (flow.judgement.verdict === 'open') continue;
      this.#open.delete(flow);
      settled.push(flow);
      this.#settled.push({ flow, atMs: nowMs });
    }
    this.#forget(nowMs - TOLD_WITHIN_MS);
    return settled;
  }

  /** A run of hours must not keep them all. */
  #forget(beforeMs: number): void {
    while ((this.#settled[0]?.atMs ?? Number.POSITIVE_INFINITY) < beforeMs) {
      const flow = this.#settled.shift()?.flow;
      if (flow === undefined || this.#open.has(flow) || !this.#flows.delete(flow.plan.id)) continue;
      count(this.#forgotten, flow);
    }
  }

  /** At the end of all: what is open is lost. */
  close(): Entry[] {
    const left = [...this.#open];
    this.#open.clear();
    for (const flow of left) flow.judgement = { verdict: 'lost', why: `still open at the end: ${describe(flow)}` };
    return left;
  }

  #at(id: number, side: Side, nowMs: number, change: (end: End) => void): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    change(flow.ends[side]);
    flow.progressMs = nowMs;
    // A far end that came when its flow was done with, or bytes after a verdict: it is looked at once more.
    if (flow.judgement.verdict === 'ended') this.#open.add(flow);
  }
}

type Counting = {
  verdicts: { [verdict in Verdict]: number };
  ways: Map<string, number>;
  endedBy: Map<string, number>;
  bytes: number;
  survived: number;
};

function newTotals(from?: Totals): Counting {
  return {
    verdicts: { open: 0, equal: 0, ended: 0, lost: 0, ...from?.verdicts },
    ways: new Map(from?.ways),
    endedBy: new Map(from?.endedBy),
    bytes: from?.bytes ?? 0,
    survived: from?.survived ?? 0,
  };
}

function count(totals: Counting, flow: Flow): void {
  const { verdict, why } = flow.judgement;
  totals.verdicts[verdict]++;
  totals.ways.set(flow.plan.way, (totals.ways.get(flow.plan.way) ?? 0) + 1);
  if (verdict === 'ended') totals.endedBy.set(why, (totals.endedBy.get(why) ?? 0) + 1);
  if (verdict === 'equal' && causesOf(flow).some(({ beganMs }) => beganMs <= flow.progressMs)) totals.survived++;
  totals.bytes += flow.ends.near.receivedBytes + flow.ends.far.receivedBytes;
}
