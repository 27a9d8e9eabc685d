/** HELD: what the primary has granted to this worker's connections, so that the next primary can be told of it.
 *  Owns that record, and nothing of what it speaks of. */
import type { HeldConnection, HeldLease } from '../shared/adoption.js';
import type { Peer } from '../shared/identity.js';
import type { CodeUse, ConnId, LeaseKey, LeaseTarget } from '../shared/ipc.js';

interface Entry {
  peer: Peer;
  /** It is a proxy's that has not said whom it brings. */
  unnamed: boolean;
  user: string | null;
  /** Most connections hold none. */
  leases: HeldLease[] | null;
}

/** Codes that were used last: those of before have long run off. */
const MAX_CODES = 4096;

export class Held {
  readonly #entries = new Map<ConnId, Entry>();
  /** By user and secret. */
  readonly #codes = new Map<string, CodeUse>();

  /** @param proxied the peer is a proxy */
  accepted(id: ConnId, peer: Peer, proxied: boolean): void {
    this.#entries.set(id, { peer, unnamed: proxied, user: null, leases: null });
  }

  /** A proxy has said whom it brings; null: it comes for itself. */
  comesFrom(id: ConnId, peer: Peer | null): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.peer = peer ?? entry.peer;
    entry.unnamed = false;
  }

  login(id: ConnId, user: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.user = user;
  }

  /** @param port what port 0 became */
  leased(id: ConnId, user: string, target: LeaseTarget, port: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.leases ??= [];
    if (target.kind === 'unix') {
      const { path } = target;
      entry.leases.push({ key: { kind: 'unix', path }, target: { kind: 'unix', path }, user });
    } else entry.leases.push({ key: { kind: 'tcp', port }, target: { kind: 'tcp', host: target.host, port }, user });
  }

  released(id: ConnId, key: LeaseKey): void {
    const entry = this.#entries.get(id);
    if (entry?.leases == null) return;
    entry.leases = entry.leases.filter((lease) => !isSame(lease.key, key));
  }

  closed(id: ConnId): void {
    this.#entries.delete(id);
  }

  /** A code of a second factor was good, and is used up. */
  used(code: CodeUse): void {
    const name = JSON.stringify([code.user, code.key]);
    this.#codes.delete(name);
    this.#codes.set(name, code); // at the end: a Map keeps the order
    for (const oldest of this.#codes.keys()) {
      if (this.#codes.size <= MAX_CODES) break;
      this.#codes.delete(oldest);
    }
  }

  codes(): CodeUse[] {
    return [...this.#codes.values()];
  }

  list(): HeldConnection[] {
    return [...this.#entries].map(([id, { peer, unnamed, user, leases }]) => ({
      id,
      peer,
      ...(unnamed ? { unnamed } : {}),
      user,
      leases: leases ?? [],
    }));
  }
}

function isSame(one: LeaseKey, other: LeaseKey): boolean {
  return one.kind === 'tcp'
    ? other.kind === 'tcp' && one.port === other.port
    : other.kind === 'unix' && one.path === other.path;
}
