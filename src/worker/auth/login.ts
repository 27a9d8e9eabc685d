/** LOGIN: one login on its way: which check a request asks for, what has succeeded, and what is wanted still.
 *  Owns its progress, the conversation with the peer, and what is being checked just now. Knows no message that is sent. Promises that it
 *  succeeds by the settings that are in force at that moment, whichever it began with. */
import type { AuthMethod, Identity, Peer } from '../../shared/identity.js';
import type { After } from '../../shared/timer.js';
import { Credentials, type Failure, failure, type Outcome } from './credentials.js';
import type { AuthHooks, LoginStep } from './hooks.js';
import { Interactive } from './interactive.js';
import type { RevocationList } from './krl.js';
import { shownKey } from './presented_key.js';
import { Progress, secondFactorStep } from './progress.js';
import type { AuthRequest } from './request.js';

export interface LoginOptions {
  readonly hooks: AuthHooks;
  /** What is revoked now. */
  readonly revoked: () => RevocationList;
  readonly peer: Peer;
  /** Session identifier of the first key exchange (RFC 4253 §7.2). */
  readonly sessionId: Buffer;
  readonly hookTimeoutMs: number;
  readonly after: After;
  /** Fires when it is over, and takes running hooks with it. */
  readonly closing: AbortSignal;
}

/** A method that has succeeded. */
export interface AuthStep {
  readonly user: string;
  readonly method: AuthMethod;
  readonly fingerprint?: string;
}

/** Who has logged in. */
export interface LoggedIn {
  readonly identity: Identity;
  readonly method: AuthMethod;
  /** Of the key that signed, where one did. */
  readonly fingerprint: string | undefined;
  /** The methods that have succeeded, in their order. */
  readonly steps: readonly LoginStep[];
}

/** What comes of one message of the peer. */
export type Verdict =
  | ({ readonly kind: 'in' } & LoggedIn)
  /** A method has succeeded, and another one is wanted. `question`: the conversation goes on with it. */
  | { readonly kind: 'partial'; readonly step: AuthStep; readonly question: Buffer | null }
  | Exclude<Outcome, { readonly kind: 'success' }>;

/** What a reload changes in how people log in. */
export interface ChangedLogins {
  /** The ways in are others. */
  readonly methods: boolean;
  /** Somebody else has to say yes, and was not asked about what has been proven. */
  readonly proofs: boolean;
}

const INTERACTIVE = 'keyboard-interactive';

export class Login {
  readonly #options: LoginOptions;
  readonly #credentials: Credentials;
  readonly #interactive: Interactive;
  #progress = new Progress();
  /** What the hooks are asked about just now. */
  #asking: LoginStep | null = null;
  /** Of the progress that the last request began with: what it proves is nothing for another one. */
  #begun = this.#progress;
  #reviews = 0;
  /** How many there had been then. */
  #begunAt = 0;

  constructor(options: LoginOptions) {
    this.#options = options;
    this.#credentials = new Credentials(options);
    this.#interactive = new Interactive(options);
  }

  /** What it stands on by now: the methods that have succeeded, and the one that is being checked. */
  get steps(): readonly LoginStep[] {
    return this.#asking === null ? this.#progress.steps : [...this.#progress.steps, this.#asking];
  }

  /** As whom, by now; null: nothing has succeeded. */
  get identity(): Identity | null {
    return this.#progress.identity;
  }

  /** The methods that may go on (RFC 4252 §5.1). */
  get open(): readonly AuthMethod[] {
    return this.#progress.open;
  }

  /** A USERAUTH_REQUEST: it abandons the questions of the one before. */
  async request(request: AuthRequest): Promise<Verdict> {
    this.#interactive.newRequest();
    this.#begun = this.#progress;
    this.#begunAt = this.#reviews;
    this.#asking = stepOf(request);
    const outcome = await this.#check(request);
    this.#asking = null;
    return await this.#judge(request.username ?? '', outcome);
  }

  /** The answers to our questions, which may lead to more of them. @returns null where nobody asked, or they are malformed */
  async response(username: string, payload: Buffer): Promise<Verdict | null> {
    const isSecond = this.#progress.hasFirstFactor;
    this.#asking = isSecond ? secondFactorStep(username) : { username, method: INTERACTIVE };
    const outcome = await this.#interactive.answered(payload);
    this.#asking = null;
    return outcome === null ? null : await this.#judge(username, outcome);
  }

