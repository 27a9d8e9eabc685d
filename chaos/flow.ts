/** FLOW: the words of the ledger: what a flow is, what happened at its ends, what was done to it. Owns nothing. */

export type Side = 'near' | 'far';
export const SIDES = ['near', 'far'] as const;
export type Verdict = 'open' | 'equal' | 'ended' | 'lost';

/** What was done to a flow, or to somebody that carries it. */
export interface Cause {
  readonly name: string;
  /** `refuses`: ends what is not through yet while it is at work, and nothing else. */
  readonly effect: 'delays' | 'refuses' | 'ends';
  readonly beganMs: number;
  /** Null while it is at work. */
  endedMs: number | null;
  /** Whoever it hit does not come back: it holds for what begins later, too. */
  readonly lasting: boolean;
  /** An end of stream may stand for a reset: OpenSSH's client says EOF when its own side was reset, and for a process that
   *  was killed the kernel says FIN. */
  readonly endsAsEof: boolean;
}

export interface FlowPlan {
  readonly id: number;
  /** How it goes, such as `-L`. */
  readonly way: string;
  /** Bytes that each side sends. */
  readonly bytes: { readonly [side in Side]: number };
  /** The end whose socket the server itself holds, where that is one which can be reset (TCP). The other is a client's. */
  readonly serverHolds: Side | null;
}

export interface End {
  connectedMs: number | null;
  sentBytes: number;
  receivedBytes: number;
  /** Of the first byte that was not the one sent. */
  wrongAt: number | null;
  /** The end of stream arrived. */
  eof: boolean;
  closedMs: number | null;
  error: string | null;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** What ended it, or why it counts as lost. */
  readonly why: string;
}

export interface Flow {
  readonly plan: FlowPlan;
  readonly startedMs: number;
  readonly ends: { readonly [side in Side]: End };
  readonly own: Cause[];
  /** Of those who carry it: lists that grow. */
  readonly shared: ReadonlyArray<readonly Cause[]>;
  progressMs: number;
  judgement: Judgement;
}

export function newEnd(): End {
  return {
    connectedMs: null,
    sentBytes: 0,
    receivedBytes: 0,
    wrongAt: null,
    eof: false,
    closedMs: null,
    error: null,
  };
}

export function other(side: Side): Side {
  return side === 'near' ? 'far' : 'near';
}
