/** PRIMARY LINK: the worker's end of the channel to the primary.
 *  Owns the channel, and what is to be said in this turn of the event loop: it goes as one message, since each costs both
 *  processes more than what it says. A primary that is gone may be followed by another, which is told what its forerunner had
 *  granted. Sorts what comes in; decides only one thing itself: a socket that comes too late or without its handle is
 *  refused, so that none is ever served twice. */
import type { HeldConnection } from '../shared/adoption.js';
import { assertNever, type CloseReason, type PenaltyReason, type RefuseReason } from '../shared/errors.js';
import type { AuditEvent } from '../shared/events.js';
import { closeHandle, isTcpHandle, type TcpHandle } from '../shared/handles.js';
import type { Peer } from '../shared/identity.js';
import {
  type Admitted,
  type Answer,
  type BandwidthGrant,
  type BandwidthWant,
  type CodeUse,
  type CodeVerdict,
  type ConnectionMessage,
  type ConnId,
  isToWorker,
  type LeaseKey,
  type LeaseTarget,
  type LookQuery,
  type Question,
  type ReloadMessage,
  type SeenPart,
  type StartMessage,
  type ToPrimary,
  type WorkerCounts,
} from '../shared/ipc.js';
import { EventQueue } from './event_queue.js';
import { Held } from './held.js';
import { Questions } from './questions.js';

/** A socket that the primary handed over. */
export interface HandedOver {
  readonly id: ConnId;
  readonly handle: TcpHandle;
  /** A proxy, where it is `proxied`. */
  readonly peer: Peer;
  /** It begins with a PROXY header. */
  readonly proxied: boolean;
}

/** The SSH server as the worker's main drives it. */
export interface WorkerServer {
  /** False: ssh2 runs without its native binding. */
  readonly nativeBinding: boolean;
  /** Takes ownership of the handle. Sync; returns false when it cannot take one more (then nothing was read). */
  accept(connection: HandedOver): boolean;
  /** Ends one connection. For `REVOKED` not a byte may be written and nothing shut down, only our copy destroyed:
   *  another worker may be serving the same TCP connection. Unknown ids are none of our business. */
  close(id: ConnId, reason: CloseReason): void;
  /** Is the peer alive? Settles within `timeoutMs`; an unknown connection is not. */
  probe(id: ConnId, timeoutMs: number): Promise<boolean>;
  /** Resolves when every connection has ended, at the deadline by force. May be called again; the earlier deadline
   *  holds. */
  drain(deadlineMs: number): Promise<void>;
  /** Takes no new connection; those that are there go on in full. Resolves when the last one has ended. */
  retire(): Promise<void>;
  /** Serves by other settings from now on, and ends what they took away from those who are there. */
  reload(message: ReloadMessage): void;
  /** Once a second: what is due now and then. */
  look(): void;
  load(): { readonly connections: number; readonly channels: number; readonly bufferedBytes: number };
  /** What was counted since the last call. */
  counts(): WorkerCounts;
  /** What its connections are and do, for who looks: part by part, each made when it is asked for. */
  survey(query: LookQuery): Iterator<SeenPart, undefined>;
}

/** What the server asks of the primary; in a single process the same interface sits on a Ledger. */
export interface Primary {
  /** The connection has passed authentication. May `user` have one more? `ok` counts it until `closed`. Never rejects. */
  login(id: ConnId, user: string, limit: number): Promise<Answer>;
  /** May the connection bind this? `ok` leases it until `release` or `closed`. Never rejects. */
  lease(id: ConnId, user: string, limit: number, target: LeaseTarget): Promise<Answer>;
  /** A proxy has said whose connection this is; null: its own. May it go on? Null: there is no primary that could say. Never
   *  rejects. */
  proxied(id: ConnId, client: Peer | null): Promise<Admitted | null>;
  release(id: ConnId, key: LeaseKey): void;
  /** How much of that may move? Null: there is no primary any more. Never rejects. */
  bandwidth(want: BandwidthWant): Promise<BandwidthGrant | null>;
  /** May this code of a second factor open a connection? A yes uses it up, for all workers. Null: there is no primary any
   *  more, and nobody knows. Never rejects. */
  code(use: CodeUse): Promise<CodeVerdict | null>;
  /** Said last, when the connection's listeners are closed: its ports go to others from here on. `penalty`: it never logged in,
   *  and its source is to be penalised for that. */
  closed(id: ConnId, penalty?: PenaltyReason): void;
  event(event: AuditEvent): void;
}

