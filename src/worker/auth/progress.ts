/** PROGRESS: how far one login has come: what has succeeded, as whom, and what may be tried next.
 *  Owns the chains of methods, the identity so far and the steps it stands on. Decides only. Promises that what may be tried
 *  depends, until a first factor has succeeded, on nothing but what the hook said of the name. */
import type { AuthMethod, Identity } from '../../shared/identity.js';
import { type Failure, failure, type Outcome } from './credentials.js';
import { holdsAllOf } from './hooked.js';
import type { LoginStep } from './hooks.js';
import type { FirstFactor } from './interactive.js';
import type { MethodChains } from './methods.js';

/** What a method gave. */
export type Passed = Omit<Extract<Outcome, { kind: 'success' }>, 'kind'>;

interface SoFar {
  readonly user: string;
  /** Null where the hooks said yes to the name that was given. */
  readonly identity: Identity | null;
  readonly fingerprint: string | undefined;
}

/** The second factor is asked for by keyboard-interactive, whatever the first one may be. */
const SECOND_FACTOR: readonly AuthMethod[] = ['keyboard-interactive'];

export class Progress {
  /** What the hook allowed; asked once, so that nothing but a success, or a reload, changes it on one connection. */
  #chains: MethodChains | null = null;
  /** What the methods that have succeeded gave. */
  #soFar: SoFar | null = null;
  readonly #steps: LoginStep[] = [];
  /** Users of the config whose credentials were found right, whatever name the hooks gave. */
  readonly #checked = new Set<string>();
  #hasFirstFactor = false;

  get knowsMethods(): boolean {
    return this.#chains !== null;
  }
  /** What has succeeded counts for them as it would have from the start. Where it leads nowhere, or would be more than enough by now
   *  and nothing asks for that, all begins anew. */
  allow(chains: MethodChains): void {
    const passed = this.#steps.filter(({ isSecondFactor }) => !isSecondFactor).map(({ method }) => method);
    const after = chains.after(passed);
    const counts = after.isComplete ? this.#hasFirstFactor : after.chains.open.length > 0;
    this.#hasFirstFactor &&= after.isComplete;
    this.#chains = counts ? after.chains : chains;
    if (counts) return;
    this.#soFar = null;
    this.#checked.clear();
    this.#steps.length = 0;
  }
  /** They are others by now. */
  forgetMethods(): void {
    this.#chains = null;
  }

  /** What can go on (RFC 4252 §5.1). */
  get open(): readonly AuthMethod[] {
    return this.#hasFirstFactor ? SECOND_FACTOR : (this.#chains?.open ?? []);
  }

  /** A way in is complete, and only the second factor may be wanted still. */
  get hasFirstFactor(): boolean {
    return this.#hasFirstFactor;
  }

  /** Methods that have succeeded. */
  get steps(): readonly LoginStep[] {
    return this.#steps;
  }

  /** For the hooks; null: nothing has succeeded. */
  get identity(): Identity | null {
    return this.#soFar === null ? null : identityOf(this.#soFar);
  }
  /** Whom a way in that is complete has let in; null before. */
  get firstFactor(): FirstFactor | null {
    const { identity } = this;
    return this.#hasFirstFactor && identity !== null ? { identity, checked: this.#checked } : null;
  }
  get fingerprint(): string | undefined {
    return this.#soFar?.fingerprint;
  }

  /** A method has succeeded. Identities in a row: the last one that a hook made holds, and all are of one user, so that no
   *  method lends its success to another user's, and none takes away what another one withholds. */
  passed(username: string, { identity, checked, method, fingerprint, key, counter }: Passed): Failure | null {
    const before = this.#soFar;
    const user = identity?.user ?? before?.user ?? username;
    if (before !== null && before.user !== user) return failure('HOOK_FAILED', 'two methods in a row gave two users');
    if (identity !== null && !holdsAllOf(identity, before?.identity ?? identity))
      return failure('HOOK_FAILED', `${method}: lost what the method before permits: answer { ...soFar, … }`);
    this.#soFar = {
      user,
      identity: identity ?? before?.identity ?? null,
      fingerprint: fingerprint ?? before?.fingerprint,
    };
    for (const name of checked) this.#checked.add(name);
    this.#steps.push({
      username,
      method,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...(key === undefined ? {} : { key }),
      ...(counter === undefined ? {} : { counter }),
    });
    if (this.#chains?.passed(method)) this.#hasFirstFactor = true;
    return null;
  }

  passedSecondFactor(username: string): void {
    this.#steps.push(secondFactorStep(username));
  }
}

export function secondFactorStep(username: string): LoginStep {
  return { username, method: 'keyboard-interactive', isSecondFactor: true };
}

function identityOf({ user, identity, fingerprint }: SoFar): Identity {
  return identity ?? (fingerprint === undefined ? { user } : { user, fingerprint });
}
