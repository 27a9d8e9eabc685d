/** REQUESTS: global requests and their answers (RFC 4254 §4, §7.1), unknown messages, channel requests, sessions. */
import t from 'tap';
import { DISCONNECT, MSG, message, OPEN_FAILURE, UINT32_MAX, WireReader } from '../../src/shared/protocol.js';
import { deferred } from '../support/deadline.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { openRefusal } from '../support/raw_client.js';
import { canBind, freePort } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

function forward(host: string, port: number, wantReply = true): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'tcpip-forward', wantReply, host, port);
}

t.test('RFC 4254 §4: unknown requests are refused, and one that wants no reply gets none', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  for (const wantReply of [true, false, true, false])
    client.send(message(MSG.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', wantReply));
  client.send(message(MSG.GLOBAL_REQUEST, '__proto__', true));
  await client.roundTrip();
  t.same(client.untaken, [MSG.EXT_INFO, MSG.REQUEST_FAILURE, MSG.REQUEST_FAILURE, MSG.REQUEST_FAILURE]);
});

t.test('RFC 4254 §4: replies come in the order of the requests, however long each takes', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const [slow, fast] = [await freePort(), await freePort()];
  const answer = deferred<{ ok: true; port: number }>();
  server.primary.leaseAnswer = (target) => {
    const port = target.kind === 'tcp' ? target.port : 0;
    return port === slow ? answer.promise : { ok: true, port };
  };
  client.send(forward('localhost', slow));
  client.send(forward('localhost', fast));
  client.send(message(MSG.GLOBAL_REQUEST, 'keepalive@openssh.com', true));
  await server.primary.wait('forward.bound'); // the second one
  t.same(client.untaken, [MSG.EXT_INFO]);
  answer.resolve({ ok: true, port: slow });
  await client.take(MSG.REQUEST_FAILURE);
  t.same(client.untaken, [MSG.EXT_INFO, MSG.REQUEST_SUCCESS, MSG.REQUEST_SUCCESS]);
});

t.test('more than 64 requests that wait for their answer end the connection', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { forwardsPerConnection: 1000 } } });
  const client = await server.login(t);
  server.primary.leaseAnswer = () => new Promise(() => {});
  for (let at = 0; at < 64; at++) client.send(forward('localhost', 20_000 + at));
  client.send(message(MSG.CHANNEL_OPEN, 'unknown', 1, 1000, 1000));
  t.ok(await openRefusal(client, 1), '64 are fine');
  client.send(forward('localhost', 30_000));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many requests at once' });
});

t.test('RFC 4254 §7.1: binds', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { forwardsPerConnection: 2 } } });
  const client = await server.login(t);

  for (const port of [65_536, 70_000, UINT32_MAX])
    await t.test(`port ${port} is refused`, async (t) => {
      client.send(forward('localhost', port));
      t.ok(await client.take(MSG.REQUEST_FAILURE));
      t.match(server.primary.list('forward.refused').at(-1), { reason: 'BAD_ADDRESS' });
    });
  for (const host of ['a\0b', 'a\nb', 'no.such.name.of.ours', '256.1.1.1', 'x'.repeat(30_000)])
    await t.test(`address ${JSON.stringify(host.slice(0, 30))} is refused, and logged on one line`, async (t) => {
      client.send(forward(host, 0));
      t.ok(await client.take(MSG.REQUEST_FAILURE));
      t.match(server.primary.list('forward.refused').at(-1)?.destination, /^[^\p{Cc}]{0,270}$/u);
    });
  for (const path of ['', 'a.sock', '\0a', `/tmp/${'a'.repeat(108)}`, '/no/such/folder/a.sock'])
    await t.test(`socket path ${JSON.stringify(path.slice(0, 30))} is refused, whatever the hooks say`, async (t) => {
      client.send(message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, path));
      t.ok(await client.take(MSG.REQUEST_FAILURE));
    });

  await t.test('port 0 is answered with the port, a port of ours without; a cancel frees it at once', async (t) => {
    client.send(forward('localhost', 0));
    const success = await client.take(MSG.REQUEST_SUCCESS);
    t.equal(success.length, 5);
    const port = success.readUInt32BE(1);
    t.notOk(await canBind(port));
    const second = await freePort();
    client.send(forward('localhost', second));
    t.equal((await client.take(MSG.REQUEST_SUCCESS)).length, 1);
    client.send(forward('localhost', second));
    t.ok(await client.take(MSG.REQUEST_FAILURE), 'the same one twice');
    client.send(forward('localhost', 0));
    t.ok(await client.take(MSG.REQUEST_FAILURE), 'one more than the limit');

    for (const [host, wrong] of [
      ['127.0.0.1', port],
      ['localhost', port + 1],
      ['localhost', 0],
      ['localhost', UINT32_MAX],
    ] as const) {
      client.send(message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, host, wrong));
      t.ok(await client.take(MSG.REQUEST_FAILURE), `${host}:${wrong} is none of its forwards`);
    }
    for (const bound of [port, second]) {
      client.send(message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, 'localhost', bound));
      t.ok(await client.take(MSG.REQUEST_SUCCESS));
      t.ok(await canBind(bound));
    }
    t.same(server.primary.released, [String(port), String(second)]);
  });

  await t.test('what a connection has bound is free when it ends', async (t) => {
    const dir = tempDir(t);
    const leaving = await server.login(t);
    leaving.send(forward('localhost', 0));
    const port = (await leaving.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
    leaving.send(message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, `${dir}/a.sock`));
    await leaving.take(MSG.REQUEST_SUCCESS);
    const closed = server.primary.wait('connection.closed');
    leaving.socket.destroy();
    await closed;
    t.ok(await canBind(port));
    t.match(
      server.primary.list('forward.released').map(({ destination }) => destination),
      [/^localhost:/, /^localhost:/, /^localhost:/, /a\.sock$/],
    );
  });
});

