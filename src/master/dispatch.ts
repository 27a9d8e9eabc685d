/** DISPATCH: which worker gets the next socket?
 *  Decides only, from numbers that the workers have acknowledged. A worker that is slow to answer gets nothing: behind
 *  an unanswered socket all its other messages would wait. One whose memory is full is asked like any other: it knows better
 *  than its last report, and its no costs a message, after which the socket goes to the next one. */

/** One worker as dispatch sees it. */
export interface Candidate {
  readonly id: number;
  readonly ready: boolean;
  /** Sockets that it has accepted and that are still open. */
  readonly connections: number;
  /** Sockets sent to it and not answered yet. */
  readonly inFlight: number;
  readonly bufferedBytes: number;
  readonly loopLagMs: number;
  /** Time since its last sign of life. */
  readonly silentMs: number;
}

export interface DispatchRules {
  /** A worker silent for longer gets no new socket. */
  readonly lateMs: number;
  /** Unanswered sockets that one worker may have. */
  readonly inFlight: number;
}

export type Pick =
  | { readonly kind: 'worker'; readonly id: number }
  /** Somebody may take it later: one that is not ready yet, silent or busy, or the replacement of one that hangs. */
  | { readonly kind: 'wait' }
  /** Every worker that there is has had it and is well. */
  | { readonly kind: 'none' };

/** Fewest connections first, those on their way included. A lagging event loop counts like more connections; bytes
 *  queued, then the lower id, decide between equals.
 *  @param tried workers that have had this socket already */
export function pick(candidates: readonly Candidate[], tried: ReadonlySet<number>, rules: DispatchRules): Pick {
  let best: Candidate | undefined;
  let hope = candidates.length === 0; // all are dead for the moment: replacements are under way
  for (const candidate of candidates) {
    const late = candidate.silentMs > rules.lateMs;
    if (tried.has(candidate.id)) {
      hope ||= late; // it will be killed soon, and its replacement has not had this socket
      continue;
    }
    hope = true;
    if (!candidate.ready || late || candidate.inFlight >= rules.inFlight) continue;
    if (best === undefined || compare(candidate, best) < 0) best = candidate;
  }
  if (best !== undefined) return { kind: 'worker', id: best.id };
  return { kind: hope ? 'wait' : 'none' };
}

/** 250 ms of lag weigh as much as twice the connections: such a worker is short of CPU, whatever it holds. */
const LAG_DOUBLES_MS = 250;

function compare(a: Candidate, b: Candidate): number {
  return weight(a) - weight(b) || a.bufferedBytes - b.bufferedBytes || a.id - b.id;
}

function weight(candidate: Candidate): number {
  return (candidate.connections + candidate.inFlight + 1) * (1 + candidate.loopLagMs / LAG_DOUBLES_MS);
}
