/** CONNECTION PHASE: after the login. Payloads go straight into a Connection, with no sockets and no ciphers before it, so that
 *  there can be hundreds of thousands of them; tunnels end in this process, some at a real Unix socket.
 *  Owns a Connection for the time of a case, and the folder, the echo and the buffers that all cases share. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../../src/shared/errors.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { Connection } from '../../src/worker/connection/connection.js';
import { HostKeyProofs } from '../../src/worker/connection/host_key_proofs.js';
import type { ConnectionLimits } from '../../src/worker/connection/surroundings.js';
import { Resolver } from '../../src/worker/forward/resolve.js';
import { GuardedPolicy } from '../../src/worker/guarded.js';
import { type Account, WorkerMemory } from '../../src/worker/memory.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import { ConnectionModel } from './connection_model.js';
import { connectionShapes, HOST_KEY_BLOBS, OPENS, type Places } from './connection_shapes.js';
import { FuzzServer, USER } from './fuzz_server.js';
import { type CaseResult, comesTrue, type Phase, type Tell, turn } from './phase.js';
import { Random, seedOf } from './random.js';
import { RecordingTransport } from './recording_transport.js';
import { described, type Packet, packetOf, pickShape, type Shape, script } from './script.js';

const LIMITS: ConnectionLimits = {
  maxChannels: 6,
  maxForwards: 2,
  maxInbound: 4,
  inboundPerSecond: 0,
  memoryBytes: 256 * 1024,
  connectMs: 10_000,
  keepaliveMs: 0,
  keepaliveCount: 3,
  stalledWriteMs: 0,
  halfCloseMs: 0,
  idleChannelMs: 0,
};
/** A quarter of the budget (channel/window.ts). */
const FIRST_WINDOW_BYTES = LIMITS.memoryBytes / 4;
/** The windows, with the least that each channel has, and what one read of each source may bring beyond it. */
const MOST_HELD_BYTES = 2 * LIMITS.memoryBytes + LIMITS.maxChannels * 256 * 1024;
const MOST_PACKETS = 80;
const HOST_KEYS = HOST_KEY_BLOBS.map((name) => ({ blob: Buffer.from(name), signature: (data: Buffer) => data }));

export class ConnectionPhase implements Phase {
  readonly name = 'connection';
  readonly concurrency = 1;
  readonly #places: Places;
  readonly #echo: Server;
  readonly #sockets = new Set<Socket>();
  readonly #shapes: readonly Shape[];
  readonly #memory = new WorkerMemory({ budgetBytes: Number.POSITIVE_INFINITY });
  readonly #buffers = new Buffers();
  readonly #resolver = new Resolver({ lookup: async () => [] });
  readonly #server: FuzzServer;

