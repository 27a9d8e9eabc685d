/** USERAUTH: the server's side of RFC 4252 for one connection, from the service request to the first success.
 *  Owns the user name under way and the count of tries. Knows no socket.
 *  Promises: answers in the order of the requests, one at a time; the same way for users that exist and users that do
 *  not; nothing sent once it is over. */
import { Ending } from '../../shared/ending.js';
import { assertNever, reasonOf } from '../../shared/errors.js';
import type { Identity, Peer } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import { DISCONNECT, type DisconnectReason, MSG, message, WireReader } from '../../shared/protocol.js';
import { type After, after, pause } from '../../shared/timer.js';
import type { Failure } from './credentials.js';
import type { AuthHooks, LoginStep } from './hooks.js';
import { Inbox } from './inbox.js';
import type { RevocationList } from './krl.js';
import { type AuthStep, type ChangedLogins, type LoggedIn, Login, type Verdict } from './login.js';
import type { RefusalDelay } from './refusal_delay.js';
import { parseAuthRequest } from './request.js';
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
  /** Called once, after USERAUTH_SUCCESS was sent. */
  readonly onSuccess: (login: LoggedIn) => void;
  /** Called when a method has succeeded and its chain wants another one; nobody is logged in yet. */
  readonly onPartial: (step: AuthStep) => void;
  /** Called for each try that counts, before its answer is sent. */
  readonly onFailure: (event: AuthFailureEvent) => void;
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
  readonly #login: Login;
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
  #requests = 0;
  /** When the message came that is being answered. */
  #cameMs = 0;
  #failures = 0;

  constructor(options: UserAuthOptions) {
    this.#options = options;
    const { hooks, peer, hookTimeoutMs, transport } = options;
    this.#login = new Login({
      ...{ hooks, peer, hookTimeoutMs },
      sessionId: transport.sessionId,
      revoked: options.revoked ?? (() => NOTHING_REVOKED),
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
    const wrong = this.#inbox.take(payload);
    if (wrong !== null) this.#violation(wrong);
  }

  /** What this login stands on by now: the methods that have succeeded, and the one that is being checked. */
  get steps(): readonly LoginStep[] {
    return this.#login.steps;
  }

  /** As whom, by now; null: nothing has succeeded. */
  get identity(): Identity | null {
    return this.#login.identity;
  }

  /** A reload has changed how people log in. */
  review(changed: ChangedLogins): void {
    this.#login.review(changed);
  }

  /** Ends it: running hooks are aborted, queued messages forgotten, nothing more is sent and no callback called. */
  close(): void {
    this.#detached = true;
    this.#stop();
  }

  #stop(): void {
    this.#over = true;
    this.#inbox.clear();
    this.#login.close();
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
      await this.#answer(await this.#login.request(request), request.method);
    }
  }

  /** The answers to our prompts, which may lead to more of them. */
  async #infoResponse(payload: Buffer): Promise<void> {
    this.#cameMs = this.#options.now();
    const verdict = await this.#login.response(this.#subject?.name ?? '', payload);
    if (this.#over) return; // by the next message, which was not worth waiting for
    if (verdict === null) this.#violation('unexpected or malformed answer');
    else await this.#answer(verdict, INTERACTIVE);
  }

  async #answer(verdict: Verdict, method: string): Promise<void> {
    if (this.#over) return; // closed while a hook was asked
    switch (verdict.kind) {
      case 'more':
        this.#options.transport.send(verdict.reply);
        return;
      case 'failure':
        return await this.#refuse(verdict, method);
      case 'partial':
        this.#options.onPartial(verdict.step);
        if (this.#over) return; // the owner closed in its callback
        if (verdict.question === null) this.#sendFailure(true);
        else this.#options.transport.send(verdict.question);
        return;
      case 'in': {
        const { kind: _, ...login } = verdict;
        this.#stop(); // requests that were sent ahead get no answer (RFC 4252 §5.1)
        this.#options.transport.send(message(MSG.USERAUTH_SUCCESS));
        this.#options.onSuccess(login);
        return;
      }
      default:
        return assertNever(verdict);
    }
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
    const { refusalDelay, now, after } = this.#options;
    const leftMs = refusalDelay.leftMs(this.#subject?.bytes ?? NOBODY, now() - this.#cameMs);
    await pause(leftMs, this.#closing.signal, after);
  }

  /** RFC 4252 §5.1: what can go on, and whether the last method has succeeded. */
  #sendFailure(partialSuccess: boolean): void {
    this.#options.transport.send(message(MSG.USERAUTH_FAILURE, this.#login.open.join(','), partialSuccess));
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
