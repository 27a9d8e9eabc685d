/** The forwards of one connection with real listeners, and leases and policy that the test answers. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { Ending } from '../../../src/shared/ending.js';
import type { ForwardEnd } from '../../../src/shared/errors.js';
import { ALLOW, refuse, type Verdict } from '../../../src/shared/errors.js';
import type { Traffic } from '../../../src/shared/events.js';
import type { BindAddress } from '../../../src/shared/identity.js';
import type { Answer, LeaseKey, LeaseTarget } from '../../../src/shared/ipc.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { type Inbound, RemoteForwards } from '../../../src/worker/forward/remote.js';
import { Tunnel } from '../../../src/worker/forward/tunnel.js';
import { Buffers } from '../../../src/worker/transport/buffers.js';
import { plenty } from '../../support/account.js';
import { deferred } from '../../support/deadline.js';
import { FakePort } from '../../support/fake_port.js';
import { until } from '../../support/joined.js';
import { canBind, connect, cut, freePort } from '../../support/targets.js';
import { tempDir } from '../../support/temp.js';

const tcp = (port: number, host = 'localhost'): BindAddress => ({ kind: 'tcp', host, port });
const unix = (path: string): BindAddress => ({ kind: 'unix', path });
const nameOf = (bind: BindAddress | LeaseKey): string => (bind.kind === 'tcp' ? String(bind.port) : bind.path);

function make(
  t: Test,
  options: {
    readonly maxForwards?: number;
    readonly mayBind?: () => boolean;
    readonly maxInbound?: number;
    readonly inboundPerSecond?: number;
    readonly lease?: (target: LeaseTarget) => Answer | Promise<Answer>;
    readonly check?: (bind: BindAddress) => Verdict | Promise<Verdict>;
  } = {},
) {
  const ending = new Ending();
  const asked: LeaseTarget[] = [];
  const released: string[] = [];
  const told: string[] = [];
  const inbounds: Inbound[] = [];
  const checked: string[] = [];
  const releases: (Traffic & { readonly reason: ForwardEnd })[] = [];
  const time = { nowMs: 0 };
  const forwards = new RemoteForwards({
    maxForwards: options.maxForwards ?? 10,
    mayBind: options.mayBind ?? (() => true),
    maxInbound: options.maxInbound ?? 100,
    inboundPerSecond: options.inboundPerSecond ?? 0,
    ending,
    policy: {
      checkForward: async (bind) => {
        checked.push(nameOf(bind));
        return (await options.check?.(bind)) ?? ALLOW;
      },
      portRanges: () => [[20_000, 20_009]],
    },
    leases: {
      lease: async (target) => {
        asked.push(structuredClone(target));
        if (options.lease !== undefined) return await options.lease(target);
        return { ok: true, port: target.kind === 'tcp' ? target.port : 0 };
      },
      release: (key) => released.push(nameOf(key)),
    },
    makeTunnel: (bind, onEnd) =>
      new Tunnel(
        { kind: 'forwarded-tcpip', destination: nameOf(bind) },
        {
          buffers: new Buffers(),
          lingering: plenty(),
          timeouts: { halfCloseMs: 0, idleChannelMs: 0 },
          onEvent() {},
          onOpened() {},
          nextChannel: () => 1,
          now: () => time.nowMs,
          live: new Set(),
        },
        onEnd,
      ),
    onReleased: (bind, reason, traffic) => {
      told.push(nameOf(bind));
      releases.push({ reason, ...traffic });
    },
    now: () => time.nowMs,
    onInboundRefused: (bind, reason) => told.push(`${nameOf(bind)} ${reason}`),
    onInbound: (inbound) => {
      inbound.socket.on('error', () => {});
      inbounds.push(inbound);
    },
  });
  t.teardown(() => {
    forwards.close();
    for (const { socket } of inbounds) socket.destroy();
  });
  /** As a connection that ends: the signal first, then what it holds. */
  const end = (): void => {
    ending.end();
    forwards.close();
  };
  return { forwards, asked, released, told, releases, time, inbounds, checked, end };
}

