/** EXPLAINED: what `explain` says, as data: the login, the requests, and of each every condition that spoke.
 *  Owns the shapes. Also the JSON that programs read: fields are added, never renamed. */

/** `depends`: on what is not asked here, such as a password or the addresses of a name. */
export type Outcome = 'allowed' | 'refused' | 'depends';

/** What one condition says. */
export interface Condition {
  /** `ignored`: another line holds, or another key. */
  readonly outcome: Outcome | 'ignored';
  /** `FILE:LINE` or what else set the condition; null where nothing is written down anywhere. */
  readonly where: string | null;
  readonly says: string;
  /** The address that it speaks of, where a name has several. */
  readonly address?: string;
}

/** A login or a request. */
export interface Decision {
  readonly outcome: Outcome;
  /** Of what is refused: the `reason` of the server's log. */
  readonly code: string | null;
  readonly conditions: readonly Condition[];
}

export interface ExplainedRequest extends Decision {
  readonly kind: 'open' | 'listen';
  /** As it was asked for. */
  readonly target: string;
}

export interface Explained {
  readonly user: string;
  /** The peer's address. */
  readonly from: string;
  /** ISO 8601. */
  readonly at: string;
  /** The module whose hooks decide in place of the config; null where the config decides. */
  readonly handler: string | null;
  readonly login: Decision;
  readonly requests: readonly ExplainedRequest[];
  /** The worst of the login's and the requests'. */
  readonly outcome: Outcome;
}

export function yes(where: string | null, says: string): Condition {
  return { outcome: 'allowed', where, says };
}

export function no(where: string | null, says: string): Condition {
  return { outcome: 'refused', where, says };
}

export function asked(where: string | null, says: string): Condition {
  return { outcome: 'depends', where, says };
}

export function ignored(where: string | null, says: string): Condition {
  return { outcome: 'ignored', where, says };
}

/** What is left when all of them have to be allowed. */
export function worst(outcomes: readonly Condition['outcome'][]): Outcome {
  return (
    outcomes.find((outcome) => outcome === 'refused') ?? outcomes.find((outcome) => outcome === 'depends') ?? 'allowed'
  );
}
