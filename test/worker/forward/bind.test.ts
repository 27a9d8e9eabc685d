/** Real listeners: what a bind holds, and that it holds all or none. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { parseBindHost } from '../../../src/shared/patterns.js';
import { bindTcp, listenAddresses } from '../../../src/worker/forward/bind.js';
import { connect, cut, freePort } from '../../support/targets.js';

function addresses(host: string): NonNullable<ReturnType<typeof listenAddresses>> {
  const found = listenAddresses(parseBindHost(host));
  if (found === null) throw new Error(`${host} is no bind host`);
  return found;
}

async function occupy(t: Test, options: object): Promise<Server> {
  const server = createServer().listen({ exclusive: true, ...options });
  await once(server, 'listening');
  t.teardown(() => server.close());
  return server;
}

/** Whether a listener of our own gets it. */
async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer();
  const outcome = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false));
  });
  server.listen({ host, port, exclusive: true, ipv6Only: true });
  if (!(await outcome)) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

t.test('RFC 4254 §7.1: the addresses that a host stands for', async (t) => {
  for (const [host, expected] of [
    ['', ['0.0.0.0', '::']],
    ['*', ['0.0.0.0', '::']],
    ['0.0.0.0', ['0.0.0.0']],
    ['::', ['::']],
    ['localhost', ['127.0.0.1', '::1']],
    ['127.0.0.1', ['127.0.0.1']],
    ['::1', ['::1']],
  ] as const)
    t.same(
      addresses(host).map((address) => address.host),
      expected,
      `"${host}"`,
    );
  for (const host of ['example.org', 'a\0b', '300.1.1.1'])
    t.equal(listenAddresses(parseBindHost(host)), null, JSON.stringify(host));
});

for (const host of ['localhost', '', '*', '127.0.0.1', '::1', '0.0.0.0', '::'])
  t.test(`"${host}" is reached by each of its families, is nobody else's, and is free at once`, async (t) => {
    const port = await freePort();
    const accepted: string[] = [];
    const bound = await bindTcp(addresses(host), port, (socket) => {
      t.ok(socket.isPaused(), 'nothing is read');
      accepted.push(socket.localAddress ?? '');
      socket.destroy();
    });
    t.ok(bound.ok);
    if (!bound.ok) return;
    t.teardown(() => bound.listeners.close());
    for (const { host: address } of addresses(host)) {
      const reached = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
      await cut(await connect(t, port, reached));
      t.equal(accepted.at(-1), reached);
      t.notOk(await isFree(reached, port));
    }
    t.match(await bindTcp(addresses(host), port, () => {}), { ok: false, code: 'PORT_TAKEN' }, 'not even ours again');
    bound.listeners.close();
    bound.listeners.close();
    for (const { host: address } of addresses(host)) t.ok(await isFree(address, port), `${address} is free`);
  });

t.test('all or none: one address that is taken frees the others', async (t) => {
  for (const taken of ['127.0.0.1', '::1']) {
    const port = await freePort();
    await occupy(t, { host: taken, port });
    t.match(await bindTcp(addresses('localhost'), port, () => {}), { ok: false, code: 'PORT_TAKEN' });
    t.ok(await isFree(taken === '::1' ? '127.0.0.1' : '::1', port));
  }
});

t.test('an address that is none of this machine', async (t) => {
  t.match(await bindTcp(addresses('192.0.2.1'), await freePort(), () => {}), { ok: false, code: 'BIND_FAILED' });
  // As on a machine without IPv6, where ::1 is no address: the other half of the pair serves.
  const port = await freePort();
  const pair = [...addresses('127.0.0.1'), { host: '2001:db8::1', ipv6Only: true }];
  const bound = await bindTcp(pair, port, (socket) => socket.destroy());
  t.ok(bound.ok);
  await connect(t, port);
  if (bound.ok) bound.listeners.close();
  const none = [
    { host: '192.0.2.1', ipv6Only: false },
    { host: '2001:db8::1', ipv6Only: true },
  ];
  t.match(await bindTcp(none, port, () => {}), { ok: false, code: 'BIND_FAILED' });
});