t.test('a port is leased, bound, told by its name, and given back by the cancel', async (t) => {
  const { forwards, released, told, releases, time, asked } = make(t);
  const port = await freePort();
  time.nowMs = 1000;
  t.same(await forwards.request(tcp(port)), { ok: true, port });
  time.nowMs = 3500.4;
  t.match(asked, [{ kind: 'tcp', host: 'localhost', port, portRanges: [[20_000, 20_009]], except: [] }]);
  t.same(forwards.binds(), [tcp(port)]);
  t.notOk(await canBind(port));
  t.notOk(forwards.cancel(tcp(port, '127.0.0.1')), 'RFC 4254 §7.1: by the same address and port');
  t.notOk(forwards.cancel(tcp(port + 1)));
  t.ok(forwards.cancel(tcp(port)));
  t.notOk(forwards.cancel(tcp(port)), 'once');
  t.ok(await canBind(port));
  t.same([released, told, forwards.size], [[String(port)], [String(port)], 0]);
  t.same(releases, [{ reason: 'CANCELLED', bytesIn: 0, bytesOut: 0, durationMs: 2500 }]);
});

t.test('a forward tells what the channels that came in by it moved, those that have ended', async (t) => {
  const { forwards, inbounds, releases } = make(t);
  const ports = [await freePort(), await freePort()];
  for (const port of ports) await forwards.request(tcp(port));
  for (const [port, send] of [
    [ports[0], 'one'],
    [ports[0], 'three'],
    [ports[1], 'another forward'],
  ] as const) {
    const socket = await connect(t, port ?? 0);
    socket.end('from the socket');
    await until(() => inbounds.length > 0, 'inbound connection');
    const inbound = inbounds.pop();
    if (inbound === undefined) throw new Error('no inbound connection');
    const channels = new ChannelTable(new FakePort(), {
      maxChannels: 1,
      memoryBytes: 1_000_000,
      account: plenty(),
      now: () => 0,
      violated: t.fail,
    });
    const reservation = channels.reserve();
    if (reservation === null) throw new Error('no room');
    const channel = channels.open(reservation, { id: 9, windowBytes: 1000, maxPacketBytes: 1000 }, 0);
    inbound.tunnel.start(channel, inbound.socket, []);
    channel.onData(Buffer.from(send), null);
    channel.onReadEnd();
    await until(() => channel.bytesOut === 15, 'data of the socket');
    if (send !== 'three') channel.onPeerClose();
    await until(() => send === 'three' || channels.size === 0, 'end of the channel');
  }
  t.ok(forwards.cancel(tcp(ports[0] ?? 0)));
  t.match(releases, [{ reason: 'CANCELLED', bytesIn: 3, bytesOut: 15 }]);
  forwards.close();
  t.match(releases[1], { reason: 'CONNECTION_CLOSED', bytesIn: 15, bytesOut: 15 });
});

t.test('who comes in by a forward: so many at a time, and so many a second, of each forward', async (t) => {
  const { forwards, inbounds, told, time } = make(t, { maxInbound: 2, inboundPerSecond: 2 });
  const [port, other] = [await freePort(), await freePort()];
  for (const bound of [port, other]) await forwards.request(tcp(bound));
  for (let count = 0; count < 2; count++) await connect(t, port);
  await until(() => inbounds.length === 2, 'two that may come in');
  await cut(await connect(t, port));
  t.same(told, [`${port} INBOUND_LIMIT`]);
  await connect(t, other);
  await until(() => inbounds.length === 3, 'one by the other forward');

  inbounds[0]?.socket.destroy();
  await until(() => inbounds[0]?.socket.closed === true, 'the end of one');
  await connect(t, port);
  await until(() => inbounds.length === 4, 'one in its place');
  inbounds[1]?.socket.destroy();
  await until(() => inbounds[1]?.socket.closed === true, 'the end of another');
  await cut(await connect(t, port));
  t.same(told.splice(1), [`${port} INBOUND_RATE`], 'the fifth within one moment');
  time.nowMs += 500;
  await connect(t, port);
  await until(() => inbounds.length === 5, 'one more after half a second');
});

