/** WHOLE PHASE: everything at once, through sockets and ciphers into a whole Endpoint: keys are agreed, then mutated messages
 *  come before the login or after it, now and then with a byte of a sealed packet changed on the way. The connection ends for
 *  a fair reason, or is served to the end.
 *  Owns a client for the time of a case. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { MSG } from '../../src/shared/protocol.js';
import { RawClient } from '../support/raw_client.js';
import { connectionShapes } from './connection_shapes.js';
import { PASSWORD, USER } from './fuzz_server.js';
import { KEX_SHAPES } from './kex_shapes.js';
import { loginShapes } from './login_shapes.js';
import { type CaseResult, type Phase, type Tell, turn } from './phase.js';
import { Random, seedOf } from './random.js';
import { described, type Packet, type Shape, script } from './script.js';
import { FAIR_DISCONNECTS, Served } from './served.js';

const SUITES = [
  { cipher: 'aes128-gcm@openssh.com' },
  { cipher: 'aes256-gcm@openssh.com', kex: 'mlkem768x25519-sha256' },
  { cipher: 'chacha20-poly1305@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com' },
  { cipher: 'aes256-ctr', mac: 'hmac-sha2-512' },
];
const MOST_PACKETS = 30;

export class WholePhase implements Phase {
  readonly name = 'whole';
  readonly concurrency = 8;
  readonly #served: Served;
  readonly #shapes: readonly Shape[];

  constructor(served: Served) {
    this.#served = served;
    this.#shapes = connectionShapes(served.places);
  }

  static async start(): Promise<WholePhase> {
    return new WholePhase(await Served.start());
  }

  async run(seed: number, index: number, tell: Tell | null): Promise<CaseResult> {
    const random = new Random(seedOf(seed, this.name, index));
    const { host, port } = this.#served.at;
    const socket = connect({ host, port, noDelay: true });
    const client = new RawClient(socket, random.pick(SUITES));
    const spoiler = new Spoiler(client, random);
    const faults: string[] = [];
    const counts = { packets: 0, mutated: 0 };
    let mayWait = false;
    await once(socket, 'connect');
    const mine = socket.localPort;
    try {
      const before = random.chance(0.35);
      if (before) await client.ready;
      else await client.login(USER, { password: PASSWORD });
      const sent = before ? this.#beforeLogin(random, client.sessionId) : this.#afterLogin(random);
      for (const packet of sent) {
        if (client.hasEnded) break;
        tell?.(described(packet));
        const spoilt = spoiler.send(packet.payload);
        counts.packets++;
        if (packet.mutated || spoilt) counts.mutated++;
        // A length that was changed, or an exchange that nobody goes on with: then the server waits, until its deadline.
        mayWait ||= spoilt || packet.payload[0] === MSG.KEXINIT;
        if (random.chance(0.3)) await turn();
      }
      if (!before && !mayWait && !client.hasEnded) await client.roundTrip();
    } catch (thrown) {
      if (!client.hasEnded) faults.push(String(thrown));
    }
    socket.end();
    if (!client.hasEnded) socket.destroy();
    const { reason, text } = await client.ended;
    if (reason !== null && !FAIR_DISCONNECTS.has(reason)) faults.push(`DISCONNECT ${reason}: ${text}`);
    const end = await this.#served.endOf(mine);
    return { ...counts, faults: end === null ? faults : [...faults, end] };
  }

  #beforeLogin(random: Random, sessionId: Buffer): Packet[] {
    const shapes = loginShapes(this.#served.keys, sessionId);
    return script(random, { shapes, strays: [...this.#shapes, ...KEX_SHAPES], most: MOST_PACKETS, mutated: 0.4 });
  }
  #afterLogin(random: Random): Packet[] {
    return script(random, { shapes: this.#shapes, strays: KEX_SHAPES, most: MOST_PACKETS, mutated: 0.5 });
  }

  check(): Promise<readonly string[]> {
    return this.#served.check();
  }
  close(): Promise<readonly string[]> {
    return this.#served.close();
  }
}

/** Changes a byte of one sealed packet in fifty. */
class Spoiler {
  readonly #client: RawClient;
  readonly #random: Random;
  #spoils = false;

  constructor(client: RawClient, random: Random) {
    this.#client = client;
    this.#random = random;
    const { socket } = client;
    const write = socket.write.bind(socket);
    socket.write = (bytes: string | Uint8Array) => {
      const sealed = Buffer.from(bytes);
      if (this.#spoils && sealed.length > 0) {
        const at = random.below(sealed.length);
        sealed.writeUInt8(sealed.readUInt8(at) ^ (1 << random.below(8)), at);
        this.#spoils = false;
      }
      return write(sealed);
    };
  }

  /** @returns whether a byte was changed */
  send(payload: Buffer): boolean {
    const spoils = this.#random.chance(0.02);
    this.#spoils = spoils;
    this.#client.send(payload);
    this.#spoils = false;
    return spoils;
  }
}
