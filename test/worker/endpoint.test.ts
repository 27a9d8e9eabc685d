/** A worker's connections from accept to end: drain, the primary's orders, limits of a user, and what is told in which
 *  order. Raw clients, a fake primary. */

import { connect } from 'node:net';
import t from 'tap';
import { NOTHING_TAKEN } from '../../src/library/taken.js';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { TunnelError } from '../../src/shared/errors.js';
import type { AuthChain, Identity } from '../../src/shared/identity.js';
import type { ConnId } from '../../src/shared/ipc.js';
import { DISCONNECT, MSG, message, OPEN_FAILURE, WireReader } from '../../src/shared/protocol.js';
import { Endpoint } from '../../src/worker/endpoint.js';
import type { IdentityLimits } from '../../src/worker/server.js';
import { HYBRID_KEX } from '../../src/worker/transport/algorithms.js';
import { loadMlKem, type MlKem } from '../../src/worker/transport/ml_kem.js';
import { deferred, within } from '../support/deadline.js';
import {
  type EndpointUnderTest,
  FakePrimary,
  OpenServer,
  PASSWORD,
  startEndpoint,
} from '../support/endpoint_under_test.js';
import {
  confirmed,
  dataMessage,
  directOpen,
  openDirectChannel,
  openRefusal,
  passwordRequest,
  rawClient,
} from '../support/raw_client.js';
import { canBind, connect as connectTo, cut, startEcho, startTarget } from '../support/targets.js';
import { testConfig } from '../support/test_config.js';

const LONG_MS = 60_000;
const FAREWELL = { reason: DISCONNECT.BY_APPLICATION, text: 'server is shutting down' };

/** Data goes there and back. */
async function echoes(server: EndpointUnderTest, t: import('tap').Test) {
  const echo = await startEcho(t);
  const client = await server.login(t);
  const channel = await openDirectChannel(client, echo.port, { id: 7 });
  const speak = async (text: string): Promise<void> => {
    client.send(dataMessage(channel, text));
    const heard = await client.take(MSG.CHANNEL_DATA, (payload) => payload.readUInt32BE(1) === 7);
    t.equal(heard.subarray(9).toString(), text);
  };
  await speak('hello');
  return { client, channel, speak, port: echo.port };
}