/** The same primary, where events go another way. */
export function withEvents(primary: Primary, event: Primary['event']): Primary {
  return {
    login: (...login) => primary.login(...login),
    lease: (...lease) => primary.lease(...lease),
    release: (...lease) => primary.release(...lease),
    bandwidth: (want) => primary.bandwidth(want),
    code: (use) => primary.code(use),
    proxied: (...client) => primary.proxied(...client),
    closed: (...closed) => primary.closed(...closed),
    event,
  };
}

/** The process's end of the channel to the primary. */
export interface PrimaryChannel {
  readonly connected: boolean;
  /** In order. `done` is called when they are written or lost. */
  send(messages: readonly ToPrimary[], done: () => void): void;
  onMessage(listener: (message: unknown, handle: unknown) => void): void;
  onDisconnect(listener: () => void): void;
}

/** What the worker's main does with what comes in. */
export interface LinkHandler {
  start(message: StartMessage): void;
  reload(message: ReloadMessage): void;
  /** Takes ownership of the handle when it returns true. */
  connection(connection: HandedOver): true | RefuseReason;
  close(id: ConnId, reason: CloseReason): void;
  probe(id: ConnId, timeoutMs: number): Promise<boolean>;
  /** Tells part by part, with other things between them. Where it fails there is no last part.
   *  @param tell false: who has asked is gone, and nobody wants the rest */
  survey(query: LookQuery, tell: (part: SeenPart) => boolean): void;
  /** The primary asks for what was counted, under this number. */
  count(count: number): void;
  drain(deadlineMs: number): void;
  /** @param deadlineMs 0: none */
  retire(deadlineMs: number): void;
  /** The primary is dead, or has let go of this worker. */
  orphaned(): void;
  /** Something threw that must not. */
  fault(thrown: unknown): void;
}