  private constructor(places: Places, echo: Server) {
    this.#places = places;
    this.#echo = echo;
    this.#shapes = connectionShapes(places);
    this.#server = new FuzzServer(places, Buffer.alloc(0));
    echo.on('connection', (socket) => this.#keep(socket.on('error', ignore).pipe(socket)));
  }

  static async start(): Promise<ConnectionPhase> {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-fuzz-')); // as long each time: a replay differs in six letters
    const echoPath = join(folder, 'echo');
    const echo = createServer({ allowHalfOpen: true }).listen(echoPath);
    await once(echo, 'listening');
    return new ConnectionPhase({ folder, echoPath }, echo);
  }

  async close(): Promise<readonly string[]> {
    this.#hangUp();
    await new Promise((resolve) => this.#echo.close(resolve));
    const { folder } = this.#places;
    const left = readdirSync(folder);
    rmSync(folder, { recursive: true, force: true });
    return left.length === 0 ? [] : [`left in the folder: ${left.join(', ')}`];
  }

  /** Sockets of cases that are over, and bytes that wait for their targets. */
  async check(): Promise<readonly string[]> {
    const faults: string[] = [];
    if (!(await comesTrue(() => this.#sockets.size === 0))) faults.push(`${this.#sockets.size} sockets are left`);
    const { usedBytes } = this.#memory;
    if (usedBytes !== 0) faults.push(`${usedBytes} bytes are still counted`);
    return faults;
  }

  async run(seed: number, index: number, tell: Tell | null): Promise<CaseResult> {
    const random = new Random(seedOf(seed, this.name, index));
    const mutated = random.pick([0.4, 0.9, 1]);
    // It begins with channels, so that the numbers that are guessed behind them are mostly taken.
    const opens = Array.from({ length: 1 + random.below(3) }, () => packetOf(pickShape(OPENS, random), random, 0));
    const options = { shapes: this.#shapes, strays: [], most: MOST_PACKETS, mutated };
    const packets = [...opens, ...script(random, options)];
    const { echoPath } = this.#places;
    const model = new ConnectionModel((host) => host === 'echo' || host === 'late' || host === echoPath);
    const transport = new RecordingTransport(model);
    const told = { opened: 0, bound: 0, leases: 0 };
    const account = this.#memory.open(() => transport.abort('OVERFLOW'));
    const connection = new Connection({
      account,
      transport,
      identity: { user: USER },
      peer: { address: '192.0.2.1', port: 1 },
      policy: new GuardedPolicy({ hooks: this.#server, identity: { user: USER }, timeoutMs: 10_000 }),
      leases: {
        async lease(target) {
          told.leases++;
          return { ok: true, port: target.kind === 'tcp' ? target.port : 0 };
        },
        release() {
          told.leases--;
        },
      },
      resolver: this.#resolver,
      openRates: { open: () => null, failed: ignore },
      ...{ mayBind: () => true, mayTell: () => true },
      hostKeys: new HostKeyProofs({ keys: HOST_KEYS, sessionId: Buffer.alloc(32), rsaAlgorithm: 'rsa-sha2-512' }),
      buffers: this.#buffers,
      limits: LIMITS,
      ...{ onRefusal: ignore, onOpened: ignore },
      onEvent({ event }) {
        if (event === 'channel.opened') told.opened++;
        else if (event === 'channel.closed') told.opened--;
        else if (event === 'forward.bound') told.bound++;
        else if (event === 'forward.released') told.bound--;
      },
      now: () => performance.now(),
    });
    transport.onEnd = () => connection.close();

    const counts = { packets: 0, mutated: 0 };
    for (const packet of packets) {
      if (transport.ended !== null || model.faults.length > 0) break;
      tell?.(described(packet));
      if (!isForConnection(packet)) continue;
      this.#say(connection, transport, model, packet);
      if (account.bytes > MOST_HELD_BYTES) transport.faults.push(`${account.bytes} bytes are held`);
      counts.packets++;
      if (packet.mutated) counts.mutated++;
      await this.#pause(packet.payload, told.bound, random, connection, transport);
    }
    const end = transport.ended === null ? await this.#farewell(connection, account, transport, model) : [];
    connection.close();
    account.close();
    this.#hangUp();
    const isFree = (): boolean => told.opened === 0 && told.bound === 0 && told.leases === 0;
    if (!(await comesTrue(isFree))) end.push(`left behind: ${JSON.stringify(told)}`);
    return { ...counts, faults: [...model.faults, ...transport.faults, ...end] };
  }

  #say(connection: Connection, transport: RecordingTransport, model: ConnectionModel, { payload }: Packet): void {
    const why = model.says(payload);
    const lent = Buffer.from(payload); // valid during the call alone
    try {
      connection.onPayload(lent, null);
    } catch (thrown) {
      transport.faults.push(`threw ${reasonOf(thrown)}`);
    }
    lent.fill(0xee);
    if (why !== null && transport.ended === null) transport.faults.push(`went on in spite of ${why}`);
  }

  /** What may happen between two messages: the read ends, the peer stops reading or reads again, somebody comes to a forward. */
  async #pause(
    said: Buffer,
    bound: number,
    random: Random,
    connection: Connection,
    transport: RecordingTransport,
  ): Promise<void> {
    if (random.chance(0.5)) connection.onReadEnd();
    if (random.chance(0.05)) transport.writable = false;
    else if (!transport.writable && random.chance(0.3)) this.#unblock(connection, transport);
    if (random.chance(bound > 0 ? 0.3 : 0.01)) this.#knock(random);
    // An open is mostly answered before its channel is used.
    if (random.chance(said[0] === MSG.CHANNEL_OPEN ? 0.9 : 0.2)) await turn();
  }

  #unblock(connection: Connection, transport: RecordingTransport): void {
    transport.writable = true;
    if (transport.ended === null) connection.onWritable();
  }

  /** Somebody connects to a forward, where there is one. */
  #knock(random: Random): void {
    const path = `${this.#places.folder}/${random.pick(['a', 'b'])}.sock`;
    this.#keep(connect({ path, allowHalfOpen: random.chance(0.5) }));
  }

  /** The connection has survived: whatever was asked is answered, and it can be emptied to the last channel. */
  async #farewell(
    connection: Connection,
    account: Account,
    transport: RecordingTransport,
    model: ConnectionModel,
  ): Promise<string[]> {
    const hasEnded = (): boolean => transport.ended !== null;
    connection.onReadEnd();
    this.#unblock(connection, transport);
    if (!(await comesTrue(() => model.isSettled || hasEnded()))) return [model.debts];
    this.#hangUp();
    model.checkChannels();
    const isEmpty = (): boolean => {
      for (const { type, id } of hasEnded() ? [] : model.farewells()) {
        const payload = type === MSG.CHANNEL_CLOSE ? message(type, id) : message(type, id, 1, 'no', '');
        model.says(payload);
        connection.onPayload(payload, null);
      }
      return connection.channelCount === 0 && account.bytes === 0;
    };
    if (!(await comesTrue(() => hasEnded() || isEmpty())))
      return [`${connection.channelCount} channels and ${account.bytes} bytes are left`];
    return hasEnded() ? [] : await this.#openAgain(connection, model);
  }

  /** A channel on the emptied connection gets what the first one of all got. */
  async #openAgain(connection: Connection, model: ConnectionModel): Promise<string[]> {
    const id = 0xffff_fff0;
    const payload = message(MSG.CHANNEL_OPEN, 'direct-tcpip', id, 1000, 1000, 'echo', 80, '127.0.0.1', 1);
    model.confirmed = null;
    model.says(payload);
    connection.onPayload(payload, null);
    if (!(await comesTrue(() => model.isSettled))) return [model.debts];
    const { id: number = -1, windowBytes = 0 } = model.confirmed ?? {};
    const isFresh = number >= 0 && number < LIMITS.maxChannels && windowBytes === FIRST_WINDOW_BYTES;
    return isFresh ? [] : [`the emptied connection gave channel ${number} with a window of ${windowBytes}`];
  }

  /** Every far end of a tunnel and everybody at a forward. */
  #hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.release();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', ignore);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** What the transport would hand on: it answers or ends by anything else itself. */
function isForConnection({ payload }: Packet): boolean {
  const type = payload[0] ?? 0;
  return type >= 50 || type === MSG.SERVICE_REQUEST || type === MSG.SERVICE_ACCEPT;
}

function ignore(): void {}