t.test('drain', async (t) => {
  await t.test('nobody is there: done at once, and nobody comes in', async (t) => {
    const server = await startEndpoint(t);
    await server.endpoint.drain(LONG_MS);
    const late = connect(server.port, '127.0.0.1');
    t.teardown(() => late.destroy());
    await cut(late);
    t.equal(late.bytesRead, 0);
  });

  await t.test('the idle, and those that are not logged in, are sent home', async (t) => {
    const server = await startEndpoint(t);
    const idle = await server.login(t);
    const keyed = await server.keyed(t);
    const asking = await server.keyed(t);
    asking.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await asking.take(MSG.SERVICE_ACCEPT);
    const silent = connect(server.port, '127.0.0.1');
    t.teardown(() => silent.destroy());
    await new Promise((resolve) => silent.once('data', resolve));
    t.equal(server.endpoint.load().connections, 4);
    await within(server.endpoint.drain(LONG_MS), 'end of the drain');
    for (const client of [idle, keyed, asking]) t.same(await client.ended, FAREWELL);
    await cut(silent);
    t.same(
      server.primary.list('connection.closed').map(({ reason }) => reason),
      ['DRAINED', 'DRAINED', 'DRAINED', 'DRAINED'],
    );
  });

  await t.test('a tunnel that runs goes on until it ends, whoever ends it', async (t) => {
    for (const [who, leave] of [
      ['the peer', (client, peerId) => client.send(message(MSG.CHANNEL_CLOSE, peerId))],
      ['the peer, after EOF', (client, peerId) => client.send(message(MSG.CHANNEL_EOF, peerId))],
    ] satisfies ReadonlyArray<
      readonly [string, (client: Awaited<ReturnType<EndpointUnderTest['login']>>, peerId: number) => void]
    >)
      await t.test(who, async (t) => {
        const server = await startEndpoint(t);
        const { client, channel, speak } = await echoes(server, t);
        const drained = server.endpoint.drain(LONG_MS);
        await speak('still here');
        leave(client, channel.peerId);
        await client.take(MSG.CHANNEL_CLOSE);
        t.notOk(client.hasEnded);
        if (who !== 'the peer') client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
        t.same(await client.ended, FAREWELL);
        await within(drained, 'end of the drain');
      });
    await t.test('the target', async (t) => {
      const server = await startEndpoint(t);
      const client = await server.login(t);
      const target = await startTarget(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
      const channel = await openDirectChannel(client, target.port);
      const drained = server.endpoint.drain(LONG_MS);
      client.send(dataMessage(channel, 'go'));
      await client.take(MSG.CHANNEL_CLOSE);
      client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
      t.same(await client.ended, FAREWELL);
      await within(drained, 'end of the drain');
    });
  });

  await t.test('an open that was under way and fails keeps nobody', async (t) => {
    const answer = deferred<boolean>();
    class SlowServer extends OpenServer {
      override checkDirect(): Promise<boolean> {
        return answer.promise;
      }
    }
    const server = await startEndpoint(t, { hooks: new SlowServer() });
    const client = await server.login(t);
    client.send(directOpen(1));
    await client.roundTrip();
    const drained = server.endpoint.drain(LONG_MS);
    await client.roundTrip();
    answer.resolve(false);
    t.ok(await openRefusal(client, 0));
    t.same(await client.ended, FAREWELL);
    await within(drained, 'end of the drain');
  });

  await t.test('meanwhile nothing new: opens, sessions, binds, inbound connections', async (t) => {
    const server = await startEndpoint(t);
    const { client, port } = await echoes(server, t);
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
    const bound = (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
    const drained = server.endpoint.drain(LONG_MS);
    client.send(directOpen(port, { id: 8 }));
    t.same(await openRefusal(client, 8), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'server is shutting down' });
    client.send(message(MSG.CHANNEL_OPEN, 'session', 9, 1000, 1000));
    t.same(await openRefusal(client, 9), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'server is shutting down' });
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
    t.ok(await client.take(MSG.REQUEST_FAILURE));
    await cut(await connectTo(t, bound));
    t.match(await server.primary.wait('channel.refused', ({ destination }) => destination === `localhost:${bound}`), {
      reason: 'DRAINING',
    });
    client.socket.destroy();
    await within(drained, 'end of the drain');
    t.ok(await canBind(bound));
  });

  await t.test('the deadline ends what still runs, and the earlier one of two holds', async (t) => {
    const server = await startEndpoint(t);
    const { client } = await echoes(server, t);
    const drains = Promise.all([
      server.endpoint.drain(LONG_MS),
      server.endpoint.drain(50),
      server.endpoint.drain(LONG_MS),
    ]);
    t.same(await client.ended, FAREWELL);
    await within(drains, 'end of all three drains');
    await within(server.endpoint.drain(LONG_MS), 'end of one more');
  });
});

t.test("the primary's answer to a login", async (t) => {
  for (const [reason, text, closeReason] of [
    ['LIMIT', 'too many connections of this user', 'USER_LIMIT'],
    ['DRAINING', 'server is shutting down', 'DRAINED'],
  ] as const)
    await t.test(reason, async (t) => {
      const server = await startEndpoint(t);
      server.primary.loginAnswer = { ok: false, reason };
      const client = await server.login(t);
      t.same(await client.ended, { reason: DISCONNECT.BY_APPLICATION, text });
      t.match(await server.primary.wait('connection.closed'), { reason: closeReason, user: 'alice' });
    });
  await t.test('that never comes does not hold the user up', async (t) => {
    const server = await startEndpoint(t);
    server.primary.loginAnswer = new Promise(() => {});
    const { speak } = await echoes(server, t);
    await speak('already here');
  });
  await t.test('that comes when the peer has gone', async (t) => {
    const server = await startEndpoint(t);
    const answer = deferred<{ ok: false; reason: 'LIMIT' }>();
    server.primary.loginAnswer = answer.promise;
    const client = await server.login(t);
    client.socket.destroy();
    t.match(await server.primary.wait('connection.closed'), { reason: 'PEER_CLOSED' });
    answer.resolve({ ok: false, reason: 'LIMIT' });
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(server.primary.list('connection.closed').length, 1);
  });
});