t.test('RFC 4253 §11.4: unknown messages', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  await client.roundTrip();
  for (const type of [101, 127, 192, 255]) {
    client.send(message(type, 'whatever'));
    const sequence = client.lastSequence;
    t.equal((await client.take(MSG.UNIMPLEMENTED)).readUInt32BE(1), sequence, `${type} is answered with its number`);
  }
  client.send(message(MSG.USERAUTH_REQUEST, 'root', 'ssh-connection', 'none'));
  await client.roundTrip();
  t.notOk(client.untaken.includes(MSG.UNIMPLEMENTED), 'RFC 4252 §5.1: a request to log in again is passed over');
  for (const type of [MSG.REQUEST_SUCCESS, MSG.CHANNEL_SUCCESS, MSG.CHANNEL_FAILURE]) client.send(message(type, 0));
  await t.resolves(client.roundTrip(), 'answers to no question are passed over');
  for (let count = 0; count <= 32; count++) client.send(message(200));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'unknown messages' });
});

for (const type of [8, 19, MSG.NEWKEYS, 30, 49])
  t.test(`message ${type} outside of a key exchange ends the connection`, async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    client.send(message(type));
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  });

t.test('RFC 4253 §11: IGNORE, DEBUG, UNIMPLEMENTED and an empty payload disturb nobody', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  client.send(message(MSG.IGNORE, 'x'.repeat(30_000)));
  client.send(Buffer.of(MSG.IGNORE));
  client.send(message(MSG.DEBUG, true, '\x1b[2J', ''));
  client.send(message(MSG.UNIMPLEMENTED, 0));
  client.send(Buffer.alloc(0));
  await t.resolves(client.roundTrip());
});

t.test('DISCONNECT, also a malformed one, ends the connection and is logged on one line', async (t) => {
  for (const payload of [message(MSG.DISCONNECT, 11, 'bye\nnow', ''), Buffer.of(MSG.DISCONNECT)]) {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    client.send(payload);
    await client.ended;
    const { detail } = await server.primary.wait('connection.closed');
    t.match(detail, /^[^\p{Cc}]*$/u);
  }
});

