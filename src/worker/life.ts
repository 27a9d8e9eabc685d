/** LIFE: one SSH connection from the accepted socket to its end: intake, transport, auth, connection, in this order.
 *  Owns which of them is in charge, and the grace time. Promises `onEnd` exactly once, after everything that the
 *  connection held is free. */

import { type CloseReason, reasonOf } from '../shared/errors.js';
import type { ForwardKind, Payload } from '../shared/events.js';
import type { Identity, Peer } from '../shared/identity.js';
import type { Admitted, ConnId, ListenerAddress } from '../shared/ipc.js';
import { DISCONNECT } from '../shared/protocol.js';
import type { LoginStep } from './auth/hooks.js';
import type { RevocationList } from './auth/krl.js';
import type { LoggedIn } from './auth/login.js';
import { isRevoked } from './auth/presented_key.js';
import type { RefusalDelay } from './auth/refusal_delay.js';
import { UserAuth } from './auth/userauth.js';
import type { Bandwidth, Membership } from './bandwidth.js';
import { Connection } from './connection/connection.js';
import { announcementFor, HostKeyProofs } from './connection/host_key_proofs.js';
import { kindOfBind } from './connection/names.js';
import { TOLD_OF_USER } from './connection/refusals.js';
import type { ConnectionLimits } from './connection/surroundings.js';
import { Expiry, isExpired } from './expiry.js';
import type { OpenRates } from './forward/open_rates.js';
import { bindRate } from './forward/remote.js';
import type { Resolver } from './forward/resolve.js';
import { GuardedPolicy } from './guarded.js';
import { Intake } from './intake.js';
import type { Account, WorkerMemory } from './memory.js';
import type { HandedOver, Primary } from './primary_link.js';
import { ProxyIntake } from './proxy_intake.js';
import type { IdentityLimits, ServerHooks, Taken } from './server.js';
import { Story } from './story.js';
import type { Sight } from './survey.js';
import type { Tally } from './tally.js';
import { SocketReader } from './transport/reader.js';
import { Transport, type TransportOptions } from './transport/transport.js';
import type { UserBuckets } from './user_buckets.js';

/** What all connections of a worker share. */
export interface LifeContext {
  readonly hooks: ServerHooks;
  readonly primary: Primary;
  /** What an operator should hear of a step of a login that has succeeded; null: nothing. */
  hint(step: LoginStep): string | null;
  readonly transport: TransportOptions;
  readonly tally: Tally;
  readonly memory: WorkerMemory;
  readonly resolver: Resolver;
  readonly bandwidth: Bandwidth;
  readonly openRates: OpenRates;
  /** How often users bind, and how many of their refusals are told. */
  readonly binds: UserBuckets;
  readonly refusals: UserBuckets;
  readonly limits: ConnectionLimits;
  readonly auth: {
    readonly maxTries: number;
    readonly loginGraceTimeMs: number;
    readonly refusalDelay: RefusalDelay;
  };
  /** The server's own sockets that are for its operators and its workers alone: nobody's tunnel leads there, whatever a hook says. */
  own(): readonly ListenerAddress[];
  /** What is revoked now: other than the rest it changes under a connection. */
  revoked(): RevocationList;
  readonly hookTimeoutMs: number;
  /** Monotonic milliseconds. */
  now(): number;
}

type Stage =
  | { readonly name: 'ident'; readonly intake: Intake | ProxyIntake }
  | { readonly name: 'kex'; readonly transport: Transport }
  | { readonly name: 'auth'; readonly transport: Transport; readonly auth: UserAuth }
  | {
      readonly name: 'serving';
      readonly transport: Transport;
      readonly connection: Connection;
      readonly identity: Identity;
      /** What the login stands on. */
      readonly steps: readonly LoginStep[];
    }
  | { readonly name: 'ended' };