t.test('orders of the primary', async (t) => {
  for (const [reason, text] of [
    ['KILLED', 'ended by the administrator'],
    ['REPLACED', 'replaced by a newer connection'],
    ['INTERNAL_ERROR', 'connection closed'],
  ] as const)
    await t.test(`close: ${reason}`, async (t) => {
      const server = await startEndpoint(t);
      const client = await server.login(t);
      server.endpoint.close(1 as ConnId, reason);
      server.endpoint.close(1 as ConnId, reason);
      server.endpoint.close(77 as ConnId, reason);
      t.same(await client.ended, { reason: DISCONNECT.BY_APPLICATION, text });
      t.match(server.primary.list('connection.closed'), [{ reason }]);
      t.same(server.primary.closedIds, [1]);
    });

  await t.test("REVOKED writes nothing: the TCP connection is another worker's", async (t) => {
    const server = await startEndpoint(t);
    const clients = [rawClient(t, server), await server.keyed(t), await server.login(t)];
    await server.primary.wait('auth.succeeded');
    for (const [index, client] of clients.entries()) {
      const before = client.socket.bytesRead;
      server.endpoint.close((index + 1) as ConnId, 'REVOKED');
      t.equal((await client.ended).reason, null, 'no DISCONNECT');
      if (index > 0) t.equal(client.socket.bytesRead, before);
    }
    t.equal(server.endpoint.load().connections, 0);
  });

  await t.test('probe: who answers is alive', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    client.intercept = (payload) => {
      if (payload[0] !== MSG.GLOBAL_REQUEST) return false;
      client.send(message(MSG.REQUEST_FAILURE));
      return true;
    };
    t.equal(await server.endpoint.probe(1 as ConnId, LONG_MS), true);
    client.socket.pause();
    t.equal(await server.endpoint.probe(1 as ConnId, 50), false, 'who does not is not');
    t.equal(await server.endpoint.probe(77 as ConnId, LONG_MS), false, 'nor who was never here');
    await server.keyed(t);
    t.equal(await server.endpoint.probe(2 as ConnId, LONG_MS), false, 'nor who has not logged in');
    const asked = server.endpoint.probe(1 as ConnId, LONG_MS);
    client.socket.destroy();
    t.equal(await asked, false, 'nor who leaves meanwhile');
  });
});

