/** GRANT: what a credential leaves of its user's rights, and how an identity carries it from the login to the decisions.
 *  Owns the symbol. Narrowings only ever add up: nothing here can widen. */
import type { Identity } from '../../shared/identity.js';
import type { Narrowing } from '../policy.js';

export type { KeyPermit } from '../../shared/key_permit.js';
export type { KeyNarrowing, KeyUse, Narrowing } from '../policy.js';

/** What a key, a certificate or a webhook gave. */
export interface Grant {
  /** All of them have to say yes, beside the user's patterns. */
  readonly narrowings: readonly Narrowing[];
  /** Wall clock; null: never. */
  readonly expiresAtMs: number | null;
  /** A security key need not have been touched for this very step of the login. */
  readonly mayBeUntouched?: true;
}

/** An own enumerable property of an identity, so that `{ ...identity, team }` keeps it. Registered, so that a second copy of
 *  this package finds it. */
export const GRANT: unique symbol = Symbol.for('sallyport.grant');

export interface GrantedIdentity extends Identity {
  readonly [GRANT]?: Grant;
}

const NOTHING_NARROWED: Grant = { narrowings: [], expiresAtMs: null };

/** What an identity carries; nothing is narrowed where it carries none. */
export function grantOf(identity: GrantedIdentity): Grant {
  return identity[GRANT] ?? NOTHING_NARROWED;
}

/** The identity with one more grant: of several steps in a chain the narrowings of all hold, and the earliest expiry. */
export function withGrant<I extends Identity>(identity: I, grant: Grant): I & GrantedIdentity {
  const before = grantOf(identity);
  const both: Grant = {
    narrowings: before.narrowings.concat(grant.narrowings),
    expiresAtMs: earlier(before.expiresAtMs, grant.expiresAtMs),
    ...(before.mayBeUntouched === true || grant.mayBeUntouched === true ? { mayBeUntouched: true } : {}),
  };
  return { ...identity, [GRANT]: both };
}

/** For the answer to a key: was it given with this? */
export function mayBeUntouched(identity: GrantedIdentity | null): boolean {
  return identity?.[GRANT]?.mayBeUntouched === true;
}

/** Does everything that narrows the one narrow the other too? */
export function isAsNarrow(identity: GrantedIdentity, asThis: GrantedIdentity): boolean {
  const { narrowings } = grantOf(identity);
  return grantOf(asThis).narrowings.every((narrowing) => narrowings.includes(narrowing));
}

/** Of two moments, of which null is never. */
export function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