t.test('refusals, and that they hold nothing', async (t) => {
  const port = await freePort();
  const no = (reason: Extract<Answer, { ok: false }>['reason']) => ({ lease: (): Answer => ({ ok: false, reason }) });
  for (const [name, options, code] of [
    ['the policy', { check: () => refuse('POLICY_DENIED') }, 'POLICY_DENIED'],
    ['a limit of the user', no('LIMIT'), 'FORWARD_LIMIT'],
    ['a port of another', no('TAKEN'), 'PORT_TAKEN'],
    ['no port left', no('NO_FREE_PORT'), 'PORT_TAKEN'],
    ['a server that drains', no('DRAINING'), 'DRAINING'],
    ['a limit of the connection', { maxForwards: 0 }, 'FORWARD_LIMIT'],
    ['too many in a short time', { mayBind: () => false }, 'FORWARD_RATE'],
  ] as const)
    await t.test(name, async (t) => {
      const { forwards, released, told } = make(t, options);
      t.match(await forwards.request(tcp(port)), { ok: false, code });
      t.same([released, told, forwards.size], [[], [], 0]);
      t.ok(await canBind(port));
    });

  await t.test('a name, which would have to be resolved', async (t) => {
    const { forwards, asked } = make(t);
    t.match(await forwards.request(tcp(port, 'example.org')), { ok: false, code: 'BAD_ADDRESS' });
    t.match(await forwards.request(tcp(65_536)), { ok: false, code: 'BAD_ADDRESS' });
    t.same(asked, []);
  });

  await t.test('a port that another program holds: the lease is given back', async (t) => {
    const { forwards, released } = make(t);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const address = server.address();
    const taken = address !== null && typeof address === 'object' ? address.port : 0;
    t.match(await forwards.request(tcp(taken)), { ok: false, code: 'PORT_TAKEN' });
    t.same([released, forwards.size], [[String(taken)], 0]);
  });
});

t.test('port 0: a port that another program holds is passed over, and named in the next question', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  const taken = address !== null && typeof address === 'object' ? address.port : 0;
  const free = await freePort();
  const { forwards, asked, released } = make(t, {
    lease: (target) => ({ ok: true, port: target.kind === 'tcp' && target.except.includes(taken) ? free : taken }),
  });
  t.same(await forwards.request(tcp(0)), { ok: true, port: free });
  t.same(
    asked.map((target) => (target.kind === 'tcp' ? target.except : [])),
    [[], [taken]],
  );
  t.same(released, [String(taken)]);
  t.ok(forwards.cancel(tcp(free)), 'it goes by the port that was chosen');

  const stubborn = make(t, { lease: () => ({ ok: true, port: taken }) });
  t.match(await stubborn.forwards.request(tcp(0)), { ok: false, code: 'PORT_TAKEN' });
  t.equal(stubborn.asked.length, stubborn.released.length, 'and it does not ask for ever');
});

t.test('requests under way count for the limit, and one address is bound once', async (t) => {
  const answer = deferred<Answer>();
  const { forwards } = make(t, { maxForwards: 2, lease: () => answer.promise });
  const [a, b, c] = [await freePort(), await freePort(), await freePort()];
  const under = [forwards.request(tcp(a)), forwards.request(tcp(b, '127.0.0.1'))];
  t.match(await forwards.request(tcp(c)), { ok: false, code: 'FORWARD_LIMIT' });
  answer.resolve({ ok: true, port: a });
  t.same(
    (await Promise.all(under)).map(({ ok }) => ok),
    [true, false],
    'both were given the same port: one gets it',
  );
  t.match(await forwards.request(tcp(a)), { ok: false, code: 'PORT_TAKEN' });
});

t.test('a peer that goes meanwhile leaves nothing behind', async (t) => {
  const dir = tempDir(t);
  const port = await freePort();
  for (const bind of [tcp(port), unix(`${dir}/a.sock`)]) {
    for (const moment of ['policy', 'lease', 'bind'] as const)
      await t.test(`${bind.kind}, at the ${moment}`, async (t) => {
        const reached = deferred<void>();
        const goOn = deferred<void>();
        const wait = async (): Promise<void> => {
          reached.resolve();
          await goOn.promise;
        };
        const { forwards, asked, released, end } = make(t, {
          check: async () => {
            if (moment === 'policy') await wait();
            return ALLOW;
          },
          lease: async (target) => {
            if (moment === 'lease') await wait();
            // At the bind: the connection ends in the turn in which the lease is answered.
            if (moment === 'bind') process.nextTick(() => end());
            return { ok: true, port: target.kind === 'tcp' ? target.port : 0 };
          },
        });
        const outcome = forwards.request(bind);
        if (moment !== 'bind') {
          await reached.promise;
          end();
          goOn.resolve();
        }
        t.match(await outcome, { ok: false });
        t.equal(released.length, asked.length, 'each lease is given back');
        t.equal(forwards.size, 0);
        t.ok(await canBind(port));
        t.same(readdirSync(dir), []);
      });
  }
});

t.test('the end of the connection frees all of it', async (t) => {
  const { forwards, told, releases, released, end } = make(t);
  const ports = [await freePort(), await freePort()];
  const path = `${tempDir(t)}/a.sock`;
  for (const bind of [...ports.map((port) => tcp(port)), unix(path)]) t.ok((await forwards.request(bind)).ok);
  end();
  for (const port of ports) t.ok(await canBind(port));
  t.notOk(existsSync(path));
  t.same(
    [told, released],
    [
      [...ports.map(String), path],
      [...ports.map(String), path],
    ],
  );
  t.same(
    releases.map(({ reason }) => reason),
    ['CONNECTION_CLOSED', 'CONNECTION_CLOSED', 'CONNECTION_CLOSED'],
  );
});