t.test('what is told, in which order', async (t) => {
  const server = await startEndpoint(t);
  const { client, port } = await echoes(server, t);
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
  const bound = (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
  client.socket.destroy();
  await server.primary.wait('connection.closed');
  t.same(
    server.primary.events.map(({ event }) => event),
    ['auth.succeeded', 'channel.opened', 'forward.bound', 'channel.closed', 'forward.released', 'connection.closed'],
  );
  const { primary } = server;
  const peer = `127.0.0.1:${primary.list('auth.succeeded')[0]?.peer.split(':')[1]}`;
  for (const event of primary.events) t.match(event, { conn: 1, user: 'alice', peer }, event.event);
  const [closed] = primary.list('connection.closed');
  t.match(closed, { reason: 'PEER_CLOSED', durationMs: Number });
  t.ok(Number(closed?.bytesIn) > 500 && Number(closed?.bytesOut) > 500);
  const channel = { kind: 'direct-tcpip', channel: 1, destination: `127.0.0.1:${port}` };
  t.match(primary.list('channel.opened'), [channel]);
  t.match(primary.list('channel.closed'), [{ ...channel, bytesIn: 5, bytesOut: 5, reason: 'PEER_CLOSED' }]);
  const forward = { kind: 'tcpip-forward', destination: `localhost:${bound}` };
  t.match(primary.list('forward.bound'), [forward]);
  t.match(primary.list('forward.released'), [
    { ...forward, reason: 'CONNECTION_CLOSED', bytesIn: 0, bytesOut: 0, durationMs: Number },
  ]);
  t.same(primary.closedIds, [1]);
});

t.test('channels are numbered as they open, whatever they are, and no number comes twice', async (t) => {
  const server = await startEndpoint(t);
  const { client, channel, port } = await echoes(server, t);
  client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
  await client.take(MSG.CHANNEL_CLOSE);
  await openDirectChannel(client, port, { id: 8 });
  client.send(message(MSG.CHANNEL_OPEN, 'session', 9, 1000, 1000));
  await confirmed(client, 9);
  client.send(message(MSG.CHANNEL_OPEN, 'nonsense', 10, 1000, 1000));
  await openRefusal(client, 10);
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
  const bound = (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
  const inbound = await connectTo(t, bound);
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  const peerId = [open.text(), open.uint32()][1] ?? 0;
  client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, 11, 1000, 1000));
  client.send(message(MSG.CHANNEL_DATA, peerId, 'seven b'));
  inbound.end('four');
  await client.take(MSG.CHANNEL_EOF, (payload) => payload.readUInt32BE(1) === 11);
  client.socket.destroy();
  await server.primary.wait('connection.closed');
  t.same(
    server.primary.list('channel.opened').map(({ kind, channel }) => [kind, channel]),
    [
      ['direct-tcpip', 1],
      ['direct-tcpip', 2],
      ['session', 3],
      ['forwarded-tcpip', 4],
    ],
  );
  t.same(
    server.primary
      .list('channel.closed')
      .map(({ channel }) => channel)
      .sort(),
    [1, 2, 3, 4],
  );
  t.match(server.primary.list('channel.refused'), [{ kind: 'unknown', destination: 'nonsense' }]);
  const inboundStory = { destination: `localhost:${bound}`, bytesIn: 7, bytesOut: 4 };
  t.match(
    server.primary.list('channel.closed').find(({ kind }) => kind === 'forwarded-tcpip'),
    inboundStory,
  );
  t.match(server.primary.list('forward.released'), [inboundStory], 'the channel has ended before it');
});

t.test('two methods in a row: the first one is told as what it is', async (t) => {
  class TwoSteps extends OpenServer {
    override getAllowedAuths(): readonly AuthChain[] {
      return ['password,keyboard-interactive'];
    }
  }
  const server = await startEndpoint(t, { hooks: new TwoSteps() });
  const client = await server.keyed(t);
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  client.send(passwordRequest('alice', PASSWORD));
  const failure = new WireReader(await client.take(MSG.USERAUTH_FAILURE), 1);
  t.same([failure.text(), failure.boolean()], ['keyboard-interactive', true]);
  t.match(server.primary.events, [{ event: 'auth.partial', conn: 1, user: 'alice', method: 'password' }]);
  client.send(directOpen(1));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, 'nobody is logged in yet');
  t.same(server.primary.list('auth.succeeded'), []);

  const second = await server.keyed(t);
  second.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  second.send(passwordRequest('alice', PASSWORD));
  await second.take(MSG.USERAUTH_FAILURE);
  second.send(message(MSG.USERAUTH_REQUEST, 'alice', 'ssh-connection', 'keyboard-interactive', '', ''));
  await second.take(MSG.USERAUTH_INFO_REQUEST);
  second.send(message(MSG.USERAUTH_INFO_RESPONSE, 1, PASSWORD));
  await second.take(MSG.USERAUTH_SUCCESS);
  await second.roundTrip();
  t.match(server.primary.list('auth.succeeded'), [{ conn: 2, user: 'alice', method: 'keyboard-interactive' }]);
});

