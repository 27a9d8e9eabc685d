/** USERAUTH: the server's side of RFC 4252 for one connection, from the service request to the first success.
 *  Owns the user name under way and the count of tries. Knows no socket.
 *  Promises: answers in the order of the requests, one at a time; the same way for users that exist and users that do
 *  not; nothing sent once it is over. */
import { Ending } from '../../shared/ending.js';
import { reasonOf } from '../../shared/errors.js';
import type { AuthMethod, Identity, Peer } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import { DISCONNECT, type DisconnectReason, MSG, message, WireReader } from '../../shared/protocol.js';
import { type After, after } from '../../shared/timer.js';
import { Credentials, type Failure, failure, type Outcome } from './credentials.js';
import type { AuthHooks, LoginStep } from './hooks.js';
import { Inbox } from './inbox.js';
import { Interactive } from './interactive.js';
import type { RevocationList } from './krl.js';
import { shownKey } from './presented_key.js';
import { Progress, secondFactorStep } from './progress.js';
import type { RefusalDelay } from './refusal_delay.js';
import { type AuthRequest, parseAuthRequest } from './request.js';
import { NOTHING_REVOKED } from './revoked_keys.js';

/** What authentication needs of the transport. */
export interface AuthTransport {
  /** Session identifier of the first key exchange (RFC 4253 §7.2). */
  readonly sessionId: Buffer;
  send(payload: Buffer): void;
  /** Sends SSH_MSG_DISCONNECT and ends the connection. Called at most once; must not throw. `why` and `detail` are for
   *  the log. */
  disconnect(reason: DisconnectReason, text: string, why: AuthEnd, detail: string): void;
}

/** A try that was refused. `user` and `method`, as the peer gave them, have passed safeText. */
export interface AuthFailureEvent extends Omit<Failure, 'kind'> {
  readonly user: string;
  readonly method: string;
}

/** Why this side disconnects: too many tries, broken rules, or a fault of ours. */
export type AuthEnd = 'AUTH_EXHAUSTED' | 'PROTOCOL_ERROR' | 'INTERNAL_ERROR';

export interface UserAuthOptions {
  readonly transport: AuthTransport;
  readonly hooks: AuthHooks;
  /** What is revoked now. Default: nothing. */
  readonly revoked?: () => RevocationList;
  readonly peer: Peer;
  /** Refused tries after which the connection ends (OpenSSH's MaxAuthTries). */
  readonly maxTries: number;
  readonly refusalDelay: Pick<RefusalDelay, 'leftMs'>;
  /** Monotonic milliseconds. */
  now(): number;
  /** For each call of a hook. */
  readonly hookTimeoutMs: number;
  /** Default: the real clock. */
  readonly after?: After;
  /** Called once, after USERAUTH_SUCCESS was sent. `fingerprint` is that of the key that signed, `steps` are the methods
   *  that have succeeded, in their order. */
  readonly onSuccess: (
    identity: Identity,
    method: AuthMethod,
    fingerprint: string | undefined,
    steps: readonly LoginStep[],
  ) => void;
  /** Called when a method has succeeded and its chain wants another one; nobody is logged in yet. */
  readonly onPartial: (step: AuthStep) => void;
  /** Called for each try that counts, before its answer is sent. */
  readonly onFailure: (event: AuthFailureEvent) => void;
}

/** A method that has succeeded. */
export interface AuthStep {
  readonly user: string;
  readonly method: AuthMethod;
  readonly fingerprint?: string;
}

interface Subject {
  readonly bytes: Buffer;
  /** Null where no user can have the name. */
  readonly name: string | null;
  readonly text: string;
}

const USERAUTH = 'ssh-userauth';
const CONNECTION = 'ssh-connection';
const INTERACTIVE = 'keyboard-interactive';
const NOBODY = Buffer.alloc(0);