t.test('RFC 4254 §6: a session', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const open = async (windowBytes = 1000): Promise<number> => {
    client.send(message(MSG.CHANNEL_OPEN, 'session', 5, windowBytes, 32_768));
    return (await client.take(MSG.CHANNEL_OPEN_CONFIRMATION)).readUInt32BE(5);
  };
  const request = (peerId: number, name: string, ...rest: (string | number)[]): void =>
    client.send(message(MSG.CHANNEL_REQUEST, peerId, name, true, ...rest));

  const terminal = ['xterm', 80, 24, 0, 0, ''] as const;
  const untaken = (): number[] => client.untaken.filter((type) => type !== MSG.EXT_INFO);

  await t.test('subsystem, x11, agent and what is malformed are refused, and the connection goes on', async (t) => {
    const peerId = await open();
    for (const name of ['subsystem', 'x11-req', 'auth-agent-req@openssh.com', 'signal', '', '__proto__']) {
      request(peerId, name, 'sftp');
      t.ok(await client.take(MSG.CHANNEL_FAILURE), name);
    }
    for (const [name, ...rest] of [
      ['env', 'LANG'],
      ['env', 'LANG', 'C', 'more'],
      ['pty-req'],
      ['pty-req', ...terminal.slice(0, -1)],
      ['pty-req', ...terminal, 'more'],
      ['window-change', 80, 24, 0, 0], // of no terminal
      ['exec'],
      ['exec', 'id', 'more'],
    ] as const) {
      request(peerId, name, ...rest);
      t.ok(await client.take(MSG.CHANNEL_FAILURE), `malformed ${name}`);
    }
    request(peerId, 'env', 'LANG', 'C');
    t.ok(await client.take(MSG.CHANNEL_SUCCESS), 'twin: a variable is kept for whoever serves the session');
    client.send(message(MSG.CHANNEL_CLOSE, peerId));
    await client.take(MSG.CHANNEL_CLOSE);
  });

  for (const [name, onTerminal, lineEnd] of [
    ['shell', false, '\n'],
    ['exec', false, '\n'],
    ['shell', true, '\r\n'],
  ] as const)
    await t.test(
      `${name} ${onTerminal ? 'on a terminal ' : ''}gets the text on stderr, exit status 1, EOF, CLOSE`,
      async (t) => {
        const peerId = await open();
        if (onTerminal) {
          request(peerId, 'pty-req', ...terminal);
          await client.take(MSG.CHANNEL_SUCCESS);
        }
        request(peerId, name, 'id');
        await client.take(MSG.CHANNEL_SUCCESS);
        const text = new WireReader(await client.take(MSG.CHANNEL_EXTENDED_DATA), 9).text();
        t.equal(text, `This server only carries tunnels: use ssh -N with -L, -R, -D or -J.${lineEnd}`);
        const status = new WireReader(await client.take(MSG.CHANNEL_REQUEST), 5);
        t.same([status.text(), status.boolean(), status.uint32()], ['exit-status', false, 1]);
        await client.take(MSG.CHANNEL_EOF);
        await client.take(MSG.CHANNEL_CLOSE);
        request(peerId, name, 'again');
        client.send(message(MSG.CHANNEL_CLOSE, peerId));
        await client.roundTrip();
        t.equal(server.endpoint.load().channels, 0);
      },
    );

  await t.test('a window of 10 bytes gets 10 bytes of the text, and the rest when it grows', async (t) => {
    const peerId = await open(10);
    request(peerId, 'shell');
    await client.take(MSG.CHANNEL_SUCCESS);
    const stderr = async (): Promise<string> => new WireReader(await client.take(MSG.CHANNEL_EXTENDED_DATA), 9).text();
    t.equal(await stderr(), 'This serve');
    await client.roundTrip();
    t.same(untaken(), [], 'the end stands behind all of the text');
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, peerId, 1000));
    t.match(await stderr(), /^r only carries tunnels: .*\n$/);
    await client.take(MSG.CHANNEL_REQUEST);
    await client.take(MSG.CHANNEL_EOF);
    await client.take(MSG.CHANNEL_CLOSE);
    client.send(message(MSG.CHANNEL_CLOSE, peerId));
  });

  await t.test('a window of 0 gets none, and its peer may leave', async (t) => {
    const peerId = await open(0);
    request(peerId, 'shell');
    await client.take(MSG.CHANNEL_SUCCESS);
    await client.roundTrip();
    t.same(untaken(), []);
    client.send(message(MSG.CHANNEL_CLOSE, peerId));
    await client.take(MSG.CHANNEL_CLOSE);
    await client.roundTrip();
    t.same(untaken(), []);
    t.equal(server.endpoint.load().channels, 0);
  });

  await t.test('no-more-sessions@openssh.com is kept to', async (t) => {
    client.send(message(MSG.GLOBAL_REQUEST, 'no-more-sessions@openssh.com', true));
    await client.take(MSG.REQUEST_SUCCESS);
    client.send(message(MSG.CHANNEL_OPEN, 'session', 6, 1000, 32_768));
    t.match(await openRefusal(client, 6), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  });
});
