/** A12: a key, a password, a user or a right that is taken away while its owner is connected. After the reload nobody new gets
 *  in by it, and of those who are there exactly that ends which stood on it: the connection where it was the login, the
 *  tunnel or the forward where it was a pattern. Each end is one line of the log. (What comes after `config.reloaded` in the
 *  log comes after it in each worker: both go the same way, in order.) Certificates: test/flow. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashSync } from '@node-rs/argon2';
import t from 'tap';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';
import {
  type Credential,
  confirmed,
  dataMessage,
  directOpen,
  type OpenChannel,
  openDirectChannel,
  openRefusal,
  type RawClient,
} from '../support/raw_client.js';
import { asked, bindSocketRequest, socketOpen } from '../support/requests.js';
import { type Login, makeLogin, type WrittenConfig } from '../support/server.js';
import { canBind, connect, cut, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

type User = Readonly<Record<string, unknown>>;

/** The config with other settings of this user's; null: without the user. */
function withUser({ users, ...rest }: WrittenConfig, name: string, change: User | null): WrittenConfig {
  const { [name]: user, ...others } = users;
  return { ...rest, users: { ...others, ...(change === null ? {} : { [name]: { ...user, ...change } }) } };
}

const CHEAP = { memoryCost: 1024, timeCost: 1, parallelism: 1 };
/** Hashes of one password: whether two are of the same nobody can see. */
const [HASH, OTHER_HASH] = [hashSync('secret', CHEAP), hashSync('secret', CHEAP)];

hostile(t, 'A12', 'what is taken away by a reload', {}, async (t, scene) => {
  const { server, login, stranger, mine } = scene;
  const spare = await makeLogin(t, server.dir, 'alice', 'spare');
  const whole: WrittenConfig = {
    ...server.config,
    users: {
      ...server.config.users,
      alice: { ...server.config.users.alice, authorizedKeys: [publicLine(server.alice), publicLine(spare)] },
      carol: { password: HASH },
      dave: { password: HASH },
    },
  };
  const refused = async (user: string, credential: Credential): Promise<void> => {
    const from = server.events.mark();
    await stranger().refusedLogin(user, credential);
    await server.events.wait('auth.failed', { user }, from);
  };
  const entered = async (user: string, credential: Credential): Promise<RawClient> => {
    const client = mine(stranger());
    await client.login(user, credential);
    return client;
  };
  t.same(new Set(listOf((await server.reload(whole)).changed)), new Set(['users.alice', 'users.carol', 'users.dave']));
  const [byKey, byKeyToo, bySpare] = [await login(), await login(), await entered('alice', spare)];
  const [carol, dave] = [await entered('carol', { password: 'secret' }), await entered('dave', { password: 'secret' })];

  // One of two keys, in the config.
  let from = server.events.mark();
  const withoutKey = withUser(whole, 'alice', { authorizedKeys: [publicLine(spare)] });
  await server.reload(withoutKey);
  for (const client of [byKey, byKeyToo]) t.match(await client.ended, { text: 'access was withdrawn' });
  await refused('alice', server.alice);
  await bySpare.roundTrip();

  // A password that becomes another one.
  await server.reload(withUser(withoutKey, 'carol', { password: OTHER_HASH }));
  t.match(await carol.ended, { text: 'access was withdrawn' });
  (await entered('carol', { password: 'secret' })).socket.destroy();
  await dave.roundTrip();

  // A user.
  await server.reload(withUser(withoutKey, 'dave', null));
  t.match(await dave.ended, { text: 'access was withdrawn' });
  await refused('dave', { password: 'secret' });
  const ends = server.events.list('connection.closed', { reason: 'RIGHTS_WITHDRAWN' }, from);
  t.same(ends.map(({ user }) => user).sort(), ['alice', 'alice', 'carol', 'dave'], 'one line each, and no other end');

  // A key that goes from its file.
  writeFileSync(join(server.dir, 'keys'), publicLine(spare));
  await server.reload(withUser(withoutKey, 'alice', { authorizedKeys: join(server.dir, 'keys') }));
  await bySpare.roundTrip();
  writeFileSync(join(server.dir, 'keys'), '# nobody\n');
  from = server.events.mark();
  await server.reload();
  t.match(await bySpare.ended, { text: 'access was withdrawn' });
  await refused('alice', spare);

  // Nothing that is anybody's.
  const bob = await entered('bob', server.bob);
  for (let count = 0; count < 5; count++)
    await server.reload({ ...server.config, limits: { connections: 1_000 + count }, noShell: `no ${count}` });
  await bob.roundTrip();
});