export class UserAuth {
  readonly #options: UserAuthOptions;
  readonly #credentials: Credentials;
  /** Fires when this is over, and takes running hooks with it. */
  readonly #closing = new Ending();
  /** One message after the other: the next is looked at when the answer to the last has been sent. */
  readonly #inbox = new Inbox({
    handle: (payload) => this.#handle(payload),
    // A bug of ours or a callback of the owner's that threw: nobody stays logged in on the strength of that.
    faulty: (thrown) => {
      if (!this.#detached) this.#end('INTERNAL_ERROR', DISCONNECT.BY_APPLICATION, 'internal error', reasonOf(thrown));
    },
  });
  #over = false;
  /** The owner has closed or been told to disconnect: not one more call to it. */
  #detached = false;
  #serviceAccepted = false;
  /** Whom the first request named; no later one may name anybody else. */
  #subject: Subject | null = null;
  readonly #progress = new Progress();
  readonly #interactive: Interactive;
  /** What the hooks are asked about just now. */
  #asking: LoginStep | null = null;
  #requests = 0;
  /** When the message came that is being answered. */
  #cameMs = 0;
  #failures = 0;

  constructor(options: UserAuthOptions) {
    this.#options = options;
    const { hooks, peer, hookTimeoutMs, transport } = options;
    const asked = { hooks, peer, hookTimeoutMs, after: options.after ?? after };
    this.#credentials = new Credentials({
      ...asked,
      sessionId: transport.sessionId,
      revoked: options.revoked ?? (() => NOTHING_REVOKED),
      closing: this.#closing.signal,
    });
    this.#interactive = new Interactive(asked);
  }

  /** Takes the payload of every message that comes before the login and is neither transport (1 to 4, 7) nor key exchange
   *  (20 to 49): SERVICE_REQUEST, USERAUTH_REQUEST and INFO_RESPONSE are answered, any other ends the connection
   *  (RFC 4252 §6). The payload is copied. After success, failure or `close` it does nothing; the owner, too, passes over
   *  USERAUTH_REQUESTs that come after success (RFC 4252 §5.1). */
  onMessage(payload: Buffer): void {
    if (this.#over) return;
    const wrong = this.#inbox.take(payload);
    if (wrong !== null) this.#violation(wrong);
  }

  /** What this login stands on by now: the methods that have succeeded, and the one that is being checked. */
  get steps(): readonly LoginStep[] {
    return this.#asking === null ? this.#progress.steps : [...this.#progress.steps, this.#asking];
  }

  /** As whom, by now; null: nothing has succeeded. */
  get identity(): Identity | null {
    return this.#progress.identity;
  }

  /** Ends it: running hooks are aborted, queued messages forgotten, nothing more is sent and no callback called. */
  close(): void {
    this.#detached = true;
    this.#stop();
  }

  #stop(): void {
    this.#over = true;
    this.#inbox.clear();
    this.#interactive.close();
    this.#closing.end();
  }

  async #handle(payload: Buffer): Promise<void> {
    if (payload[0] === MSG.SERVICE_REQUEST) this.#service(payload);
    else if (!this.#serviceAccepted) this.#violation('no service was requested');
    else if (payload[0] === MSG.USERAUTH_INFO_RESPONSE) await this.#infoResponse(payload);
    else await this.#request(payload);
  }

  /** RFC 4253 §10. Asking twice for the same service is harmless and paid from the packet budget. */
  #service(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const name = reader.bytes().toString('latin1');
    if (!reader.atEnd) {
      this.#violation('malformed service request');
    } else if (name !== USERAUTH) {
      this.#noSuchService();
    } else {
      this.#serviceAccepted = true;
      this.#options.transport.send(message(MSG.SERVICE_ACCEPT, USERAUTH));
    }
  }

  async #request(payload: Buffer): Promise<void> {
    const request = parseAuthRequest(payload);
    if (request === null) {
      this.#violation('malformed authentication request');
      return;
    }
    const { userBytes: bytes, username: name } = request;
    this.#subject ??= { bytes, name, text: safeText(bytes.toString('utf8')) };
    if (request.service !== CONNECTION) {
      this.#noSuchService();
    } else if (!bytes.equals(this.#subject.bytes)) {
      // RFC 4252 §5 allows a new name after a flush of all state. OpenSSH ends the connection, and so do we: no client
      // changes its name, and state that cannot be mixed up needs no flush.
      this.#violation('Change of username or service not allowed');
    } else {
      this.#requests += 1;
      this.#cameMs = this.#options.now();
      this.#interactive.newRequest();
      this.#asking = this.#stepOf(request);
      const outcome = await this.#decide(request);
      this.#asking = null;
      await this.#answer(outcome, request.method);
    }
  }

  /** The answers to our prompts, which may lead to more of them. */
  async #infoResponse(payload: Buffer): Promise<void> {
    const username = this.#subject?.name ?? '';
    this.#cameMs = this.#options.now();
    this.#asking = this.#progress.hasFirstFactor ? secondFactorStep(username) : { username, method: INTERACTIVE };
    const outcome = await this.#interactive.answered(payload);
    this.#asking = null;
    if (this.#over) return; // by the next message, which was not worth waiting for
    if (outcome === null) this.#violation('unexpected or malformed answer');
    else await this.#answer(outcome, INTERACTIVE);
  }

  /** What a success of this request would be a step of; null: it proves nothing by itself. */
  #stepOf({ username, attempt }: AuthRequest): LoginStep | null {
    if (username === null) return null;
    if (attempt.kind === 'password') return { username, method: attempt.kind };
    if (attempt.kind !== 'publickey') return null;
    return { username, method: attempt.kind, ...shownKey(attempt.blob) };
  }

  async #decide({ username, attempt }: AuthRequest): Promise<Outcome> {
    const progress = this.#progress;
    if (!progress.knowsMethods) {
      const chains = await this.#credentials.allowedMethods(username);
      if ('code' in chains) return chains;
      progress.allow(chains);
    }
    if (attempt.kind === 'none' || attempt.kind === 'unknown' || !progress.open.includes(attempt.kind)) {
      return failure('METHOD_NOT_ALLOWED');
    }
    switch (attempt.kind) {
      case 'publickey':
        return this.#credentials.publicKey(username, attempt, progress.identity);
      case 'password':
        return this.#credentials.password(username, attempt.password, progress.identity);
      case 'keyboard-interactive':
        if (progress.firstFactor !== null) return this.#interactive.second(progress.firstFactor);
        return this.#interactive.first(username, progress.identity);
    }
  }

  async #answer(outcome: Outcome, method: string): Promise<void> {
    if (this.#over) return; // closed while a hook was asked
    if (outcome.kind === 'more') this.#options.transport.send(outcome.reply);
    else if (outcome.kind === 'failure') await this.#refuse(outcome, method);
    else if (this.#progress.hasFirstFactor) this.#letInBySecondFactor();
    else await this.#succeed(outcome);
  }

  async #succeed(outcome: Extract<Outcome, { kind: 'success' }>): Promise<void> {
    const progress = this.#progress;
    const { method, fingerprint } = outcome;
    const refused = progress.passed(this.#subject?.name ?? '', outcome);
    const { identity, firstFactor } = progress;
    if (refused !== null || identity === null) return await this.#refuse(refused ?? failure('HOOK_FAILED'), method);
    const second = firstFactor === null ? null : await this.#interactive.prepareSecond(firstFactor);
    if (this.#over) return;
    if (second?.kind === 'success') return this.#letIn(method);
    if (second?.kind === 'failure') return await this.#refuse(second, method);
    const { user } = identity;
    this.#options.onPartial({ user, method, ...(fingerprint === undefined ? {} : { fingerprint }) });
    if (this.#over) return;
    // One conversation may have several rounds (RFC 4256 §3.1). Behind any other method the client has to ask for it first.
    if (firstFactor !== null && method === INTERACTIVE)
      await this.#answer(await this.#interactive.second(firstFactor), method);
    else this.#sendFailure(true);
  }

  #letInBySecondFactor(): void {
    this.#progress.passedSecondFactor(this.#subject?.name ?? '');
    this.#letIn(INTERACTIVE);
  }

  #letIn(method: AuthMethod): void {
    const { identity, fingerprint, steps } = this.#progress;
    if (identity === null) return;
    this.#stop(); // requests that were sent ahead get no answer (RFC 4252 §5.1)
    this.#options.transport.send(message(MSG.USERAUTH_SUCCESS));
    this.#options.onSuccess(identity, method, fingerprint, steps);
  }

  /** A `none` is answered at once, as by sshd: it asks about nothing that would take time to find out. */
  async #refuse({ kind: _, ...reason }: Failure, method: string): Promise<void> {
    if (method !== 'none') await this.#delay();
    if (this.#over) return;
    // A first `none` only asks for the methods (RFC 4252 §5.2): no try, as with OpenSSH.
    if (this.#requests > 1 || method !== 'none') {
      this.#failures += 1;
      this.#options.onFailure({ user: this.#subject?.text ?? '', method: safeText(method), ...reason });
      if (this.#over) return; // the owner closed in its callback
    }
    if (this.#failures >= this.#options.maxTries) {
      const text = 'Too many authentication failures'; // number and text as OpenSSH, whose clients show them
      this.#end('AUTH_EXHAUSTED', DISCONNECT.PROTOCOL_ERROR, text);
    } else {
      this.#sendFailure(false);
    }
  }

  async #delay(): Promise<void> {
    const { refusalDelay, now, after: later = after } = this.#options;
    const leftMs = refusalDelay.leftMs(this.#subject?.bytes ?? NOBODY, now() - this.#cameMs);
    if (leftMs === 0) return;
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const cancel = later(leftMs, () => {
        signal.removeEventListener('abort', end);
        resolve();
      });
      const end = (): void => {
        cancel();
        resolve();
      };
      signal.addEventListener('abort', end, { once: true });
    });
  }

  /** RFC 4252 §5.1: what can go on, and whether the last method has succeeded. */
  #sendFailure(partialSuccess: boolean): void {
    this.#options.transport.send(message(MSG.USERAUTH_FAILURE, this.#progress.open.join(','), partialSuccess));
  }

  #violation(text: string): void {
    this.#end('PROTOCOL_ERROR', DISCONNECT.PROTOCOL_ERROR, text);
  }

  #noSuchService(): void {
    this.#end('PROTOCOL_ERROR', DISCONNECT.SERVICE_NOT_AVAILABLE, 'service not available');
  }

  #end(why: AuthEnd, reason: DisconnectReason, text: string, detail = text): void {
    this.close();
    this.#options.transport.disconnect(reason, text, why, safeText(detail));
  }
}
