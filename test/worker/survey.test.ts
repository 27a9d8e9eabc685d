/** SURVEY of a worker: real connections on a real endpoint, looked at while they log in, tunnel and bind, and the counts that
 *  are left of them. */
import t from 'tap';
import { MAX_CHANNELS_SHOWN } from '../../src/shared/admin.js';
import type { ConnId, LookQuery, Seen, SeenPart } from '../../src/shared/ipc.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { type Sight, survey } from '../../src/worker/survey.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import { confirmed, dataMessage, directOpen, openDirectChannel } from '../support/raw_client.js';
import { asked, bindRequest } from '../support/requests.js';
import { connect, freePort, startEcho } from '../support/targets.js';

type Query = Extract<LookQuery, { kind: 'connections' }>;

const ALL: Query = { kind: 'connections', user: null, search: null, limit: 1_000 };

function connectionsOf({ endpoint }: EndpointUnderTest, query: Partial<Query> = {}) {
  return onlyPart(endpoint.survey({ ...ALL, ...query }), 'connections');
}

function forwardsOf({ endpoint }: EndpointUnderTest, limit = 10) {
  return onlyPart(endpoint.survey({ kind: 'forwards', limit }), 'forwards');
}

/** What is small comes whole. */
function onlyPart<Kind extends Seen['kind']>(parts: Iterator<SeenPart, undefined>, kind: Kind): Seen & { kind: Kind } {
  const { value } = parts.next();
  const isOf = (seen: Seen | undefined): seen is Seen & { kind: Kind } => seen?.kind === kind;
  if (!isOf(value?.seen) || !value.isLast || parts.next().done !== true) throw new Error(JSON.stringify(value));
  return value.seen;
}

/** Of a connection that never was, with so many channels. */
function sight(id: number, channels = 0): Sight {
  const label = { channel: 0, kind: 'direct-tcpip', destination: 'db.internal:5432', openedMs: 0 } as const;
  const channel = { label, bytesIn: 0, bytesOut: 0 };
  return {
    ...{
      id: id as ConnId,
      peer: `192.0.2.1:${id}`,
      client: null,
      openedAtMs: 0,
      startedMs: 0,
      bytesIn: 0,
      bytesOut: 0,
    },
    login: { conn: id, peer: `192.0.2.1:${id}`, user: 'alice', method: 'publickey' },
    channelCount: channels,
    channels: () => Array.from({ length: channels }, () => channel),
    forwards: () => [],
  };
}