hostile(t, 'A12', 'patterns that become narrower', {}, async (t, { server, login, echoPort }) => {
  const client = await login();
  const [kept, lost] = [await freePort(), await freePort()];
  for (const port of [kept, lost]) {
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', port));
    await client.take(MSG.REQUEST_SUCCESS);
  }
  const direct = await openDirectChannel(client, echoPort, { id: 1 });
  const openInbound = async (port: number, id: number) => {
    const near = await connect(t, port);
    const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
    open.text();
    const peerId = open.uint32();
    client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, id, 100_000, 32_768));
    return { near, channel: { id, peerId, windowBytes: 100_000 } };
  };
  const [throughKept, throughLost] = [await openInbound(kept, 2), await openInbound(lost, 3)];
  await client.roundTrip();

  const from = server.events.mark();
  const narrower = { permitOpen: ['localhost:1'], permitListen: [`localhost:${kept}`] };
  await server.reload(withUser(server.config, 'alice', narrower));
  for (const id of [direct.id, 3]) await client.take(MSG.CHANNEL_CLOSE, (close) => close.readUInt32BE(1) === id);
  await cut(throughLost.near);
  await server.events.wait('forward.released', { destination: `localhost:${lost}`, reason: 'RIGHTS_WITHDRAWN' }, from);
  t.equal((await server.events.waitAll(2, 'channel.closed', { reason: 'RIGHTS_WITHDRAWN' }, from)).length, 2);
  t.ok(await canBind(lost), 'its port is free');

  client.send(directOpen(echoPort, { id: 4 }));
  t.match(await openRefusal(client, 4), { reason: 1, text: 'not permitted' });
  const answer = new Promise((resolve) => throughKept.near.once('data', resolve));
  client.send(dataMessage(throughKept.channel, 'still here'));
  t.equal(String(await within(answer, 'bytes')), 'still here', 'what is still permitted goes on');
  t.same(server.events.list('connection.closed', { user: 'alice' }, from), []);
});

const base = tempDir(t);
const [LINKS, REAL] = [join(base, 'links'), join(base, 'real')];
for (const dir of [LINKS, REAL]) mkdirSync(dir);
symlinkSync(REAL, join(LINKS, 'folder'));
symlinkSync(join(REAL, 'far.sock'), join(LINKS, 'far.sock'));
const [textOpen, textListen] = [`${LINKS}/*`, `${LINKS}/folder/*`];
const throughLinks = { alice: { permitOpen: [textOpen, `${REAL}/*`], permitListen: [textListen, `${REAL}/*`] } };

hostile(t, 'A12', 'a path behind a link', { users: throughLinks }, async (t, { server, login }) => {
  for (const path of [join(REAL, 'far.sock'), join(LINKS, 'near.sock')]) await startEcho(t, path);
  const client = await login();
  const far = await openSocket(client, join(LINKS, 'far.sock'), 1);
  const near = await openSocket(client, join(LINKS, 'near.sock'), 2);
  const bound = join(LINKS, 'folder', 'bound.sock');
  t.equal(await asked(client, bindSocketRequest(bound)), 0);
  const visitor = await connect(t, bound);
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  open.text();
  client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, open.uint32(), 3, 100_000, 32_768));
  await client.roundTrip();

  // What was asked for is permitted still; where it led is not.
  const from = server.events.mark();
  await server.reload(withUser(server.config, 'alice', { permitOpen: [textOpen], permitListen: [textListen] }));
  for (const id of [far.id, 3]) await client.take(MSG.CHANNEL_CLOSE, (close) => close.readUInt32BE(1) === id);
  await cut(visitor);
  await server.events.wait('forward.released', { destination: bound, reason: 'RIGHTS_WITHDRAWN' }, from);
  t.equal((await server.events.waitAll(2, 'channel.closed', { reason: 'RIGHTS_WITHDRAWN' }, from)).length, 2);
  t.notOk(existsSync(bound), 'its socket is gone');

  client.send(dataMessage(near, 'still here'));
  const echoed = await client.take(MSG.CHANNEL_DATA, (data) => data.readUInt32BE(1) === near.id);
  t.match(String(echoed), /still here$/, 'twin: no link leads to it');
});

async function openSocket(client: RawClient, path: string, id: number): Promise<OpenChannel> {
  client.send(socketOpen(path, id));
  return await confirmed(client, id);
}

function publicLine({ keyFile }: Login): string {
  return readFileSync(`${keyFile}.pub`, 'utf8').trim();
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