t.test('limits of the user', async (t) => {
  class Limited extends OpenServer {
    override limits(_identity: Identity): IdentityLimits {
      return { connections: 5, channels: 2, forwards: 5 };
    }
  }
  await t.test("the narrower of his and the server's holds", async (t) => {
    const { port } = await startEcho(t);
    for (const [channelsPerConnection, expected] of [
      [10, 2],
      [1, 1],
    ] as const) {
      const server = await startEndpoint(t, { hooks: new Limited(), config: { limits: { channelsPerConnection } } });
      const client = await server.login(t);
      for (let id = 0; id < expected; id++) await openDirectChannel(client, port, { id });
      client.send(directOpen(port, { id: 50 }));
      t.match(await openRefusal(client, 50), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
    }
  });

  await t.test('until a moment: then the connection is ended, and the log says why', async (t) => {
    class Brief extends OpenServer {
      override limits(identity: Identity): IdentityLimits {
        const leftMs = identity.user === 'alice' ? 500 : 2 ** 40;
        return { ...super.limits(identity), expiresAtMs: Date.now() + leftMs };
      }
    }
    const server = await startEndpoint(t, { hooks: new Brief() });
    const bob = rawClient(t, server);
    await bob.login('bob', { password: PASSWORD });
    const alice = await server.login(t);
    t.same(await alice.ended, { reason: DISCONNECT.BY_APPLICATION, text: 'access has expired' });
    t.match(await server.primary.wait('connection.closed'), { reason: 'EXPIRED', user: 'alice' });
    await t.resolves(bob.roundTrip());
  });

  await t.test('a moment that has passed: nothing is served', async (t) => {
    class Late extends OpenServer {
      override limits(identity: Identity): IdentityLimits {
        return { ...super.limits(identity), expiresAtMs: Date.now() };
      }
    }
    const server = await startEndpoint(t, { hooks: new Late() });
    const client = await server.login(t);
    t.match(await client.ended, { text: 'access has expired' });
    t.match(await server.primary.wait('connection.closed'), { reason: 'EXPIRED', user: 'alice' });
    t.same(server.primary.list('auth.succeeded'), []);
  });

  await t.test('a hook that throws ends that connection and no other', async (t) => {
    class Broken extends OpenServer {
      override limits(identity: Identity): IdentityLimits {
        if (identity.user === 'alice') throw new Error('the database is gone');
        return super.limits(identity);
      }
    }
    const server = await startEndpoint(t, { hooks: new Broken() });
    const bob = rawClient(t, server);
    await bob.login('bob', { password: 'let me in' });
    const alice = await server.login(t);
    t.match(await alice.ended, { reason: DISCONNECT.BY_APPLICATION });
    t.match(await server.primary.wait('connection.closed'), {
      reason: 'HOOK_FAILED',
      detail: 'the database is gone',
      user: 'alice',
    });
    t.same(
      server.primary.list('auth.succeeded').map(({ user }) => user),
      ['bob'],
    );
    await t.resolves(bob.roundTrip());
  });

  await t.test('a hook that answers no limits ends the connection: none must not mean no limit', async (t) => {
    class Careless extends OpenServer {
      override limits(): IdentityLimits {
        return JSON.parse('{"connections": 5, "channels": "many", "forwards": 5}');
      }
    }
    const server = await startEndpoint(t, { hooks: new Careless() });
    const client = await server.login(t);
    t.match(await client.ended, { reason: DISCONNECT.BY_APPLICATION });
    t.match(await server.primary.wait('connection.closed'), { reason: 'HOOK_FAILED', detail: /^limits: / });
  });
});

t.test('a hook has `timeouts.hook` to answer', async (t) => {
  class Hanging extends OpenServer {
    override checkDirect(): Promise<boolean> {
      return new Promise(() => {});
    }
  }
  const server = await startEndpoint(t, { hooks: new Hanging(), config: { timeouts: { hook: '100ms' } } });
  const client = await server.login(t);
  client.send(directOpen(1));
  t.match(await openRefusal(client, 0), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  t.match(await server.primary.wait('channel.refused'), {
    reason: 'HOOK_TIMEOUT',
    detail: /no answer within 100 ms/,
  });
});

const mlKem = await loadMlKem();

t.test(
  'a reload that brings the hybrid exchange loads what it needs; until then the others of its list are offered',
  async (t) => {
    const kex = ['ecdh-sha2-nistp256'] as const;
    const loaded = deferred<MlKem>();
    let loads = 0;
    const loadMlKem = (): Promise<MlKem> => {
      loads++;
      return loaded.promise;
    };
    const server = await startEndpoint(t, { config: { algorithms: { kex } }, mlKem: null, loadMlKem });
    const reload = (kex: readonly string[], hostKey: string): void =>
      server.endpoint.reload(
        { config: testConfig({ algorithms: { kex } }), hostKeys: [{ path: 'host key', pem: hostKey }] },
        NOTHING_TAKEN,
      );
    const offers = async (kex: string): Promise<string> => {
      const client = rawClient(t, server, { kex });
      await client.ready.catch(() => {});
      return client.negotiated?.serverHostKey ?? 'nothing';
    };
    const [ed25519, ecdsa] = (['ed25519', 'ecdsa'] as const).map((type) => newKeyPair(type, 'test').privateKey);
    reload(['curve25519-sha256', 'ecdh-sha2-nistp256'], ed25519 ?? '');
    t.equal(loads, 0, 'nothing needs it');
    t.equal(await offers('curve25519-sha256'), 'ssh-ed25519');
    t.throws(() => reload([HYBRID_KEX], 'nonsense'), { code: 'HOST_KEY_INVALID' });
    t.equal(loads, 0, 'nor does what is rejected');
    const both = [HYBRID_KEX, 'curve25519-sha256']; // the client of the test cannot do without the other
    reload(both, ecdsa ?? '');
    t.equal(loads, 1);
    t.equal(await offers('curve25519-sha256'), 'ecdsa-sha2-nistp256', 'all else is in force at once');
    t.equal(await offers(HYBRID_KEX), 'nothing');
    t.equal(await offers('ecdh-sha2-nistp256'), 'nothing', 'what is taken away, at once');
    reload([HYBRID_KEX], ecdsa ?? '');
    t.equal(await offers('curve25519-sha256'), 'ecdsa-sha2-nistp256', 'the former list, where nothing else is left');
    reload(both, ecdsa ?? '');
    const begun = loads;
    loaded.resolve(mlKem);
    await loaded.promise;
    t.equal(await offers(HYBRID_KEX), 'ecdsa-sha2-nistp256');
    reload(both, ed25519 ?? '');
    t.equal(await offers(HYBRID_KEX), 'ssh-ed25519');
    t.equal(loads, begun, 'it is there');
  },
);

t.test('a server without a usable host key does not start', async (t) => {
  const config = testConfig();
  for (const hostKeys of [[], [{ path: '/keys/bad', pem: 'nonsense' }]])
    t.throws(
      () => new Endpoint({ hooks: new OpenServer(), config, hostKeys, primary: new FakePrimary(), mlKem }),
      new TunnelError('HOST_KEY_INVALID', hostKeys.length === 0 ? 'there is no host key to serve with' : /bad/.source),
    );
});

t.test('a process without a free descriptor, which cannot be asked for its size, goes on', async (t) => {
  const endpoint = new Endpoint({
    hooks: new OpenServer(),
    config: testConfig(),
    hostKeys: [{ path: 'host key of the test', pem: newKeyPair('ed25519', 'test').privateKey }],
    primary: new FakePrimary(),
    mlKem,
    process: {
      usableBytes: () => 1e9,
      residentBytes() {
        throw new Error('EMFILE: too many open files, uv_resident_set_memory');
      },
    },
  });
  t.doesNotThrow(() => endpoint.look());
});