t.test('what comes in', async (t) => {
  const { forwards, inbounds } = make(t);
  const port = await freePort();
  await forwards.request(tcp(port));
  for (const [host, seen] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    const socket = await connect(t, port, host);
    socket.write('early');
    while (inbounds.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const inbound = inbounds.pop();
    t.match(inbound?.bind, tcp(port));
    t.same(inbound?.originator, { host: seen, port: socket.localPort });
    t.equal(inbound?.socket.bytesRead, 0, 'unread');
    inbound?.socket.destroy();
  }
});

t.test('a Unix socket behind a link: the real path has to be permitted as well', async (t) => {
  const dir = tempDir(t);
  mkdirSync(`${dir}/mine`);
  mkdirSync(`${dir}/theirs`);
  symlinkSync(`${dir}/theirs`, `${dir}/mine/way-out`);
  const asked = `${dir}/mine/way-out/a.sock`;
  const denied = make(t, {
    check: (bind) => (bind.kind === 'unix' && bind.path.startsWith(`${dir}/mine/`) ? ALLOW : refuse('POLICY_DENIED')),
  });
  t.match(await denied.forwards.request(unix(asked)), { ok: false, code: 'POLICY_DENIED' });
  t.same(denied.checked, [asked, `${dir}/theirs/a.sock`]);
  t.same([denied.asked, readdirSync(`${dir}/theirs`)], [[], []]);

  const allowed = make(t);
  t.ok((await allowed.forwards.request(unix(asked))).ok);
  t.match(allowed.asked, [{ kind: 'unix', path: `${dir}/theirs/a.sock` }], 'the lease is for the real path');
  t.ok(allowed.forwards.cancel(unix(asked)), 'the cancel names what was asked for');
  t.same([allowed.released, allowed.told], [[`${dir}/theirs/a.sock`], [asked]]);

  for (const path of [asked, `${dir}/theirs/a.sock`]) {
    const { forwards, inbounds } = make(t);
    t.ok((await forwards.request(unix(asked))).ok);
    await connect(t, asked);
    await until(() => inbounds.length > 0, 'inbound connection');
    t.same(inbounds[0]?.binds, [unix(asked), unix(`${dir}/theirs/a.sock`)]);
    forwards.review((bind) => nameOf(bind) === `${dir}/theirs`);
    t.equal(forwards.size, 1, 'nothing of it was taken');
    forwards.review((bind) => nameOf(bind) === path);
    t.equal(forwards.size, 0, `ended with ${path}`);
  }
});

t.test('a config that changes while a socket behind a link is bound has to permit both paths', async (t) => {
  const dir = tempDir(t);
  mkdirSync(`${dir}/theirs`);
  symlinkSync(`${dir}/theirs`, `${dir}/link`);
  let changed = false;
  const { forwards, released } = make(t, {
    check: (bind) => (changed && nameOf(bind) === `${dir}/theirs/a.sock` ? refuse('POLICY_DENIED') : ALLOW),
    lease: () => {
      changed = true;
      forwards.review(() => false); // it was bound after the review
      return { ok: true, port: 0 };
    },
  });
  t.match(await forwards.request(unix(`${dir}/link/a.sock`)), { ok: false, code: 'POLICY_DENIED' });
  t.same([forwards.size, released], [0, [`${dir}/theirs/a.sock`]]);
});

t.test('paths that no socket can have are refused, whatever the policy says', async (t) => {
  const { forwards, asked } = make(t);
  for (const path of ['', 'a.sock', '\0abstract', '/tmp/a\nb', `/tmp/${'a'.repeat(108)}`, '/tmp/../a'])
    t.match(await forwards.request(unix(path)), { ok: false, code: 'BAD_ADDRESS' }, JSON.stringify(path.slice(0, 20)));
  const dir = tempDir(t);
  mkdirSync(`${dir}/${'d'.repeat(90)}`);
  symlinkSync(`${dir}/${'d'.repeat(90)}`, `${dir}/short`);
  t.match(await forwards.request(unix(`${dir}/short/a.sock`)), { ok: false, code: 'BAD_ADDRESS' }, 'nor a real path');
  t.same(asked, []);
});