/** What the peer reads when we end its connection. */
const FAREWELLS: { readonly [reason in CloseReason]?: string } = {
  LOGIN_TIMEOUT: 'login took too long',
  USER_LIMIT: 'too many connections of this user',
  REPLACED: 'replaced by a newer connection',
  KILLED: 'ended by the administrator',
  RIGHTS_WITHDRAWN: 'access was withdrawn',
  EXPIRED: 'access has expired',
  DRAINED: 'server is shutting down',
};

export class Life {
  readonly id: ConnId;
  readonly #context: LifeContext;
  /** The client, once a proxy has named it. */
  #peer: Peer;
  readonly #reader: SocketReader;
  readonly #account: Account;
  readonly #story: Story;
  #graceTimer: NodeJS.Timeout | undefined;
  readonly #onEnd: (life: Life) => void;
  #stage: Stage;
  #draining = false;
  /** A proxy's that has not said yet whom it brings. */
  #isUnnamed: boolean;
  /** Where the user's bytes per second are limited. */
  #membership: Membership | null = null;
  readonly #expiry = new Expiry(() => this.close('EXPIRED'));
  /** Of a connection that has ended. */
  #traffic: Payload = NO_TRAFFIC;

  constructor(handedOver: HandedOver, context: LifeContext, onEnd: (life: Life) => void) {
    this.id = handedOver.id;
    this.#context = context;
    this.#peer = handedOver.peer;
    this.#isUnnamed = handedOver.proxied;
    this.#onEnd = onEnd;
    const { primary, now } = context;
    this.#story = new Story(this.id, this.#peer, { event: (event) => primary.event(event), now });
    this.#account = context.memory.open(() => this.#shed());
    this.#reader = new SocketReader(handedOver.handle, context.transport.buffers, () => true);
    this.#stage = { name: 'ident', intake: handedOver.proxied ? this.#proxyIntake() : this.#intake() };
    this.#graceTimer = setTimeout(() => this.close('LOGIN_TIMEOUT'), context.auth.loginGraceTimeMs);
  }

  get channels(): number {
    return this.#stage.name === 'serving' ? this.#stage.connection.channelCount : 0;
  }

  /** Of all its channels until now. */
  traffic(): Payload {
    return this.#stage.name === 'serving' ? this.#stage.connection.traffic() : this.#traffic;
  }

  forwards(): readonly ForwardKind[] {
    return this.#stage.name === 'serving' ? this.#stage.connection.binds().map(kindOfBind) : [];
  }

  /** As it stands now, for whoever looks. */
  sight(): Sight {
    const connection = this.#stage.name === 'serving' ? this.#stage.connection : null;
    return {
      ...this.#story.sight(),
      channelCount: this.channels,
      channels: () => connection?.channels() ?? [],
      forwards: () => connection?.forwards() ?? [],
      ...this.traffic(),
    };
  }

  probe(timeoutMs: number): Promise<boolean> {
    return this.#stage.name === 'serving' ? this.#stage.connection.probe(timeoutMs) : Promise.resolve(false);
  }

  /** Ends it now, and tells the peer why where there is a way to. REVOKED closes our copy of the descriptor and nothing
   *  else: another worker serves this very TCP connection, and a byte or a FIN of ours would fall into its stream. */
  close(reason: CloseReason): void {
    const stage = this.#stage;
    if (reason === 'REVOKED') {
      if (stage.name === 'ident') stage.intake.cancel();
      this.#end(reason, '');
      this.#reader.socket.destroy();
      return;
    }
    switch (stage.name) {
      case 'ident':
        stage.intake.cancel();
        this.#end(reason, '');
        return;
      case 'kex':
      case 'auth':
      case 'serving':
        stage.transport.disconnect(DISCONNECT.BY_APPLICATION, FAREWELLS[reason] ?? 'connection closed', reason);
        return;
      case 'ended':
        return;
    }
  }

