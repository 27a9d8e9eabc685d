/** HOOKED: what a webhook has said of a login, as the identity carries it from there to the decisions.
 *  Owns the symbol. What is said only ever adds up: nothing here can widen. */
import type { Identity } from '../../shared/identity.js';
import { earlier, isAsNarrow, withGrant } from './grant.js';
import type { UserLimits, WebhookAnswer } from './webhook_answer.js';
import type { WebhookStep } from './webhook_question.js';

/** What the webhook has said in the methods of one login. */
export interface Hooked {
  /** The name that the peer gave. The rights are those that the config gives to it, whatever name the webhook gives. */
  readonly username: string;
  /** The name that the webhook has given; null: none. */
  readonly named: string | null;
  /** One for each answer; the smallest hold. */
  readonly limits: readonly Partial<UserLimits>[];
  /** Wall clock; null: never. */
  readonly expiresAtMs: number | null;
  /** The methods that have succeeded, the first one first. */
  readonly steps: readonly WebhookStep[];
}

/** An own enumerable property of an identity, so that `{ ...identity, team }` keeps it. Registered, as that of a grant. */
export const HOOKED: unique symbol = Symbol.for('sallyport.hooked');

export interface HookedIdentity extends Identity {
  readonly [HOOKED]?: Hooked;
}

export function hookedOf(identity: HookedIdentity | null): Hooked | null {
  return identity?.[HOOKED] ?? null;
}

/** The name that the peer gave at the login, as far as is known: a webhook may have given the identity another one. The config's
 *  rights, limits and second factor are that name's. */
export function loginName(identity: HookedIdentity): string {
  return hookedOf(identity)?.username ?? identity.user;
}

/** Does the one carry all that the credentials of the other leave of its rights: what keys and certificates narrow, and the limits and
 *  the end that a webhook has given with each of its answers? */
export function holdsAllOf(identity: HookedIdentity, other: HookedIdentity): boolean {
  const steps = hookedOf(identity)?.steps ?? [];
  return isAsNarrow(identity, other) && (hookedOf(other)?.steps ?? []).every((step) => steps.includes(step));
}

export interface AnsweredStep {
  readonly username: string;
  readonly step: WebhookStep;
  /** Wall clock, when the answer came. */
  readonly nowMs: number;
}

/** The identity with one more answer: its name, where it gives one, its rights, limits and time beside those of before. */
export function withAnswer<I extends Identity>(
  identity: I,
  answer: WebhookAnswer,
  { username, step, nowMs }: AnsweredStep,
): I & HookedIdentity {
  const before = hookedOf(identity);
  const { user, permitOpen, permitListen, limits, ttlMs } = answer;
  const hooked: Hooked = {
    username,
    named: user ?? before?.named ?? null,
    limits: [...(before?.limits ?? []), limits],
    expiresAtMs: earlier(before?.expiresAtMs ?? null, ttlMs === null ? null : nowMs + ttlMs),
    steps: [...(before?.steps ?? []), step],
  };
  const named = { ...identity, ...(user === null ? {} : { user }), [HOOKED]: hooked };
  if (permitOpen === null && permitListen === null) return named;
  const narrowing = { kind: 'patterns', permitOpen, permitListen, where: 'auth.webhook' } as const;
  return withGrant(named, { narrowings: [narrowing], expiresAtMs: null });
}
