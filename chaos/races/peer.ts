/** PEER: one connection after its login, without the transport: what the peer says goes straight into the connection, and what
 *  the server says comes here. Its policy and names answer late.
 *  Owns the connection until its end, which it makes as a worker's life does. */
import { ALLOW } from '../../src/shared/errors.js';
import type { ConnId } from '../../src/shared/ipc.js';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { Connection } from '../../src/worker/connection/connection.js';
import { Resolver } from '../../src/worker/forward/resolve.js';
import type { Dice } from '../dice.js';
import { pause } from './turns.js';
import type { World } from './world.js';

const WINDOW_BYTES = 100_000;
const PACKET_BYTES = 32_768;

export interface PeerOptions {
  readonly world: World;
  readonly worker: number;
  readonly user: string;
  readonly dice: Dice;
  /** A dead one answers nothing. */
  readonly isDead: boolean;
}

export class Peer {
  readonly id: ConnId;
  readonly connection: Connection;
  readonly #account: ReturnType<World['memory']['open']>;
  readonly #options: PeerOptions;
  #ended = false;
  #lastChannel = 0;
  #asked = 0;
  #answered = 0;
  /** Replies to its probes come from a live peer at once. */
  readonly #dice: Dice;

  constructor(options: PeerOptions) {
    const { world, worker, user, dice } = options;
    this.#options = options;
    this.#dice = dice;
    this.id = world.nextId();
    world.ledger.accept(this.id, { address: '127.0.0.1', port: 1 }, performance.now());
    world.ledger.assign(this.id, worker);
    world.peers.set(this.id, this);
    const link = world.link(worker);
    const late = async <Value>(value: Value): Promise<Value> => {
      await pause(dice);
      return value;
    };
    this.#account = world.memory.open(() => this.end());
    this.connection = new Connection({
      account: this.#account,
      transport: {
        ...{ writable: true, queuedBytes: 0, writeProgress: 0, isExchanging: false },
        ...{ sendData: ignore, sendUnimplemented: ignore, rekeyIfDue: ignore },
        send: (payload) => this.#said(Buffer.from(payload)),
        disconnect: () => this.end(),
        abort: () => this.end(),
      },
      identity: { user },
      hostKeys: { prove: () => null },
      peer: { address: '127.0.0.1', port: 1 },
      ...{ onRefusal: ignore, onOpened: ignore, mayBind: () => true, mayTell: () => true },
      policy: {
        checkDirect: () => late(ALLOW),
        checkDial: () => ALLOW,
        checkDialPath: () => ALLOW,
        checkForward: () => late(ALLOW),
        portRanges: () => [[20_000, 32_000]],
        onSession: (session) => session.reject(''),
      },
      leases: {
        lease: (target) => link.lease(this.id, user, 10, target),
        release: (key) => link.release(this.id, key),
      },
      // Another address of the loopback each time: so many connections to one would use up its ports.
      resolver: new Resolver({ lookup: () => late([`127.${dice.between(1, 254)}.${dice.between(1, 254)}.1`]) }),
      openRates: { open: () => null, failed: ignore },
      buffers: world.buffers,
      limits: {
        ...{ maxChannels: 20, maxForwards: 10, memoryBytes: 1 << 20, connectMs: 5_000 },
        ...{ maxInbound: 20, inboundPerSecond: 0 },
        ...{ halfCloseMs: 0, idleChannelMs: 0, keepaliveMs: 0, keepaliveCount: 3, stalledWriteMs: 0 },
      },
      onEvent: ignore,
      now: () => performance.now(),
    });
    void link.login(this.id, user, 100).then((answer) => {
      if (!answer.ok) this.end();
    });
  }

  get hasEnded(): boolean {
    return this.#ended;
  }
  /** Requests that are not answered yet. */
  get unanswered(): number {
    return this.#asked - this.#answered;
  }

  says(payload: Buffer): void {
    if (!this.#ended) this.connection.onPayload(payload, null);
  }
  bind(port: number): void {
    this.#ask(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, '127.0.0.1', port));
  }
  bindPath(path: string): void {
    this.#ask(message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, path));
  }
  cancel(port: number): void {
    this.#ask(message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, '127.0.0.1', port));
  }
  cancelPath(path: string): void {
    this.#ask(message(MSG.GLOBAL_REQUEST, 'cancel-streamlocal-forward@openssh.com', true, path));
  }
  /** Of a tunnel to the target, whose name is looked up first. */
  open(): void {
    const id = ++this.#lastChannel;
    const target = ['target.test', this.#options.world.targetPort, '127.0.0.1', 1] as const;
    this.#asked++;
    this.says(message(MSG.CHANNEL_OPEN, 'direct-tcpip', id, WINDOW_BYTES, PACKET_BYTES, ...target));
  }

  /** As a life ends: first what the connection holds, then the word to the primary. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { world, worker } = this.#options;
    this.connection.close();
    this.#account.close();
    world.link(worker).closed(this.id);
    world.peers.delete(this.id);
  }

  #ask(request: Buffer): void {
    this.#asked++;
    this.says(request);
  }

  /** The server's word; the answer comes later. */
  #said(payload: Buffer): void {
    switch (payload[0]) {
      case MSG.REQUEST_SUCCESS:
      case MSG.REQUEST_FAILURE:
      case MSG.CHANNEL_OPEN_FAILURE:
        this.#answered++;
        return;
      case MSG.CHANNEL_OPEN_CONFIRMATION:
        this.#answered++;
        return void this.#later(() => this.#opened(new WireReader(payload, 5).uint32()));
      case MSG.CHANNEL_OPEN: {
        const reader = new WireReader(payload, 1);
        reader.text();
        const id = reader.uint32();
        return void this.#later(() => this.#cameIn(id));
      }
      case MSG.GLOBAL_REQUEST: // a keepalive
        return void this.#later(() => this.says(message(MSG.REQUEST_FAILURE)));
    }
  }

  async #later(answer: () => void): Promise<void> {
    if (this.#options.isDead) return;
    await pause(this.#dice);
    answer();
  }

  #opened(serversId: number): void {
    const [eof, close] = [message(MSG.CHANNEL_EOF, serversId), message(MSG.CHANNEL_CLOSE, serversId)];
    for (const payload of this.#dice.pick([[], [eof], [close], [eof, close]]) ?? []) this.says(payload);
  }

  #cameIn(serversId: number): void {
    const ours = ++this.#lastChannel;
    const confirmed = message(MSG.CHANNEL_OPEN_CONFIRMATION, serversId, ours, WINDOW_BYTES, PACKET_BYTES);
    const refused = message(MSG.CHANNEL_OPEN_FAILURE, serversId, 2, '', '');
    const answer = this.#dice.pick([null, refused, confirmed, confirmed]);
    if (answer) this.says(answer);
  }
}

function ignore(): void {}
