/** LEDGER: who holds which connection, which port or path, and how much of each user's budget is used.
 *  Owns those tables for all workers, so that a user's limits hold across them. A state machine: no socket, no timer, no
 *  message. All keys are in Maps: `__proto__` is a user like any other. What a lease is a right to is known to `keyText`
 *  alone, so that names may join ports and paths there. */
import type { HeldConnection } from '../shared/adoption.js';
import type { BindAddress, Peer } from '../shared/identity.js';
import type { Answer, ConnId, LeaseKey, LeaseTarget, ListenerAddress } from '../shared/ipc.js';
import { isOwnSocketPath } from '../shared/socket_path.js';
import { choosePort } from './port_choice.js';

/** A connection as status pages and logs may see it. */
export interface LedgerConnection {
  readonly id: ConnId;
  readonly peer: Peer;
  /** Milliseconds on the primary's clock. */
  readonly sinceMs: number;
  /** null while the socket is on its way to a worker. */
  readonly worker: number | null;
  /** Counted for this user from the login on. */
  readonly user: string | null;
}

export interface Lease {
  readonly key: LeaseKey;
  /** What was asked for, with the port that port 0 became. For logs. */
  readonly target: BindAddress;
  readonly holder: ConnId;
  readonly user: string;
}

/** What a closed connection gave back. */
export interface Freed {
  readonly connection: LedgerConnection;
  readonly leases: readonly Lease[];
}

/** What a worker of an earlier primary came with is held by somebody else here: both were told that it is theirs. */
export interface Conflict {
  /** As it came. */
  readonly lease: Lease;
  readonly others: readonly Lease[];
}

export type LeaseOutcome =
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** The same user holds it on another connection, which may be dead without our knowing: ask its worker. */
  | { readonly kind: 'probe'; readonly holder: ConnId; readonly worker: number };

export interface LedgerOptions {
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

interface Entry extends LedgerConnection {
  peer: Peer;
  worker: number | null;
  user: string | null;
  readonly leases: Map<string, Lease>;
}

interface Usage {
  connections: number;
  forwards: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #connections = new Map<ConnId, Entry>();
  /** By `keyText`. Each has one holder, but where two primaries have granted it (see `adopt`). */
  readonly #leases = new Map<string, readonly Lease[]>();
  readonly #usage = new Map<string, Usage>();
  readonly #perWorker = new Map<number, number>();
  /** Of the server itself. */
  #own: readonly ListenerAddress[] = [];

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Connections, those on their way to a worker included. */
  get size(): number {
    return this.#connections.size;
  }

  /** Ports and paths that are leased. */
  get leased(): number {
    return this.#leases.size;
  }

  /** A socket was let in; no worker has it yet. */
  accept(id: ConnId, peer: Peer, nowMs: number): void {
    const entry: Entry = {
      id,
      peer,
      sinceMs: nowMs,
      worker: null,
      user: null,
      leases: new Map(),
    };
    this.#connections.set(id, entry);
  }

  /** A proxy has said whom it brings. */
  comesFrom(id: ConnId, peer: Peer): void {
    const entry = this.#connections.get(id);
    if (entry !== undefined) entry.peer = peer;
  }

  /** A worker took the socket. @returns false when the connection is unknown or has a worker already */
  assign(id: ConnId, worker: number): boolean {
    const entry = this.#connections.get(id);
    if (entry === undefined || entry.worker !== null) return false;
    entry.worker = worker;
    this.#perWorker.set(worker, this.held(worker) + 1);
    return true;
  }

  /** Connections that a worker holds. */
  held(worker: number): number {
    return this.#perWorker.get(worker) ?? 0;
  }

