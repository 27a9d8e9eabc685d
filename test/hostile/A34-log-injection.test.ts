/** A34: control characters, escape sequences, line ends, 30 KB and bytes that are no UTF-8, in every text of a peer's that the
 *  log may show. Each makes one line of JSON, in which what cannot be printed is escaped and no text has more than 255
 *  characters. A line that does not parse fails the row by itself (test/support/server.ts). */
import t from 'tap';
import type { EventName } from '../../src/shared/events.js';
import { MSG, message } from '../../src/shared/protocol.js';
import type { ServerEvent } from '../support/events.js';
import { hostile, type Scene } from '../support/hostile.js';
import { openRefusal, type RawClient } from '../support/raw_client.js';
import { replied } from '../support/requests.js';
import { cut } from '../support/targets.js';

type Text = string | Buffer;

const TEXTS: readonly { readonly name: string; readonly text: Text }[] = [
  { name: 'line ends', text: 'a\r\n{"level":"info","event":"auth.succeeded","user":"root"}\n' },
  { name: 'escape sequences', text: '\x1b[2J\x1b]0;owned\x07\x9b31m\b\b\b\x7f' },
  { name: 'NUL', text: 'alice\0' },
  { name: 'writing from right to left, and of no width', text: 'a\u202ecod.exe\u2066\u200b\u2028\u2029\ufeff' },
  { name: 'no UTF-8', text: Buffer.from('c328a0a1e28ca0f0288cbcff00eda080', 'hex') },
  { name: '30 KB', text: 'x'.repeat(30_000) },
  { name: '30 KB of what is escaped', text: '\x1b'.repeat(30_000) },
];

/** Alice is logged in for all that follows a login. */
type Stage = Scene & { readonly alice: RawClient };

/** Says the text where it belongs, and resolves when the server has answered. */
interface Way {
  readonly name: string;
  readonly event: EventName;
  say(stage: Stage, text: Text): Promise<unknown>;
}

async function tryLogin({ stranger }: Stage, user: Text, method: Text): Promise<void> {
  const client = stranger();
  await client.ready;
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  client.send(message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', method, false, 'wrong'));
  await client.take(MSG.USERAUTH_FAILURE);
  client.socket.destroy(); // else it would be one of those that have not logged in
}

async function refusedOpen({ alice }: Stage, type: Text, ...rest: (Text | number)[]): Promise<void> {
  alice.send(message(MSG.CHANNEL_OPEN, type, 1, 1000, 32_768, ...rest));
  await openRefusal(alice, 1);
}

async function refusedBind({ alice }: Stage, name: string, ...rest: (Text | number)[]): Promise<void> {
  alice.send(message(MSG.GLOBAL_REQUEST, name, true, ...rest));
  await replied(alice);
}

const WAYS: readonly Way[] = [
  { name: 'user', event: 'auth.failed', say: (stage, text) => tryLogin(stage, text, 'password') },
  { name: 'method', event: 'auth.failed', say: (stage, text) => tryLogin(stage, 'alice', text) },
  { name: 'channel type', event: 'channel.refused', say: (stage, text) => refusedOpen(stage, text) },
  {
    name: 'host',
    event: 'channel.refused',
    say: (stage, text) => refusedOpen(stage, 'direct-tcpip', text, 80, '', 1),
  },
  {
    name: 'path',
    event: 'channel.refused',
    say: (stage, text) => refusedOpen(stage, 'direct-streamlocal@openssh.com', text, '', 0),
  },
  {
    name: 'bind address',
    event: 'forward.refused',
    say: (stage, text) => refusedBind(stage, 'tcpip-forward', text, 0),
  },
  {
    name: 'bound path',
    event: 'forward.refused',
    say: (stage, text) => refusedBind(stage, 'streamlocal-forward@openssh.com', text),
  },
  {
    name: 'subsystem',
    event: 'channel.refused',
    async say({ alice }, text) {
      alice.send(message(MSG.CHANNEL_OPEN, 'session', 1, 1000, 32_768));
      const session = (await alice.take(MSG.CHANNEL_OPEN_CONFIRMATION)).readUInt32BE(5);
      alice.send(message(MSG.CHANNEL_REQUEST, session, 'subsystem', true, text));
      await alice.take(MSG.CHANNEL_FAILURE);
    },
  },
  {
    name: 'words of a farewell',
    event: 'connection.closed',
    async say({ login }, text) {
      const leaving = await login();
      leaving.send(message(MSG.DISCONNECT, 11, text, text));
      await leaving.ended;
    },
  },
  {
    name: 'ident',
    event: 'connection.closed',
    async say({ tcp }, text) {
      const peer = await tcp();
      peer.write(Buffer.concat([Buffer.from('SSH-2.0-'), Buffer.from(text), Buffer.from('\r\n')]));
      await cut(peer);
    },
  },
];

/** What the log keeps of a peer's text. */
const SAFE = /^[^\p{Cc}\p{Cs}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]{0,255}$/u;

function unsafe(events: readonly ServerEvent[]): unknown[] {
  return events.flatMap((event) => Object.values(event).filter((v) => typeof v === 'string' && !SAFE.test(v)));
}

hostile(t, 'A34', 'log injection', { workers: [1] }, async (t, scene) => {
  const { events } = scene.server;
  const stage: Stage = { ...scene, alice: await scene.login() };
  for (const { name, event, say } of WAYS)
    await t.test(name, async (t) => {
      for (const { name: kind, text } of TEXTS) {
        if (name === 'ident' && typeof text === 'string' && /^x+$/.test(text)) continue; // A03: an ident that is too long
        const from = events.mark();
        await say(stage, text);
        await events.wait(event, {}, from);
        t.equal(events.list(event, {}, from).length, 1, `${kind}: one line`);
      }
    });
  const names: readonly EventName[] = ['auth.failed', 'channel.refused', 'forward.refused', 'connection.closed'];
  t.same(unsafe(names.flatMap((name) => events.list(name))), []);
  t.equal(events.list('auth.succeeded', { user: 'root' }).length, 0, 'nothing was forged');
});