  /** The config has changed: ends what it took away, the whole connection or what of it is not permitted any more. */
  review(taken: Taken): void {
    const stage = this.#stage;
    if (stage.name !== 'auth' && stage.name !== 'serving') return;
    const { steps, identity } = stage.name === 'auth' ? stage.auth : stage;
    const revoked = this.#context.revoked();
    const isTaken = steps.some((step) => isRevoked(step, revoked) || taken.login(step, this.#peer));
    if (isTaken || (identity !== null && taken.name(identity))) return this.close('RIGHTS_WITHDRAWN');
    if (stage.name === 'auth') return stage.auth.review(taken.logins);
    this.#expiry.move(taken.ends(stage.identity));
    stage.connection.review(taken);
  }

  /** The worker's memory is needed for others. With a reset, since nothing that waits here may wait any longer. */
  #shed(): void {
    const stage = this.#stage;
    if (stage.name === 'kex' || stage.name === 'auth' || stage.name === 'serving')
      stage.transport.abort('OVERFLOW', `held ${this.#account.bytes} bytes when memory was short`);
  }

  /** Refuses what is new; ends as soon as no channel is open. */
  drain(): void {
    this.#draining = true;
    if (this.#stage.name === 'serving') this.#stage.connection.drain();
    this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (this.#draining && this.channels === 0) this.close('DRAINED');
  }

  // --- the way -----------------------------------------------------------------------------------------------------

  #proxyIntake(): ProxyIntake {
    return new ProxyIntake(this.#reader, {
      judge: (client) => this.#judge(client),
      onAdmitted: (client, rest) => {
        if (client !== null) this.#peer = client;
        this.#story.named(this.#peer);
        const intake = this.#intake();
        this.#stage = { name: 'ident', intake };
        this.#reader.socket.resume();
        intake.receive(rest);
      },
      onTurnedAway: () => this.#end(null, ''),
      onRefused: (reason, detail) => this.#end(reason, detail),
    });
  }

  #judge(client: Peer | null): Promise<Admitted | null> {
    this.#isUnnamed = false;
    return this.#context.primary.proxied(this.id, client);
  }

