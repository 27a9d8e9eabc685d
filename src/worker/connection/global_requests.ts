/** GLOBAL REQUESTS of one connection (RFC 4254 §4): forwards and their cancel (§7.1, OpenSSH PROTOCOL 2.4), proofs of host keys
 *  (OpenSSH PROTOCOL §2.5), and the few others that clients send.
 *  Owns the order of the replies. Every request that wants a reply gets one, in the order of the requests. */
import { reasonOf } from '../../shared/errors.js';
import type { ForwardNews, RefusalNews } from '../../shared/events.js';
import type { BindAddress } from '../../shared/identity.js';
import { type RateLimit, TokenBucket } from '../../shared/limiter.js';
import { safeText } from '../../shared/log.js';
import { MSG, message, WireReader } from '../../shared/protocol.js';
import type { ForwardOutcome, RemoteForwards } from '../forward/remote.js';
import { HOST_KEYS_PROVE, type HostKeyProver } from './host_key_proofs.js';
import { kindOfBind, nameOfBind } from './names.js';
import { OrderedReplies } from './replies.js';

export interface GlobalRequestOptions {
  readonly forwards: RemoteForwards;
  /** That the connection may have at a time. */
  readonly maxForwards: number;
  readonly hostKeys: HostKeyProver;
  readonly send: (payload: Buffer) => void;
  readonly onEvent: (event: ForwardNews) => void;
  readonly onRefused: (event: RefusalNews) => void;
  readonly onNoMoreSessions: () => void;
  readonly violated: (what: string) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Requests that we do not know, and proofs that we refuse. Clients send a few: keepalives, one a second at most. Whoever sends more
 *  is at something else. */
const UNKNOWN: RateLimit = { burst: 1_000, perSecond: 20 };
/** Requests that may wait for their answer (binding takes a round trip to the primary), beside one for each forward that may be: OpenSSH asks
 *  for all of its -R before it reads an answer, and those that are refused wait for the ones before them. A few hundred bytes each. */
const MAX_OPEN_REPLIES = 256;

export class GlobalRequests {
  readonly #options: GlobalRequestOptions;
  readonly #replies: OrderedReplies;
  readonly #unknown: TokenBucket;
  #draining = false;
  #closed = false;

  constructor(options: GlobalRequestOptions) {
    this.#options = options;
    this.#replies = new OrderedReplies(options.send);
    this.#unknown = new TokenBucket(UNKNOWN, options.now());
  }

  /** No new forwards from now on. */
  drain(): void {
    this.#draining = true;
  }
  close(): void {
    this.#closed = true;
  }

  onRequest(payload: Buffer): void {
    const { violated } = this.#options;
    const reader = new WireReader(payload, 1);
    const name = reader.text();
    const wantReply = reader.boolean();
    if (!reader.ok) return violated('malformed global request');
    if (this.#replies.open >= MAX_OPEN_REPLIES + this.#options.maxForwards)
      return violated('too many requests at once');
    const reply = wantReply ? this.#replies.reserve() : ignore;
    switch (name) {
      case 'tcpip-forward':
      case 'cancel-tcpip-forward': {
        const bind: BindAddress = { kind: 'tcp', host: reader.text(), port: reader.uint32() };
        if (!reader.ok) return violated(`malformed ${name}`);
        if (name === 'tcpip-forward') void this.#bind(bind, reply);
        else this.#cancel(bind, reply);
        return;
      }
      case 'streamlocal-forward@openssh.com':
      case 'cancel-streamlocal-forward@openssh.com': {
        const bind: BindAddress = { kind: 'unix', path: reader.text() };
        if (!reader.ok) return violated(`malformed ${name}`);
        if (name === 'streamlocal-forward@openssh.com') void this.#bind(bind, reply);
        else this.#cancel(bind, reply);
        return;
      }
      case 'no-more-sessions@openssh.com':
        this.#options.onNoMoreSessions();
        return reply(SUCCESS);
      case HOST_KEYS_PROVE: {
        const proofs = wantReply ? this.#options.hostKeys.prove(reader.rest()) : null;
        if (proofs === null) return this.#refuseUnknown(reply);
        return reply(message(MSG.REQUEST_SUCCESS, { raw: proofs }));
      }
      default: // keepalive@openssh.com among them: any answer shows that we are there
        return this.#refuseUnknown(reply);
    }
  }

  #refuseUnknown(reply: (payload: Buffer) => void): void {
    reply(FAILURE);
    if (!this.#unknown.take(this.#options.now())) this.#options.violated('too many unknown requests');
  }

  /** Never rejects: nobody waits for it. */
  async #bind(bind: BindAddress, reply: (payload: Buffer) => void): Promise<void> {
    const { forwards, onEvent, onRefused } = this.#options;
    const outcome: ForwardOutcome = this.#draining
      ? { ok: false, code: 'DRAINING' }
      : await forwards
          .request(bind)
          .catch((thrown: unknown) => ({ ok: false, code: 'HOOK_FAILED', detail: safeText(reasonOf(thrown)) }));
    if (this.#closed) return;
    if (!outcome.ok) {
      const { code, detail } = outcome;
      onRefused({
        event: 'forward.refused',
        kind: kindOfBind(bind),
        destination: nameOfBind(bind),
        reason: code,
        ...(detail === undefined ? {} : { detail }),
      });
      return reply(FAILURE);
    }
    const destination = nameOfBind(boundAs(bind, outcome.port));
    onEvent({ event: 'forward.bound', kind: kindOfBind(bind), destination });
    // §7.1: the reply carries the port only where we were asked to choose it.
    reply(bind.kind === 'tcp' && bind.port === 0 ? message(MSG.REQUEST_SUCCESS, outcome.port) : SUCCESS);
  }

  #cancel(bind: BindAddress, reply: (payload: Buffer) => void): void {
    reply(this.#options.forwards.cancel(bind) ? SUCCESS : FAILURE);
  }
}

function boundAs(bind: BindAddress, port: number): BindAddress {
  return bind.kind === 'tcp' ? { ...bind, port } : bind;
}

function ignore(): void {}

const SUCCESS = message(MSG.REQUEST_SUCCESS);
const FAILURE = message(MSG.REQUEST_FAILURE);
