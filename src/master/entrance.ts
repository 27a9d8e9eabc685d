/** ENTRANCE: a connection's way into a worker: accept -> admission -> dispatch -> hand-off; and the way of those that come with
 *  a worker of an earlier primary, and of all that a dead worker takes with it.
 *  Owns the door, the hand-off, and the numbers of connections; writes each into the ledger. */
import type { HeldConnection } from '../shared/adoption.js';
import type { Config } from '../shared/config.js';
import type { RefuseReason } from '../shared/errors.js';
import type { EventSink } from '../shared/events.js';
import { lastWords } from '../shared/handles.js';
import type { Peer } from '../shared/identity.js';
import type { Admitted, ConnId } from '../shared/ipc.js';
import { Numbers } from './adopted_worker.js';
import type { Clock } from './clock.js';
import { type DispatchRules, pick } from './dispatch.js';
import { Door } from './door.js';
import { Handoff, type HandoffTiming } from './handoff.js';
import type { Conflict, Freed, Ledger, LedgerConnection } from './ledger.js';
import { peerText, type Untouched } from './listener.js';
import type { Supervisor } from './supervisor.js';

/** One socket on its way to each worker: Node sends the next one only after the last was acknowledged anyhow, and what
 *  waits here instead of there can still go to another worker. */
const IN_FLIGHT = 1;

export interface EntranceOptions {
  readonly config: Config;
  readonly ledger: Ledger;
  readonly supervisor: Supervisor;
  /** Nobody is let in any more. */
  isDraining(): boolean;
  /** Sockets that may wait for a worker. */
  readonly maxWaiting: number;
  readonly event: EventSink;
  /** A worker has a connection, so long after it came. */
  handedOver(tookMs: number): void;
  readonly clock: Clock;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly timing: HandoffTiming;
  /** A worker that has given no sign of life for so long gets nobody. */
  readonly lateMs: number;
}

export class Entrance {
  readonly door: Door;
  readonly handoff: Handoff;
  readonly #options: EntranceOptions;
  readonly #rules: DispatchRules;
  #lastId = 0;

  constructor(options: EntranceOptions) {
    const { supervisor, clock, timing, lateMs } = options;
    this.#options = options;
    this.#rules = { lateMs, inFlight: IN_FLIGHT };
    this.door = new Door(options);
    this.handoff = new Handoff(
      {
        pick: (tried) => this.#pick(tried),
        give: (worker, message, handle, failed) => supervisor.give(worker, message, handle, failed),
        tell: (worker, message) => supervisor.tell(worker, message),
        taken: (worker, handle) => supervisor.taken(worker, handle),
      },
      {
        accepted: (id, worker) => this.#handedOver(id, worker),
        refused: (id, reason) => this.#turnedAway(id, reason),
      },
      clock,
      timing,
    );
  }

  /** A listener has accepted it. */
  arrived(socket: Untouched): void {
    const { ledger, clock, isDraining } = this.#options;
    const house = { draining: isDraining(), open: ledger.size, waiting: this.handoff.size };
    const { handle, peer } = socket;
    const verdict = this.door.admit(peer, house, socket.at);
    if (!verdict.admit) {
      if (verdict.lastWords !== undefined) lastWords(handle, verdict.lastWords);
      handle.close(); // the only copy: the peer sees the end
      return;
    }
    const id = this.#newId();
    const { startup, proxied } = verdict;
    ledger.accept(id, peer, clock.nowMs());
    this.door.begins(id, startup);
    this.handoff.offer({ id, handle, peer, proxied });
  }

  /** A proxy has said whom it brings; null: nobody, it comes for itself. From here on the connection is that one's, and it is
   *  judged as if it had come to the door itself.
   *  @returns may it go on? A refusal is in the log already */
  proxied(id: ConnId, client: Peer | null): Admitted {
    const { ledger } = this.#options;
    const proxy = ledger.connection(id)?.peer;
    if (proxy === undefined || !this.door.isUnnamed(id)) return { admit: false, lastWords: '' };
    this.door.named(id);
    if (client !== null) ledger.comesFrom(id, client);
    // By version 1 haproxy's checks name haproxy.
    if (client !== null && client.address !== proxy.address) {
      this.door.ended(id);
      // It was in already when a drain began, and is one of the open ones itself.
      const house = { draining: false, open: ledger.size - 1, waiting: 0 };
      const verdict = this.door.admit(client, house, null);
      if (!verdict.admit) {
        ledger.closed(id); // or its worker's death would end what was never let in
        return { admit: false, lastWords: verdict.lastWords ?? '' };
      }
      this.door.begins(id, verdict.startup);
    }
    const connection = ledger.connection(id);
    if (connection !== undefined) this.#accepted(connection, client === null ? undefined : proxy);
    return { admit: true };
  }

  /** For a worker that another primary has started: it goes on by the numbers that its connections had there. */
  newNumbers(): Numbers {
    return new Numbers(() => this.#newId());
  }

  /** Another primary has let them in. @returns where what they hold was granted once more */
  adopts(worker: number, connections: readonly HeldConnection[], numbers: Numbers): readonly Conflict[] {
    const { ledger, clock } = this.#options;
    return connections.flatMap((held) => {
      const id = numbers.here(held.id);
      this.door.adopts(id, held);
      return ledger.adopt(id, worker, clock.nowMs(), held);
    });
  }

  /** @returns what died with the worker */
  workerLost(worker: number): readonly Freed[] {
    const lost = this.#options.ledger.workerLost(worker);
    for (const { connection } of lost) {
      // It ends as the proxy's own, and nothing may end that was never told to be there.
      if (this.door.isUnnamed(connection.id)) this.#accepted(connection);
      this.door.ended(connection.id);
    }
    return lost;
  }

  #newId(): ConnId {
    return ++this.#lastId as ConnId; // the one place that gives them out
  }

  #pick(tried: ReadonlySet<number>): ReturnType<typeof pick> {
    const { ledger, supervisor } = this.#options;
    const candidates = supervisor
      .workers()
      .filter((worker) => worker.state === 'ready' || worker.state === 'starting')
      .map((worker) => ({
        id: worker.id,
        ready: worker.state === 'ready',
        connections: ledger.held(worker.id),
        inFlight: this.handoff.inFlight(worker.id),
        bufferedBytes: worker.load.bufferedBytes,
        loopLagMs: worker.load.loopLagMs,
        silentMs: worker.state === 'ready' ? worker.silentMs : 0,
      }));
    return pick(candidates, tried, this.#rules);
  }

  #handedOver(id: ConnId, worker: number): void {
    const { ledger, clock, handedOver } = this.#options;
    ledger.assign(id, worker);
    const connection = ledger.connection(id);
    if (connection === undefined) return;
    handedOver(clock.nowMs() - connection.sinceMs);
    if (!this.door.isUnnamed(id)) this.#accepted(connection);
  }

  /** @param proxy who has brought it */
  #accepted({ id, peer, worker }: LedgerConnection, proxy?: Peer): void {
    if (worker === null) return;
    const by = proxy === undefined ? {} : { proxy: peerText(proxy) };
    this.#options.event({ event: 'connection.accepted', conn: id, peer: peerText(peer), ...by, worker });
  }

  #turnedAway(id: ConnId, reason: RefuseReason): void {
    this.door.turnedAway(id, reason, this.#options.ledger.closed(id)?.connection.peer);
  }
}