  connection(id: ConnId): LedgerConnection | undefined {
    return this.#connections.get(id);
  }
  connections(): Iterable<LedgerConnection> {
    return this.#connections.values();
  }
  leases(): Iterable<Lease> {
    return [...this.#leases.values()].flat();
  }
  usage(user: string): Readonly<Usage> {
    return this.#usage.get(user) ?? NOTHING_USED;
  }

  /** May `user` have one more connection? Asked once, after the login (DECISIONS 12). Asking again costs nothing; another
   *  user's name on the same connection moves the count. */
  login(id: ConnId, user: string, limit: number): Answer {
    const entry = this.#connections.get(id);
    if (entry === undefined) return GONE;
    if (entry.user === user) return OK;
    if (this.usage(user).connections >= limit) return LIMIT;
    if (entry.user !== null) this.#count(entry.user, 'connections', -1);
    entry.user = user;
    this.#count(user, 'connections', 1);
    return OK;
  }

  /** The server's own ports are nobody's to bind, on whatever address: a tenant on `[::1]:2222` would receive those who
   *  mean the server on 127.0.0.1:2222. Nor are the places of its own sockets, while nobody listens there: a tenant would
   *  receive the workers that look for their next primary. */
  reserve(own: readonly ListenerAddress[]): void {
    this.#own = own;
  }

  /** May the connection bind this? The holder is looked at before the limit, since a stale holder counts for it. */
  lease(id: ConnId, user: string, limit: number, target: LeaseTarget): LeaseOutcome {
    const entry = this.#connections.get(id);
    if (entry === undefined) return answer(GONE);
    const key = this.#keyFor(target);
    if (key === undefined) return answer(NO_FREE_PORT);
    const text = keyText(key);
    if (isOwnPlace(this.#own, key)) return answer(TAKEN);
    const held = this.#leases.get(text);
    if (held !== undefined) {
      if (held.some((lease) => lease.user !== user || lease.holder === id)) return answer(TAKEN);
      const holder = this.#connections.get(held[0]?.holder ?? id);
      return holder?.worker == null ? answer(TAKEN) : { kind: 'probe', holder: holder.id, worker: holder.worker };
    }
    if (this.usage(user).forwards >= limit) return answer(LIMIT);
    this.#grant(entry, { key, target: boundAs(target, key), holder: id, user });
    return answer({ ok: true, port: key.kind === 'tcp' ? key.port : 0 });
  }

  /** A connection that an earlier primary let in comes with the worker that has it. What it holds is taken as it is: the limits
   *  were asked about when it was granted. Where somebody was granted the same before this worker came, both hold it: whoever
   *  could not bind it gives it back by himself, and two who could, on two addresses, are not to pay for our mistake with their
   *  tunnels. It is free for a third when both have let go.
   *  @returns where that happened */
  adopt(id: ConnId, worker: number, nowMs: number, held: HeldConnection): Conflict[] {
    this.accept(id, held.peer, nowMs);
    this.assign(id, worker);
    const entry = this.#connections.get(id);
    if (entry === undefined || held.user === null) return [];
    this.login(id, held.user, Number.POSITIVE_INFINITY);
    const conflicts: Conflict[] = [];
    for (const { key, target, user } of held.leases) {
      const text = keyText(key);
      if (entry.leases.has(text)) continue; // said twice
      const others = this.#leases.get(text);
      const lease = { key, target, holder: id, user };
      this.#grant(entry, lease);
      if (others !== undefined) conflicts.push({ lease, others });
    }
    return conflicts;
  }

  #grant(entry: Entry, lease: Lease): void {
    const text = keyText(lease.key);
    this.#leases.set(text, [...(this.#leases.get(text) ?? []), lease]);
    entry.leases.set(text, lease);
    this.#count(lease.user, 'forwards', 1);
  }

  /** Gives one lease back. @returns it, or undefined when this connection does not hold it */
  release(id: ConnId, key: LeaseKey): Lease | undefined {
    const entry = this.#connections.get(id);
    const lease = entry?.leases.get(keyText(key));
    if (entry === undefined || lease === undefined) return undefined;
    this.#drop(entry, lease);
    return lease;
  }

  /** Forgets a connection and all that it held. @returns undefined when it was unknown */
  closed(id: ConnId): Freed | undefined {
    const entry = this.#connections.get(id);
    if (entry === undefined) return undefined;
    const leases = [...entry.leases.values()];
    for (const lease of leases) this.#drop(entry, lease);
    this.#connections.delete(id);
    if (entry.user !== null) this.#count(entry.user, 'connections', -1);
    if (entry.worker !== null) {
      const left = this.held(entry.worker) - 1;
      if (left > 0) this.#perWorker.set(entry.worker, left);
      else this.#perWorker.delete(entry.worker);
    }
    return { connection: entry, leases };
  }

  /** The sockets that connections of this worker have bound. */
  pathsOf(worker: number): readonly string[] {
    return [...this.#connections.values()]
      .filter((entry) => entry.worker === worker)
      .flatMap(({ leases }) => [...leases.values()])
      .flatMap(({ key }) => (key.kind === 'unix' ? [key.path] : []));
  }

  /** A worker died: its connections died with it, and the kernel has freed its ports. */
  workerLost(worker: number): Freed[] {
    const freed: Freed[] = [];
    for (const entry of [...this.#connections.values()]) {
      if (entry.worker !== worker) continue;
      const gone = this.closed(entry.id);
      if (gone !== undefined) freed.push(gone);
    }
    return freed;
  }

  #keyFor(target: LeaseTarget): LeaseKey | undefined {
    if (target.kind === 'unix') return { kind: 'unix', path: target.path };
    if (target.port !== 0) return { kind: 'tcp', port: target.port };
    const except = new Set(target.except);
    const port = choosePort({
      ranges: target.portRanges,
      isFree: (candidate) => {
        const text = keyText({ kind: 'tcp', port: candidate });
        return (
          !except.has(candidate) && !isOwnPlace(this.#own, { kind: 'tcp', port: candidate }) && !this.#leases.has(text)
        );
      },
      random: this.#options.random(),
    });
    return port === undefined ? undefined : { kind: 'tcp', port };
  }

  #drop(entry: Entry, lease: Lease): void {
    const text = keyText(lease.key);
    entry.leases.delete(text);
    const others = this.#leases.get(text)?.filter((other) => other !== lease) ?? [];
    if (others.length > 0) this.#leases.set(text, others);
    else this.#leases.delete(text);
    this.#count(lease.user, 'forwards', -1);
  }

  /** A user who uses nothing has no record: names tried by strangers leave nothing behind. */
  #count(user: string, what: keyof Usage, change: 1 | -1): void {
    const usage = this.#usage.get(user) ?? { connections: 0, forwards: 0 };
    usage[what] += change;
    if (usage.connections === 0 && usage.forwards === 0) this.#usage.delete(user);
    else this.#usage.set(user, usage);
  }
}

/** For a key that was made for this very target. */
function boundAs(target: LeaseTarget, key: LeaseKey): BindAddress {
  if (target.kind === 'unix') return { kind: 'unix', path: target.path };
  return { kind: 'tcp', host: target.host, port: key.kind === 'tcp' ? key.port : target.port };
}

/** By port, whatever the address: 127.0.0.1 and 127.0.0.2 could both be bound to one port by two tenants. */
function keyText(key: LeaseKey): string {
  return key.kind === 'tcp' ? `tcp:${key.port}` : `unix:${key.path}`;
}

const NOTHING_USED: Readonly<Usage> = { connections: 0, forwards: 0 };
const OK: Answer = { ok: true, port: 0 };
const LIMIT: Answer = { ok: false, reason: 'LIMIT' };
const TAKEN: Answer = { ok: false, reason: 'TAKEN' };
const NO_FREE_PORT: Answer = { ok: false, reason: 'NO_FREE_PORT' };
/** Nobody waits for this answer any more, but every question gets one. */
const GONE: Answer = { ok: false, reason: 'DRAINING' };

function answer(value: Answer): LeaseOutcome {
  return { kind: 'answer', answer: value };
}

/** Is it a port or a socket of the server's own? A port is, whatever the address. */
export function isOwnPlace(own: readonly ListenerAddress[], key: LeaseKey): boolean {
  return own.some((one) =>
    key.kind === 'tcp'
      ? one.kind === 'tcp' && one.port === key.port
      : one.kind === 'unix' && isOwnSocketPath(one.path, key.path),
  );
}