t.test('what is much comes in parts, none of them long, and together they are the whole', async (t) => {
  const many = (count: number, channels = 0) => Array.from({ length: count }, (_, index) => sight(index + 1, channels));
  const partsOf = (sights: readonly Sight[], query: Partial<Query>): [shown: number, total: number][] => {
    const found: [number, number][] = [];
    const parts = survey(sights, { ...ALL, limit: 20_000, ...query }, () => 0);
    const lasts: boolean[] = [];
    for (let part = parts.next(); part.value !== undefined; part = parts.next()) {
      const { seen, isLast } = part.value;
      lasts.push(isLast);
      if (seen.kind === 'connections') found.push([seen.connections.length, seen.total]);
    }
    t.same([lasts.indexOf(true), lasts.length], [found.length - 1, found.length], 'the last one says so, and no other');
    return found;
  };
  t.same(partsOf([], {}), [[0, 0]], 'nothing is a part too');
  t.same(partsOf(many(600), {}), [
    [250, 250],
    [250, 250],
    [100, 100],
  ]);
  t.same(partsOf(many(6, 100), {}), [
    [3, 3],
    [3, 3],
  ]);
  t.same(
    partsOf(many(2_500), { search: 'nowhere' }),
    [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    'a search in vain too',
  );
  t.same(
    partsOf(many(250, 9), { search: 'nowhere' }),
    [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    'in which channels are work',
  );
  t.same(partsOf(many(1_400), { limit: 300 }), [
    [250, 250],
    [50, 1_000],
    [0, 150],
  ]);
});

t.test('a connection from its keys to its tunnels', async (t) => {
  const server = await startEndpoint(t);
  const keyed = await server.keyed(t);
  const [stranger] = connectionsOf(server).connections;
  t.match(stranger, { id: 1, state: 'login', client: /^SSH-2\.0-\S+/, channels: [], channelsTotal: 0 });
  t.equal(stranger?.user, undefined);
  keyed.socket.destroy();
  await server.primary.wait('connection.closed');
  t.same(connectionsOf(server), { kind: 'connections', total: 0, connections: [] });

  const echo = await startEcho(t);
  const client = await server.login(t);
  const channel = await openDirectChannel(client, echo.port, { id: 7 });
  client.send(dataMessage(channel, 'hello'));
  await client.take(MSG.CHANNEL_DATA);
  const traffic = { bytesIn: 5, bytesOut: 5 };
  const [seen] = connectionsOf(server).connections;
  t.match(seen, { id: 2, state: 'open', user: 'alice', method: 'password', channelsTotal: 1, ...traffic });
  t.match(seen?.channels, [{ channel: 1, kind: 'direct-tcpip', destination: `127.0.0.1:${echo.port}`, ...traffic }]);
  t.ok(Math.abs(Date.now() - (seen?.openedAtMs ?? 0)) < 60_000);
  t.match({ ...server.endpoint.load(), ...server.endpoint.traffic() }, { connections: 1, channels: 1, ...traffic });

  client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
  await server.primary.wait('channel.closed');
  await client.take(MSG.CHANNEL_CLOSE);
  t.match(connectionsOf(server).connections, [{ channels: [], channelsTotal: 0, ...traffic }], 'the bytes stay');
  client.socket.destroy();
  await server.primary.wait('connection.closed', ({ conn }) => conn === 2);
  t.match(
    { ...server.endpoint.load(), ...server.endpoint.traffic() },
    { connections: 0, channels: 0, ...traffic },
    'and when the connection is gone',
  );
});

t.test('who is looked for: by user, by peer, by where it leads; the rest is only counted', async (t) => {
  const server = await startEndpoint(t);
  const echo = await startEcho(t);
  const [first, second] = [await server.login(t), await server.login(t)];
  await server.keyed(t);
  await openDirectChannel(first, echo.port, { id: 1 });
  const port = await asked(second, bindRequest('localhost', await freePort()));
  t.not(port, null);
  const ids = (query: Partial<Query>): number[] => connectionsOf(server, query).connections.map(({ id }) => id);
  t.same(ids({}), [1, 2, 3]);
  t.same(ids({ user: 'alice' }), [1, 2]);
  t.same(ids({ user: 'ali' }), []);
  t.same(ids({ search: 'ALI' }), [1, 2]);
  t.same(ids({ search: `127.0.0.1:${echo.port}` }), [1]);
  t.same(ids({ search: 'localhost:' }), [2], 'what it has bound');
  const [one] = connectionsOf(server).connections;
  t.same(ids({ search: one?.peer ?? 'none' }), [1]);
  t.same(ids({ search: 'nobody' }), []);
  t.match(connectionsOf(server, { limit: 1 }), { total: 3, connections: [{ id: 1 }] });
  t.equal(connectionsOf(server, { limit: 1 }).connections.length, 1);
});

t.test('of many channels the oldest are shown, and all are counted', async (t) => {
  const server = await startEndpoint(t);
  const echo = await startEcho(t);
  const client = await server.login(t);
  const wanted = MAX_CHANNELS_SHOWN + 5;
  for (let id = 0; id < wanted; id++) client.send(directOpen(echo.port, { id }));
  for (let id = 0; id < wanted; id++) await confirmed(client, id);
  const [seen] = connectionsOf(server).connections;
  t.equal(seen?.channelsTotal, wanted);
  t.equal(seen?.channels.length, MAX_CHANNELS_SHOWN);
});

t.test('a forward, with what comes in by it', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const port = await freePort();
  t.not(await asked(client, bindRequest('127.0.0.1', port)), null);
  const forward = { conn: 1, user: 'alice', kind: 'tcpip-forward', destination: `127.0.0.1:${port}` };
  t.match(forwardsOf(server), { total: 1, forwards: [{ ...forward, channels: 0, bytesIn: 0, bytesOut: 0 }] });

  const visitor = await connect(t, port);
  const open = await client.take(MSG.CHANNEL_OPEN);
  const theirs = open.readUInt32BE(5 + open.readUInt32BE(1));
  client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, theirs, 3, 100_000, 32_768));
  visitor.write('abc');
  await client.take(MSG.CHANNEL_DATA);
  t.match(forwardsOf(server).forwards, [{ ...forward, channels: 1, bytesIn: 0, bytesOut: 3 }], 'while it runs');
  client.send(message(MSG.CHANNEL_CLOSE, theirs));
  await server.primary.wait('channel.closed');
  t.match(forwardsOf(server).forwards, [{ ...forward, bytesOut: 3 }], 'and when it is over');
  t.same(forwardsOf(server, 0), { kind: 'forwards', total: 1, forwards: [] });
});
