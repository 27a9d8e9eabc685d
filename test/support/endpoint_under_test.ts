/** ENDPOINT UNDER TEST: all of a worker's SSH in this process, behind a listener of its own: what it does to memory and to
 *  its sockets can be looked at, and a fault of its own fails the test.
 *  Owns the listener and the endpoint until the test ends. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { TunnelServer } from '../../src/library/tunnel_server.js';
import { newKeyPair } from '../../src/master/openssh_key.js';
import type { AuditEvent, EventName } from '../../src/shared/events.js';
import { takeHandle } from '../../src/shared/handles.js';
import type { Peer } from '../../src/shared/identity.js';
import type {
  Admitted,
  Answer,
  BandwidthGrant,
  BandwidthWant,
  CodeVerdict,
  ConnId,
  HostKeyFile,
  LeaseTarget,
} from '../../src/shared/ipc.js';
import { Endpoint, type ProcessMemory } from '../../src/worker/endpoint.js';
import type { Primary } from '../../src/worker/primary_link.js';
import { loadMlKem, type MlKem } from '../../src/worker/transport/ml_kem.js';
import { DEADLINE_MS, deferred, within } from './deadline.js';
import { type EventOf, isNamed } from './named_event.js';
import { type Owner, type RawClient, type RawClientOptions, rawClient } from './raw_client.js';
import type { SshEndpoint } from './server.js';
import { freePort } from './targets.js';
import { testConfig } from './test_config.js';

/** Whoever knows the password, or has any key, may do everything. */
export class OpenServer extends TunnelServer {
  override checkAuthPassword(_username: string, password: string): boolean {
    return password === PASSWORD;
  }
  override checkAuthPublicKey(): boolean {
    return true;
  }
}

export const PASSWORD = 'let me in';

/** A primary that grants everything, and remembers what it was told. */
export class FakePrimary implements Primary {
  readonly events: AuditEvent[] = [];
  readonly leased: LeaseTarget[] = [];
  readonly released: string[] = [];
  readonly closedIds: ConnId[] = [];
  /** Whom proxies have named. */
  readonly clients: (Peer | null)[] = [];
  proxiedAnswer: Admitted | null | Promise<Admitted | null> = { admit: true };
  readonly #waiters = new Set<(event: AuditEvent) => void>();
  /** Answers of logins, and of leases where the port is not 0. */
  loginAnswer: Answer | Promise<Answer> = { ok: true, port: 0 };
  leaseAnswer: (target: LeaseTarget) => Answer | Promise<Answer> = grant;

  async login(): Promise<Answer> {
    return await this.loginAnswer;
  }
  async lease(_id: ConnId, _user: string, _limit: number, target: LeaseTarget): Promise<Answer> {
    this.leased.push(target);
    const answer = await this.leaseAnswer(target);
    return answer.ok && target.kind === 'tcp' && answer.port === 0 ? { ok: true, port: await freePort() } : answer;
  }
  release(_id: ConnId, key: { kind: 'tcp'; port: number } | { kind: 'unix'; path: string }): void {
    this.released.push(key.kind === 'tcp' ? String(key.port) : key.path);
  }
  async bandwidth(want: BandwidthWant): Promise<BandwidthGrant> {
    return want;
  }
  async proxied(_id: ConnId, client: Peer | null): Promise<Admitted | null> {
    this.clients.push(client);
    return await this.proxiedAnswer;
  }
  async code(): Promise<CodeVerdict> {
    return 'OK';
  }
  closed(id: ConnId): void {
    this.closedIds.push(id);
  }
  event(event: AuditEvent): void {
    this.events.push(event);
    for (const look of [...this.#waiters]) look(event);
  }

  list<Name extends EventName>(name: Name): EventOf<Name>[] {
    return this.events.filter((event) => isNamed(event, name));
  }
  /** The first such event that fits, past or to come. */
  async wait<Name extends EventName>(
    name: Name,
    fits: (event: EventOf<Name>) => boolean = () => true,
    deadlineMs = DEADLINE_MS,
  ): Promise<EventOf<Name>> {
    const { promise, resolve } = deferred<EventOf<Name>>();
    const look = (event: AuditEvent): void => {
      if (isNamed(event, name) && fits(event)) resolve(event);
    };
    this.#waiters.add(look);
    this.events.forEach(look);
    try {
      return await within(promise, name, deadlineMs, () => JSON.stringify(this.events.slice(-20), null, 1));
    } finally {
      this.#waiters.delete(look);
    }
  }
}

function grant(target: LeaseTarget): Answer {
  return { ok: true, port: target.kind === 'tcp' ? target.port : 0 };
}

export interface EndpointUnderTest extends SshEndpoint {
  readonly endpoint: Endpoint;
  readonly primary: FakePrimary;
  /** Ends with the test, whatever it left open. */
  readonly login: (t: Owner, options?: RawClientOptions) => Promise<RawClient>;
  /** Keys agreed, not logged in. */
  readonly keyed: (t: Owner, options?: RawClientOptions) => Promise<RawClient>;
}

export async function startEndpoint(
  t: Owner,
  options: {
    readonly config?: Readonly<Record<string, unknown>>;
    readonly hooks?: TunnelServer;
    readonly process?: ProcessMemory;
    /** All who come are proxies. */
    readonly proxied?: boolean;
    /** Default: an ed25519 key of its own. */
    readonly hostKeys?: readonly HostKeyFile[];
    /** Default: loaded. */
    readonly mlKem?: null;
    readonly loadMlKem?: () => Promise<MlKem>;
  } = {},
): Promise<EndpointUnderTest> {
  const primary = new FakePrimary();
  const endpoint = new Endpoint({
    hooks: options.hooks ?? new OpenServer(),
    config: testConfig(options.config),
    hostKeys: options.hostKeys ?? [{ path: 'host key of the test', pem: newKeyPair('ed25519', 'test').privateKey }],
    primary,
    mlKem: options.mlKem === undefined ? await loadMlKem() : options.mlKem,
    ...(options.loadMlKem === undefined ? {} : { loadMlKem: options.loadMlKem }),
    ...(options.process === undefined ? {} : { process: options.process }),
  });
  let lastId = 0;
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const peer = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
    const handle = takeHandle(socket);
    if (handle === undefined) return;
    const id = ++lastId as ConnId;
    if (!endpoint.accept({ id, handle, peer, proxied: options.proxied === true })) handle.close();
  });
  server.listen(0, '127.0.0.1', 1024);
  await once(server, 'listening');
  t.teardown(async () => {
    server.close();
    await endpoint.drain(0);
  });
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const at: SshEndpoint = { host: '127.0.0.1', port };
  return {
    ...at,
    endpoint,
    primary,
    async keyed(t, options) {
      const client = rawClient(t, at, options);
      await client.ready;
      return client;
    },
    async login(t, options) {
      const client = rawClient(t, at, options);
      await client.login('alice', { password: PASSWORD });
      return client;
    },
  };
}
