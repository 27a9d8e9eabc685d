/** USERAUTH: the server's side of RFC 4252 for one connection, from the service request to the first success.
 *  Owns the user name under way, the count of tries, the queue of messages and the open prompt. Knows no socket.
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
import type { RevocationList } from './krl.js';
import type { MethodChains } from './methods.js';
import { shownKey } from './presented_key.js';
import { type AuthAttempt, type AuthRequest, parseAuthRequest, parseInfoResponse } from './request.js';
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
/** Messages that may wait behind the one being answered: clients pipeline two or three, a flood more. */
const MAX_QUEUED = 8;
/** A login with a dozen keys takes some 30 packets and 20 KiB; what goes far beyond is no login. */
const MAX_PACKETS = 100;
const MAX_BYTES = 64 * 1024;

export class UserAuth {
  readonly #options: UserAuthOptions;
  readonly #credentials: Credentials;
  /** Fires when this is over, and takes running hooks with it. */
  readonly #closing = new Ending();
  readonly #queue: Buffer[] = [];
  #working = false;
  #over = false;
  /** The owner has closed or been told to disconnect: not one more call to it. */
  #detached = false;
  #serviceAccepted = false;
  #packets = 0;
  #bytes = 0;
  /** Whom the first request named; no later one may name anybody else. */
  #subject: Subject | null = null;
  /** What the hook allowed; asked once, so that nothing but a success changes it on one connection. */
  #chains: MethodChains | null = null;
  /** What the methods that have succeeded gave. */
  #soFar: SoFar | null = null;
  readonly #steps: LoginStep[] = [];
  /** What the hooks are asked about just now. */
  #asking: AuthAttempt | null = null;
  #requests = 0;
  #failures = 0;
  /** An INFO_REQUEST waits for its INFO_RESPONSE. */
  #prompting = false;

