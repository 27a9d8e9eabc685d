/** SERVED: a whole worker's Endpoint in this process behind a listener, for the phases that go through sockets and ciphers, and
 *  a bystander with an open tunnel that must notice nothing.
 *  Owns all of it until `close`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MACS } from '../../src/shared/algorithms.js';
import { DISCONNECT, MSG } from '../../src/shared/protocol.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import {
  confirmed,
  dataMessage,
  directOpen,
  type OpenChannel,
  type RawClient,
  rawClient,
} from '../support/raw_client.js';
import type { Places } from './connection_shapes.js';
import { FuzzServer, PASSWORD, USER } from './fuzz_server.js';
import { type LoginKeys, loginKeys } from './login_shapes.js';
import { comesTrue } from './phase.js';

/** What a hostile peer's connection may come to; everything else would be a fault of ours, or a deadline. */
const FAIR_ENDS: ReadonlySet<string> = new Set([
  'PEER_CLOSED',
  'PEER_DISCONNECTED',
  'IDENT_INVALID',
  'KEX_FAILED',
  'AUTH_EXHAUSTED',
  'PROTOCOL_ERROR',
  'OVERFLOW',
]);
export const FAIR_DISCONNECTS: ReadonlySet<number> = new Set([
  DISCONNECT.PROTOCOL_ERROR,
  DISCONNECT.KEY_EXCHANGE_FAILED,
  DISCONNECT.SERVICE_NOT_AVAILABLE,
]);

export class Served {
  readonly at: EndpointUnderTest;
  readonly places: Places;
  readonly keys: LoginKeys;
  readonly #server: FuzzServer;
  readonly #ends: (() => unknown)[];
  readonly #canary: RawClient;
  readonly #channel: OpenChannel;
  #tokens = 0;

  private constructor(
    at: EndpointUnderTest,
    parts: { places: Places; keys: LoginKeys; server: FuzzServer; ends: (() => unknown)[] },
    canary: RawClient,
    channel: OpenChannel,
  ) {
    this.at = at;
    this.places = parts.places;
    this.keys = parts.keys;
    this.#server = parts.server;
    this.#ends = parts.ends;
    this.#canary = canary;
    this.#channel = channel;
  }

  static async start(): Promise<Served> {
    const ends: (() => unknown)[] = [];
    const owner = { teardown: (end: () => unknown) => ends.push(end) };
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-fuzz-'));
    owner.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const places = { folder, echoPath: join(folder, 'echo') };
    const keys = loginKeys();
    const server = new FuzzServer(places, keys.right.blob);
    const config = {
      auth: { loginGraceTime: '5m' },
      limits: { channelsPerConnection: 6, forwardsPerConnection: 2 },
      timeouts: { keepalive: 'off' },
      algorithms: { macs: MACS },
    };
    const at = await startEndpoint(owner, { hooks: server, config });
    const canary = rawClient(owner, at);
    await canary.login(USER, { password: PASSWORD });
    canary.send(directOpen(1, { host: 'echo' }));
    const channel = await confirmed(canary, 0);
    server.keep();
    return new Served(at, { places, keys, server, ends }, canary, channel);
  }

  /** How the server says that the connection of this port has ended. @returns what is wrong with it, or null */
  async endOf(port: number | undefined): Promise<string | null> {
    const mine = `127.0.0.1:${port}`;
    const { reason, detail } = await this.at.primary.wait('connection.closed', ({ peer }) => peer === mine);
    return FAIR_ENDS.has(reason) ? null : `ended as ${reason}: ${detail}`;
  }

  /** When no case runs: the bystander is served, and nothing of the cases is left. */
  async check(): Promise<readonly string[]> {
    const faults: string[] = [];
    const { endpoint, primary } = this.at;
    this.#server.release();
    const token = `token ${this.#tokens++}`;
    this.#canary.send(dataMessage(this.#channel, token));
    const echo = await this.#canary.take(MSG.CHANNEL_DATA);
    if (echo.subarray(9).toString() !== token) faults.push('the bystander got other bytes');
    const isClean = (): boolean => {
      const { connections, channels, bufferedBytes } = endpoint.load();
      return connections === 1 && channels === 1 && bufferedBytes === 0;
    };
    if (!(await comesTrue(isClean))) faults.push(`left behind: ${JSON.stringify(endpoint.load())}`);
    const { leased, released } = primary;
    if (!(await comesTrue(() => leased.length === released.length)))
      // a bind may still be under way
      faults.push(`${leased.length} leases, ${released.length} given back`);
    primary.events.length = 0;
    primary.closedIds.length = 0;
    leased.length = 0;
    released.length = 0;
    return faults;
  }

  async close(): Promise<readonly string[]> {
    this.#canary.socket.destroy();
    this.#server.release();
    for (const end of this.#ends.reverse()) await end();
    const { connections } = this.at.endpoint.load();
    return connections === 0 ? [] : [`${connections} connections are left after the drain`];
  }
}