  /** The settings are others by now. What runs goes on, and is judged by them when it succeeds: a conversation that broke off would tell
   *  the peer no more than its failure does. */
  review({ methods, proofs }: ChangedLogins): void {
    this.#reviews += 1;
    if (proofs) this.#progress = new Progress();
    else if (methods) this.#progress.forgetMethods();
  }

  close(): void {
    this.#interactive.close();
  }

  async #check({ username, attempt }: AuthRequest): Promise<Outcome> {
    const unanswered = await this.#askMethods(username);
    if (unanswered !== null) return unanswered;
    const { open, identity, firstFactor } = this.#progress;
    if (attempt.kind === 'none' || attempt.kind === 'unknown' || !open.includes(attempt.kind))
      return failure('METHOD_NOT_ALLOWED');
    switch (attempt.kind) {
      case 'publickey':
        return this.#credentials.publicKey(username, attempt, identity);
      case 'password':
        return this.#credentials.password(username, attempt.password, identity);
      case 'keyboard-interactive':
        if (firstFactor !== null) return this.#interactive.second(firstFactor);
        return this.#interactive.first(username, identity);
    }
  }

  /** Once, and again when a reload has changed them. @returns null: they are known */
  async #askMethods(username: string | null): Promise<Failure | null> {
    while (!this.#progress.knowsMethods) {
      const asked = this.#reviews;
      const chains = await this.#credentials.allowedMethods(username);
      if ('code' in chains) return chains;
      if (asked === this.#reviews) this.#progress.allow(chains);
    }
    return null;
  }

  /** Would what the last request began with do now? @returns why not, or null */
  async #staleness(username: string): Promise<Failure | null> {
    const unanswered = await this.#askMethods(username);
    if (unanswered !== null) return unanswered;
    return this.#begun === this.#progress ? null : failure('SETTINGS_CHANGED', 'a reload has changed who decides');
  }

  async #judge(username: string, outcome: Outcome): Promise<Verdict> {
    if (outcome.kind === 'failure' && this.#reviews !== this.#begunAt) await this.#askMethods(username); // its answer names them
    if (outcome.kind !== 'success') return outcome;
    const isSecond = this.#begun.hasFirstFactor;
    const stale = await this.#staleness(username);
    if (stale !== null) return stale;
    const progress = this.#progress;
    const isOpen = isSecond ? progress.hasFirstFactor : progress.open.includes(outcome.method);
    if (!isOpen) return failure('METHOD_NOT_ALLOWED');
    if (!isSecond) return await this.#passed(username, outcome);
    progress.passedSecondFactor(username);
    return this.#in(INTERACTIVE);
  }

  async #passed(username: string, outcome: Extract<Outcome, { kind: 'success' }>): Promise<Verdict> {
    const progress = this.#progress;
    const { method, fingerprint } = outcome;
    const refused = progress.passed(username, outcome);
    const { identity, firstFactor } = progress;
    if (refused !== null || identity === null) return refused ?? failure('HOOK_FAILED');
    if (this.#options.closing.aborted) return failure('HOOK_FAILED', 'the connection ended');
    const second = firstFactor === null ? null : await this.#interactive.prepareSecond(firstFactor);
    if (second?.kind === 'success') {
      const stale = await this.#staleness(username);
      return stale ?? (progress.hasFirstFactor ? this.#in(method) : failure('METHOD_NOT_ALLOWED'));
    }
    if (second?.kind === 'failure') return second;
    const step = { user: identity.user, method, ...(fingerprint === undefined ? {} : { fingerprint }) };
    // One conversation may have several rounds (RFC 4256 §3.1). Behind any other method the client has to ask for it first.
    if (firstFactor === null || method !== INTERACTIVE) return { kind: 'partial', step, question: null };
    const next = await this.#interactive.second(firstFactor);
    return { kind: 'partial', step, question: next.kind === 'more' ? next.reply : null };
  }

  #in(method: AuthMethod): Verdict {
    const { identity, fingerprint, steps } = this.#progress;
    return identity === null
      ? failure('HOOK_FAILED')
      : { kind: 'in', identity, method, fingerprint, steps: [...steps] };
  }
}

/** What a success of this request would be a step of; null: it proves nothing by itself. */
function stepOf({ username, attempt }: AuthRequest): LoginStep | null {
  if (username === null) return null;
  if (attempt.kind === 'password') return { username, method: attempt.kind };
  if (attempt.kind !== 'publickey') return null;
  return { username, method: attempt.kind, ...shownKey(attempt.blob) };
}