  constructor(options: UserAuthOptions) {
    this.#options = options;
    this.#credentials = new Credentials({
      hooks: options.hooks,
      revoked: options.revoked ?? (() => NOTHING_REVOKED),
      peer: options.peer,
      sessionId: options.transport.sessionId,
      hookTimeoutMs: options.hookTimeoutMs,
      after: options.after ?? after,
      closing: this.#closing.signal,
    });
  }

  /** Takes the payload of every message that comes before the login and is neither transport (1 to 4, 7) nor key exchange
   *  (20 to 49): SERVICE_REQUEST, USERAUTH_REQUEST and INFO_RESPONSE are answered, any other ends the connection
   *  (RFC 4252 §6). The payload is copied. After success, failure or `close` it does nothing; the owner, too, passes over
   *  USERAUTH_REQUESTs that come after success (RFC 4252 §5.1). */
  onMessage(payload: Buffer): void {
    if (this.#over) return;
    this.#packets += 1;
    this.#bytes += payload.length;
    const type = payload[0];
    if (this.#packets > MAX_PACKETS || this.#bytes > MAX_BYTES) {
      this.#violation('too much before authentication');
    } else if (type !== MSG.SERVICE_REQUEST && type !== MSG.USERAUTH_REQUEST && type !== MSG.USERAUTH_INFO_RESPONSE) {
      this.#violation('unexpected message before authentication');
    } else if (this.#queue.length >= MAX_QUEUED) {
      this.#violation('too many authentication requests at once');
    } else {
      this.#queue.push(Buffer.from(payload));
      if (!this.#working) void this.#work();
    }
  }

  /** What this login stands on by now: the methods that have succeeded, and the one that is being checked. */
  get steps(): readonly LoginStep[] {
    const asking = this.#asking;
    const username = this.#subject?.name ?? null;
    if (asking === null || username === null || asking.kind === 'none' || asking.kind === 'unknown') return this.#steps;
    const step = { username, method: asking.kind };
    return [...this.#steps, asking.kind === 'publickey' ? { ...step, ...shownKey(asking.blob) } : step];
  }

  /** Ends it: running hooks are aborted, queued messages forgotten, nothing more is sent and no callback called. */
  close(): void {
    this.#detached = true;
    this.#stop();
  }

  #stop(): void {
    this.#over = true;
    this.#queue.length = 0;
    this.#closing.end();
  }

  /** One message after the other: the next is looked at when the answer to the last has been sent. */
  async #work(): Promise<void> {
    this.#working = true;
    try {
      for (let payload = this.#queue.shift(); payload !== undefined; payload = this.#queue.shift()) {
        await this.#handle(payload);
      }
    } catch (thrown) {
      // A bug of ours or a callback of the owner's that threw: nobody stays logged in on the strength of that.
      if (!this.#detached) this.#end('INTERNAL_ERROR', DISCONNECT.BY_APPLICATION, 'internal error', reasonOf(thrown));
    } finally {
      this.#working = false;
    }
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
      this.#prompting = false; // RFC 4256 §3.1: a new request abandons the open prompt
      this.#asking = request.attempt;
      const outcome = await this.#decide(request);
      this.#asking = null;
      this.#answer(outcome, request.method);
    }
  }

  async #infoResponse(payload: Buffer): Promise<void> {
    const response = parseInfoResponse(payload);
    if (!this.#prompting || response === null) {
      this.#violation('unexpected or malformed answer');
      return;
    }
    this.#prompting = false;
    const method = 'keyboard-interactive';
    const name = this.#subject?.name ?? null;
    this.#asking = { kind: method };
    const outcome =
      response === 'wrong count'
        ? failure('MALFORMED')
        : await this.#credentials.password(name, response.password, method, this.#identitySoFar());
    this.#asking = null;
    this.#answer(outcome, method);
  }

  async #decide({ username, attempt }: AuthRequest): Promise<Outcome> {
    if (this.#chains === null) {
      const chains = await this.#credentials.allowedMethods(username);
      if ('code' in chains) return chains;
      this.#chains = chains;
    }
    if (attempt.kind === 'none' || attempt.kind === 'unknown' || !this.#chains.open.includes(attempt.kind)) {
      return failure('METHOD_NOT_ALLOWED');
    }
    switch (attempt.kind) {
      case 'publickey':
        return this.#credentials.publicKey(username, attempt, this.#identitySoFar());
      case 'password':
        return this.#credentials.password(username, attempt.password, 'password', this.#identitySoFar());
      case 'keyboard-interactive':
        this.#prompting = true;
        // RFC 4256 §3.2: name, instruction, language tag, number of prompts, prompt, echo
        return { kind: 'more', reply: message(MSG.USERAUTH_INFO_REQUEST, '', '', '', 1, 'Password: ', false) };
    }
  }

  #answer(outcome: Outcome, method: string): void {
    if (this.#over) return; // closed while a hook was asked
    if (outcome.kind === 'more') this.#options.transport.send(outcome.reply);
    else if (outcome.kind === 'failure') this.#refuse(outcome, method);
    else this.#succeed(outcome);
  }

  /** Identities in a row: the last one that a hook made holds, and all are of one user, so that no method lends its success
   *  to another user's. */
  #succeed({ identity, method, fingerprint, ...more }: Extract<Outcome, { kind: 'success' }>): void {
    const before = this.#soFar;
    const user = identity?.user ?? before?.user ?? this.#subject?.name ?? '';
    if (before !== null && before.user !== user)
      return this.#refuse(failure('HOOK_FAILED', 'two methods in a row gave two users'), method);
    const soFar: SoFar = {
      user,
      identity: identity ?? before?.identity ?? null,
      fingerprint: fingerprint ?? before?.fingerprint,
    };
    this.#soFar = soFar;
    const username = this.#subject?.name ?? '';
    const { kind: _, ...key } = more;
    this.#steps.push({ username, method, ...key, ...(fingerprint === undefined ? {} : { fingerprint }) });
    if (this.#chains?.passed(method) !== true) {
      this.#options.onPartial({ user, method, ...(fingerprint === undefined ? {} : { fingerprint }) });
      if (!this.#over) this.#sendFailure(true);
      return;
    }
    this.#stop(); // requests that were sent ahead get no answer (RFC 4252 §5.1)
    this.#options.transport.send(message(MSG.USERAUTH_SUCCESS));
    this.#options.onSuccess(identityOf(soFar), method, soFar.fingerprint, this.#steps);
  }

  #identitySoFar(): Identity | null {
    return this.#soFar === null ? null : identityOf(this.#soFar);
  }

  #refuse({ kind: _, ...reason }: Failure, method: string): void {
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

  /** RFC 4252 §5.1: what can go on, and whether the last method has succeeded. */
  #sendFailure(partialSuccess: boolean): void {
    const methods = this.#chains?.open ?? [];
    this.#options.transport.send(message(MSG.USERAUTH_FAILURE, methods.join(','), partialSuccess));
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

interface SoFar {
  readonly user: string;
  /** Null where the hooks said yes to the name that was given. */
  readonly identity: Identity | null;
  readonly fingerprint: string | undefined;
}

function identityOf({ user, identity, fingerprint }: SoFar): Identity {
  return identity ?? (fingerprint === undefined ? { user } : { user, fingerprint });
}