export class PrimaryLink implements Primary {
  #channel: PrimaryChannel;
  #handler: LinkHandler | undefined;
  readonly #held = new Held();
  readonly #nowNs: () => bigint;
  readonly #questions = new Questions();
  /** Said in this turn, and who wants to know when it is written. */
  #batch: ToPrimary[] = [];
  #batchSent: (() => void)[] = [];
  #scheduled = false;
  #unsent = 0;
  #whenSent: (() => void)[] = [];
  #dropped = 0;
  /** Of channels: which primary it is. */
  #generation = 0;
  readonly #events = new EventQueue(
    (events, lost, sent) => this.send({ type: 'events', events, lost }, sent),
    () => this.#schedule(),
  );

  readonly #atTurnsEnd: (call: () => void) => void;

  /** @param nowNs CLOCK_MONOTONIC, the primary's clock too
   *  @param atTurnsEnd calls when this turn of the event loop has heard all that it will, before the next one reads */
  constructor(channel: PrimaryChannel, nowNs: () => bigint, atTurnsEnd: (call: () => void) => void = setImmediate) {
    this.#channel = channel;
    this.#nowNs = nowNs;
    this.#atTurnsEnd = atTurnsEnd;
  }

  /** Messages that were none of ours. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Is there a primary? */
  get connected(): boolean {
    return this.#channel.connected;
  }

  listen(handler: LinkHandler): void {
    this.#handler = handler;
    this.#attach(handler);
    this.send({ type: 'hello' });
  }

  /** What the primary that is gone had granted. */
  held(): HeldConnection[] {
    return this.#held.list();
  }
  usedCodes(): CodeUse[] {
    return this.#held.codes();
  }

  /** Another primary takes the place of the one that is gone; it has been told what is held. */
  follow(channel: PrimaryChannel): void {
    this.#channel = channel;
    if (this.#handler !== undefined) this.#attach(this.#handler);
    this.#questions.follow((message) => this.send(message));
    this.#schedule(); // events that waited for somebody to hear them
  }

  #attach(handler: LinkHandler): void {
    const channel = this.#channel;
    channel.onMessage((message, handle) => this.#message(message, handle, handler));
    channel.onDisconnect(() => {
      this.#forget();
      handler.orphaned();
    });
  }

  /** Nobody hears what was on its way. Events that were not sent yet and questions wait for the next primary. */
  #forget(): void {
    this.#questions.forget();
    this.#batch = [];
    this.#batchSent = [];
    this.#events.forget();
    this.#unsent = 0;
    this.#generation++;
    for (const resolve of this.#whenSent.splice(0)) resolve();
  }

  /** Lost without a sound when the primary is gone. */
  send(message: ToPrimary, sent: (() => void) | null = null): void {
    if (!this.#channel.connected) return;
    this.#batch.push(message);
    if (sent !== null) this.#batchSent.push(sent);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#atTurnsEnd(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#channel.connected) return;
    this.#events.flush();
    const batch = this.#batch;
    if (batch.length === 0) return;
    const sent = this.#batchSent;
    this.#batch = [];
    this.#batchSent = [];
    this.#unsent++;
    const generation = this.#generation;
    this.#channel.send(batch, () => {
      if (generation !== this.#generation) return; // of a channel that is gone
      this.#unsent--;
      for (const told of sent) told();
      if (this.#whenSent.length > 0) this.#flush(); // events that waited for this one must not be left behind at exit
      if (this.#unsent === 0) for (const resolve of this.#whenSent.splice(0)) resolve();
    });
  }

  /** Resolves when nothing waits to be written; exiting earlier would lose it. */
  flushed(): Promise<void> {
    this.#flush();
    if (this.#unsent === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSent.push(resolve);
    });
  }

  /** Never rejects. */
  ask(question: Question): Promise<Answer> {
    return this.#questions.ask(question, this.#sender());
  }

  #sender(): ((message: ToPrimary) => void) | null {
    return this.#channel.connected ? (message) => this.send(message) : null;
  }

  async login(id: ConnId, user: string, limit: number): Promise<Answer> {
    const answer = await this.ask({ kind: 'login', id, user, limit });
    if (answer.ok) this.#held.login(id, user);
    return answer;
  }
  async lease(id: ConnId, user: string, limit: number, target: LeaseTarget): Promise<Answer> {
    const answer = await this.ask({ kind: 'lease', id, user, limit, target });
    if (answer.ok) this.#held.leased(id, user, target, answer.port);
    return answer;
  }
  bandwidth(want: BandwidthWant): Promise<BandwidthGrant | null> {
    return this.#questions.want(want, this.#sender());
  }
  async code(use: CodeUse): Promise<CodeVerdict | null> {
    const verdict = await this.#questions.judge(use, this.#sender());
    if (verdict === 'OK') this.#held.used(use);
    return verdict;
  }
  async proxied(id: ConnId, client: Peer | null): Promise<Admitted | null> {
    const verdict = await this.#questions.proxied(id, client, this.#sender());
    if (verdict?.admit) this.#held.comesFrom(id, client);
    return verdict;
  }
  release(id: ConnId, key: LeaseKey): void {
    this.#held.released(id, key);
    this.send({ type: 'release', id, target: key });
  }
  closed(id: ConnId, penalty?: PenaltyReason): void {
    this.#held.closed(id);
    this.send({ type: 'closed', id, ...(penalty === undefined ? {} : { penalty }) });
  }
  event(event: AuditEvent): void {
    this.#events.push(event);
  }

  #message(message: unknown, handle: unknown, handler: LinkHandler): void {
    if (!isToWorker(message)) {
      this.#dropped++;
      if (isTcpHandle(handle)) closeHandle(handle);
      return;
    }
    switch (message.type) {
      case 'start':
        handler.start(message);
        return;
      case 'reload':
        handler.reload(message);
        return;
      case 'connection':
        this.#connection(message, handle, handler);
        return;
      case 'revoke':
        handler.close(message.id, 'REVOKED');
        return;
      case 'answer':
        this.#questions.answered(message.ask, message.answer);
        return;
      case 'grant':
        this.#questions.granted(message.ask, message);
        return;
      case 'judged':
        this.#questions.judged(message.ask, message.verdict);
        return;
      case 'admitted':
        this.#questions.admitted(message.ask, message.verdict);
        return;
      case 'probe':
        void this.#probe(message.probe, handler.probe(message.id, message.timeoutMs));
        return;
      case 'close':
        handler.close(message.id, message.reason);
        return;
      case 'look':
        handler.survey(message.query, this.#teller(message.look));
        return;
      case 'count':
        handler.count(message.count);
        return;
      case 'ping':
        this.send({ type: 'pong' });
        return;
      case 'drain':
        handler.drain(message.deadlineMs);
        return;
      case 'retire':
        handler.retire(message.deadlineMs);
        return;
      default:
        assertNever(message);
    }
  }

  /** To the primary that asks now and to no other: each counts its looks from 1, and a part of an old one would land in the next
   *  one's own. */
  #teller(look: number): (part: SeenPart) => boolean {
    const channel = this.#channel;
    return ({ seen, isLast }) => {
      if (channel !== this.#channel || !channel.connected) return false;
      this.send({ type: 'seen', look, seen, ...(isLast ? {} : { more: true }) });
      return true;
    };
  }

  /** Answered in this very turn, before a byte is read: what the primary gets no answer to is untouched. */
  #connection(message: ConnectionMessage, handle: unknown, handler: LinkHandler): void {
    const { id } = message;
    // The descriptor did not fit into this process's limit (MSG_CTRUNC), or the primary has given up waiting.
    if (!isTcpHandle(handle)) return this.send({ type: 'refused', id, reason: 'HANDOFF_FAILED' });
    if (this.#nowNs() > BigInt(message.deadlineNs)) return this.#refuse(handle, id, 'HANDOFF_FAILED');
    const peer = { address: message.peerAddress, port: message.peerPort };
    this.#held.accepted(id, peer, message.proxied);
    const taken = this.#taken(handler, { id, handle, peer, proxied: message.proxied });
    if (taken === true) {
      this.send({ type: 'accepted', id });
      this.#flush(); // at once: the rest of this turn may last longer than the primary waits
    } else this.#refuse(handle, id, taken);
  }

  /** A throw is a fault of ours, and the socket must still be answered. */
  #taken(handler: LinkHandler, connection: HandedOver): true | RefuseReason {
    try {
      return handler.connection(connection);
    } catch (error) {
      handler.fault(error);
      return 'HANDOFF_FAILED';
    }
  }

  #refuse(handle: TcpHandle, id: ConnId, reason: RefuseReason): void {
    closeHandle(handle);
    this.#held.closed(id);
    this.send({ type: 'refused', id, reason });
  }

  async #probe(probe: number, asked: Promise<boolean>): Promise<void> {
    const alive = await asked.catch(() => true); // in doubt nobody loses a port
    this.send({ type: 'probed', probe, alive });
  }
}

/** The stack of anything that was thrown, short enough for a message. */
export function stackOf(thrown: unknown): string {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return text.slice(0, MAX_STACK);
}

const MAX_STACK = 4_000;
