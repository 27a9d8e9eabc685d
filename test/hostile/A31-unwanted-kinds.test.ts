/** A31: everything that a tunnel server is not: shells, commands, SFTP, variables, terminals, X11, agents, tun devices, and
 *  channels that only a server may open. Refused, and the connection goes on.
 *  How a session ends, byte by byte, is shown in one process below; OpenSSH's own programs meet it in
 *  test/flow/sessions.test.ts. */
import t from 'tap';
import { MSG, message, OPEN_FAILURE, WireReader } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { run } from '../support/process.js';
import { dataMessage, openDirectChannel, openRefusal, type RawClient } from '../support/raw_client.js';
import { asked } from '../support/requests.js';
import { HOST, master, viaMaster } from '../support/ssh.js';
import { connect, freePort } from '../support/targets.js';

const UNKNOWN = [
  'x11',
  'auth-agent@openssh.com',
  'agent-connect',
  'tun@openssh.com',
  'forwarded-tcpip',
  'forwarded-streamlocal@openssh.com',
  'direct-udp@openssh.com',
  'session\0',
  'Session',
  '',
  '__proto__',
  'x'.repeat(30_000),
];
const REQUESTS = ['subsystem', 'x11-req', 'auth-agent-req@openssh.com', 'signal', 'exit-status', '', '__proto__'];
const TERMINAL = ['xterm', 80, 24, 0, 0, ''] as const;
const MALFORMED = [
  ['env', 'LANG'],
  ['env', 'LANG', 'C', 'more'],
  ['pty-req'],
  ['pty-req', ...TERMINAL.slice(0, -1)],
  ['pty-req', ...TERMINAL, 'more'],
  ['window-change', 80, 24, 0, 0], // of no terminal
  ['exec'],
  ['exec', 'id', 'more'],
] as const;

async function openSession(client: RawClient, windowBytes = 1000): Promise<number> {
  client.send(message(MSG.CHANNEL_OPEN, 'session', 5, windowBytes, 32_768));
  return (await client.take(MSG.CHANNEL_OPEN_CONFIRMATION, (p) => p.readUInt32BE(1) === 5)).readUInt32BE(5);
}

function request(client: RawClient, peerId: number, name: string, ...rest: (string | number)[]): void {
  client.send(message(MSG.CHANNEL_REQUEST, peerId, name, true, ...rest));
}

hostile(t, 'A31', 'what is no tunnel', { needs: ['sftp'] }, async (t, { server, echoPort, login }) => {
  const alice = await login();
  const tunnel = await openDirectChannel(alice, echoPort, { id: 900 });
  for (const [id, type] of UNKNOWN.entries()) {
    alice.send(message(MSG.CHANNEL_OPEN, type, id, 1000, 32_768, 'localhost', 1, 'localhost', 1));
    t.match(await openRefusal(alice, id), { reason: OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE, text: 'unknown channel type' });
  }
  await server.events.waitAll(UNKNOWN.length, 'channel.refused', { user: 'alice', reason: 'UNKNOWN_TYPE' });

  for (const name of ['tun-forward@openssh.com', 'auth-agent', 'hostkeys-prove-00@openssh.com', 'exec', '__proto__'])
    t.equal(await asked(alice, message(MSG.GLOBAL_REQUEST, name, true)), null, `global request ${name}`);

  const session = await openSession(alice);
  for (const name of REQUESTS) {
    request(alice, session, name, 'sftp');
    t.ok(await alice.take(MSG.CHANNEL_FAILURE), name);
  }
  for (const [name, ...rest] of MALFORMED) {
    request(alice, session, name, ...rest);
    t.ok(await alice.take(MSG.CHANNEL_FAILURE), `malformed ${name}`);
  }
  for (const name of ['__proto__', 'constructor', 'LD_PRELOAD']) {
    request(alice, session, 'env', name, 'x');
    t.ok(await alice.take(MSG.CHANNEL_SUCCESS), `${name} is kept for whoever serves the session, and nobody does`);
  }
  request(alice, session, 'exec', 'id');
  await alice.take(MSG.CHANNEL_SUCCESS);
  const notice = new WireReader(await alice.take(MSG.CHANNEL_EXTENDED_DATA), 9).text();
  t.match(notice, /only carries tunnels/);
  await alice.take(MSG.CHANNEL_CLOSE);
  alice.send(message(MSG.CHANNEL_CLOSE, session));

  alice.send(dataMessage(tunnel, 'still here'));
  t.match((await alice.take(MSG.CHANNEL_DATA)).toString(), /still here$/, 'the tunnel beside goes on');

  await t.test("OpenSSH's own way to ask", async (t) => {
    const near = await freePort();
    const open = await master(t, server, server.alice, ['-L', `${near}:127.0.0.1:${echoPort}`]);
    const live = await connect(t, near);
    for (const [program, args] of [
      ['ssh', ['-tt', HOST]],
      ['ssh', ['-A', '-X', '-o', 'SetEnv=A=b', HOST, 'id']],
      ['ssh', ['-s', HOST, 'netconf']],
      ['sftp', ['-b', '-', HOST]],
    ] as const) {
      const outcome = await run(t, program, [...viaMaster(open), ...args], { env: { DISPLAY: '127.0.0.1:99' } });
      t.not(outcome.code, 0, args.join(' '));
    }
    live.end('still here');
    t.equal(Buffer.concat(await live.toArray()).toString(), 'still here');
  });
});

t.test('RFC 4254 §6: the end of a session, in one process', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const untaken = (): number[] => client.untaken.filter((type) => type !== MSG.EXT_INFO);

  for (const [name, onTerminal, lineEnd] of [
    ['shell', false, '\n'],
    ['exec', false, '\n'],
    ['shell', true, '\r\n'],
  ] as const)
    await t.test(
      `${name} ${onTerminal ? 'on a terminal ' : ''}gets the text on stderr, exit status 1, EOF, CLOSE`,
      async (t) => {
        const peerId = await openSession(client);
        if (onTerminal) {
          request(client, peerId, 'pty-req', ...TERMINAL);
          await client.take(MSG.CHANNEL_SUCCESS);
        }
        request(client, peerId, name, 'id');
        await client.take(MSG.CHANNEL_SUCCESS);
        const text = new WireReader(await client.take(MSG.CHANNEL_EXTENDED_DATA), 9).text();
        t.equal(text, `This server only carries tunnels: use ssh -N with -L, -R, -D or -J.${lineEnd}`);
        const status = new WireReader(await client.take(MSG.CHANNEL_REQUEST), 5);
        t.same([status.text(), status.boolean(), status.uint32()], ['exit-status', false, 1]);
        await client.take(MSG.CHANNEL_EOF);
        await client.take(MSG.CHANNEL_CLOSE);
        request(client, peerId, name, 'again');
        client.send(message(MSG.CHANNEL_CLOSE, peerId));
        await client.roundTrip();
        t.equal(server.endpoint.load().channels, 0);
      },
    );

  await t.test('a window of 10 bytes gets 10 bytes of the text, and the rest when it grows', async (t) => {
    const peerId = await openSession(client, 10);
    request(client, peerId, 'shell');
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
    const peerId = await openSession(client, 0);
    request(client, peerId, 'shell');
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