  #intake(): Intake {
    return new Intake(this.#reader, {
      onIdent: (line, rest) => this.#startTransport(line, rest),
      onRefused: (reason, detail) => this.#end(reason, detail),
    });
  }

  #startTransport(line: Buffer, rest: Buffer): void {
    const transport: Transport = new Transport(this.#reader, this.#account, this.#context.transport, {
      onReady: () => this.#startAuth(transport),
      onPayload: (payload, lease) => {
        const stage = this.#stage;
        if (stage.name === 'serving') stage.connection.onPayload(payload, lease);
        else if (stage.name === 'auth') stage.auth.onMessage(payload);
      },
      onReadEnd: () => {
        if (this.#stage.name !== 'serving') return;
        this.#stage.connection.onReadEnd();
        if (this.#draining) this.#endIfDrained(); // the peer's CLOSE of the last channel may have come
      },
      onWritable: () => {
        if (this.#stage.name === 'serving') this.#stage.connection.onWritable();
      },
      onClose: (reason, detail) => this.#end(reason, detail),
    });
    this.#stage = { name: 'kex', transport };
    this.#story.identified(line);
    transport.start(line, rest);
  }

  #startAuth(transport: Transport): void {
    const { hooks, auth, hookTimeoutMs } = this.#context;
    const userAuth = new UserAuth({
      transport: {
        sessionId: transport.sessionId,
        send: (payload) => transport.send(payload),
        disconnect: (reason, text, why, detail) => transport.disconnect(reason, text, why, detail),
      },
      hooks,
      revoked: () => this.#context.revoked(),
      peer: this.#peer,
      maxTries: auth.maxTries,
      refusalDelay: auth.refusalDelay,
      now: this.#context.now,
      hookTimeoutMs,
      onSuccess: (login) => this.#startConnection(transport, login),
      onPartial: (step) => this.#story.halfWay(step),
      onFailure: (failure) => this.#story.failed(failure),
    });
    this.#stage = { name: 'auth', transport, auth: userAuth };
  }

  #startConnection(transport: Transport, login: LoggedIn): void {
    if (this.#stage.name !== 'auth') return; // it ended with the very message that told the success
    const { hooks, primary, tally, limits, resolver, openRates, binds, refusals, hookTimeoutMs, now } = this.#context;
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
    transport.setAuthenticated();
    this.#story.isIn(login);
    const { identity, steps } = login;
    const { user } = identity;
    const policy = new GuardedPolicy({ hooks, identity, timeoutMs: hookTimeoutMs, own: this.#context.own });
    let own: Required<IdentityLimits>;
    try {
      own = policy.limits();
    } catch (thrown) {
      transport.disconnect(DISCONNECT.BY_APPLICATION, 'connection closed', 'HOOK_FAILED', reasonOf(thrown));
      return;
    }
    if (isExpired(own.expiresAtMs)) return this.close('EXPIRED');
    this.#expiry.start(own.expiresAtMs);
    this.#membership = this.#context.bandwidth.join(user, own.bytesPerSecond);
    this.#account.join(user, own.memoryBytes);
    const { buffers, hostKeys } = this.#context.transport;
    const connection = new Connection({
      transport,
      identity,
      peer: this.#peer,
      policy,
      leases: {
        lease: (target) => primary.lease(this.id, user, own.forwards, target),
        release: (key) => primary.release(this.id, key),
      },
      resolver,
      openRates: {
        open: () => openRates.open(user, own),
        failed: () => openRates.failed(user, own),
      },
      mayBind: () => binds.take(user, bindRate(own.forwards)),
      mayTell: () => refusals.take(user, TOLD_OF_USER),
      hostKeys: new HostKeyProofs({
        keys: hostKeys.all,
        sessionId: transport.sessionId,
        rsaAlgorithm: transport.rsaAlgorithm,
      }),
      buffers,
      account: this.#account,
      limits: { ...limits, maxChannels: Math.min(own.channels, limits.maxChannels) },
      purses: this.#membership,
      onEvent: (event) => {
        this.#story.tell(event);
        // A channel that ended or was refused is still in its table while that is told.
        if (this.#draining) setImmediate(() => this.#endIfDrained());
      },
      onRefusal: (event) => tally.refused(event),
      onOpened: (kind, tookMs) => tally.opened(kind, tookMs),
      now,
    });
    this.#stage = { name: 'serving', transport, connection, identity, steps };
    tally.loggedIn(
      this.#story.succeeded(
        login,
        steps.map((step) => this.#context.hint(step)).filter((hint) => hint !== null),
      ),
    );
    // Served at once, counted meanwhile: the answer takes a round trip to the primary, and what the user may do with a
    // connection too many in that time is what it may do with the others.
    void primary.login(this.id, user, own.connections).then((answer) => {
      if (!answer.ok) this.close(answer.reason === 'DRAINING' ? 'DRAINED' : 'USER_LIMIT');
    });
    const told = announcementFor(this.#story.ident, hostKeys.all);
    if (told !== null) transport.send(told);
    if (this.#draining) this.drain();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  /** @param reason null: the primary has told it already */
  #end(reason: CloseReason | null, detail: string): void {
    const stage = this.#stage;
    if (stage.name === 'ended') return;
    this.#stage = { name: 'ended' };
    clearTimeout(this.#graceTimer);
    this.#expiry.cancel();
    if (stage.name === 'auth') stage.auth.close();
    if (stage.name === 'serving') {
      stage.connection.close();
      this.#traffic = stage.connection.traffic();
    }
    this.#membership?.leave();
    this.#account.close();
    const { socket } = this.#reader;
    const isTold = reason !== null && reason !== 'REVOKED'; // that one's end is told by the worker that has it
    // It ends as the proxy's own, and nothing may end that was never told to be there.
    if (isTold && this.#isUnnamed) void this.#judge(null);
    if (isTold) this.#story.ended({ reason, detail, bytesIn: socket.bytesRead, bytesOut: socket.bytesWritten });
    this.#context.primary.closed(this.id, reason === null ? undefined : this.#story.penalty(reason));
    this.#onEnd(this);
  }
}

const NO_TRAFFIC: Payload = { bytesIn: 0, bytesOut: 0 };
