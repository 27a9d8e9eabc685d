/** WORLD: a primary's ledger and two workers' links to it, all in this process, with messages that come late between them; and
 *  a target that tunnels may reach. What is raced is the program's own: ledger and lease desk, primary link,
 *  connection, forwards, dials, real sockets.
 *  Owns them, and knows what is left over when everybody has gone. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { systemClock } from '../../src/master/clock.js';
import { LeaseDesk } from '../../src/master/lease_desk.js';
import { Ledger } from '../../src/master/ledger.js';
import type { ConnId, ToPrimary, ToWorker } from '../../src/shared/ipc.js';
import { WorkerMemory } from '../../src/worker/memory.js';
import { PrimaryLink } from '../../src/worker/primary_link.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import type { Dice } from '../dice.js';
import type { Peer } from './peer.js';
import { Pipe, turn } from './turns.js';

export const WORKERS = [1, 2] as const;

type Tell = (worker: number, message: ToWorker) => void;

/** One worker's end of the channel. */
interface Post {
  readonly link: PrimaryLink;
  readonly toPrimary: Pipe;
  readonly toWorker: Pipe;
}

export class World {
  readonly ledger: Ledger;
  readonly memory = new WorkerMemory({ budgetBytes: Number.POSITIVE_INFINITY });
  readonly buffers = new Buffers();
  readonly peers = new Map<ConnId, Peer>();
  readonly targetPort: number;
  readonly #posts: ReadonlyMap<number, Post>;
  readonly #target: Server;
  #lastId = 0;
  /** What a worker called a fault. */
  readonly troubles: string[] = [];

  private constructor(target: Server, dice: Dice) {
    const address = target.address();
    this.targetPort = address !== null && typeof address === 'object' ? address.port : 0;
    this.#target = target;
    this.ledger = new Ledger({ random: () => dice.between(0, 999_999) / 1_000_000 });
    this.#posts = this.#connect(dice);
  }

  static async open(dice: Dice): Promise<World> {
    const target = createServer({ allowHalfOpen: false }, (socket) => {
      socket.on('error', ignore).resume();
    });
    target.listen({ port: 0, host: '0.0.0.0', backlog: 1_024 });
    await once(target, 'listening');
    return new World(target, dice);
  }

  /** Of a worker that has just taken a connection. */
  link(worker: number): PrimaryLink {
    const post = this.#posts.get(worker);
    if (post === undefined) throw new Error(`no worker ${worker}`);
    return post.link;
  }
  nextId(): ConnId {
    return ++this.#lastId as ConnId;
  }

  #connect(dice: Dice): ReadonlyMap<number, Post> {
    const posts = new Map<number, Post>();
    const heard = new Map<number, (message: unknown, handle: unknown) => void>();
    const tell: Tell = (worker, message) =>
      posts.get(worker)?.toWorker.post(() => heard.get(worker)?.(message, undefined));
    const desk = new LeaseDesk(
      this.ledger,
      {
        probe: (worker, probe, id, timeoutMs) => tell(worker, { type: 'probe', probe, id, timeoutMs }),
        close: (worker, id, reason) => tell(worker, { type: 'close', id, reason }),
      },
      systemClock,
      { probeMs: 30, slackMs: 30, releaseMs: 30 },
    );
    for (const worker of WORKERS) {
      const [toPrimary, toWorker] = [new Pipe(dice), new Pipe(dice)];
      const link = new PrimaryLink(
        {
          connected: true,
          send: (messages: readonly ToPrimary[], done) =>
            toPrimary.post(() => {
              for (const message of messages) void this.#hear(desk, worker, message, tell);
              done();
            }),
          onMessage: (listener) => heard.set(worker, listener),
          onDisconnect: ignore,
        },
        () => process.hrtime.bigint(),
      );
      posts.set(worker, { link, toPrimary, toWorker });
      link.listen({
        ...{ start: ignore, drain: ignore, retire: ignore, reload: ignore, count: ignore, orphaned: ignore },
        ...{ connection: () => 'NO_WORKER' as const, survey: () => null },
        close: (id) => this.peers.get(id)?.end(),
        probe: (id, timeoutMs) => this.peers.get(id)?.connection.probe(timeoutMs) ?? Promise.resolve(false),
        fault: (thrown) => this.troubles.push(String(thrown)),
      });
    }
    return posts;
  }

  /** What the primary's router does with what concerns connections and leases. */
  async #hear(desk: LeaseDesk, worker: number, message: ToPrimary, tell: Tell): Promise<void> {
    switch (message.type) {
      case 'ask':
        return tell(worker, { type: 'answer', ask: message.ask, answer: await desk.answer(message.question) });
      case 'release':
        if (this.ledger.release(message.id, message.target) !== undefined) desk.released(message.id);
        return;
      case 'closed':
        if (this.ledger.closed(message.id) !== undefined) desk.released(message.id);
        return;
      case 'probed':
        return desk.probed(worker, message.probe, message.alive);
    }
  }

  /** Descriptors of this process: whatever is bound, accepted or dialled is one. */
  static descriptors(): number {
    return readdirSync('/proc/self/fd').length;
  }

  get #isQuiet(): boolean {
    return [...this.#posts.values()].every(({ toPrimary, toWorker }) => toPrimary.isEmpty && toWorker.isEmpty);
  }

  /** Waits until everything said has been heard. @returns what is left in the tables */
  async settled(): Promise<string[]> {
    // A link says what it has to say at the end of the turn: quiet for once is not yet settled.
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await turn();
      if (!this.#isQuiet) quiet = 0;
    }
    const left = [...this.ledger.leases()].map(
      ({ target, holder }) => `lease of ${JSON.stringify(target)} by ${holder}`,
    );
    for (const { id } of this.ledger.connections()) left.push(`connection ${id} in the ledger`);
    if (this.memory.usedBytes !== 0) left.push(`${this.memory.usedBytes} bytes counted`);
    for (const user of USERS) {
      const { connections, forwards } = this.ledger.usage(user);
      if (connections + forwards > 0) left.push(`${user}: ${connections} connections, ${forwards} forwards counted`);
    }
    return [...left, ...this.troubles.splice(0)];
  }

  async close(): Promise<void> {
    this.#target.close();
    await once(this.#target, 'close');
  }
}

const QUIET_TURNS = 4;
export const USERS = ['alice', 'bob'] as const;

function ignore(): void {}
