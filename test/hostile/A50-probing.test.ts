/** A50: what can be learnt of the program by knocking. The ident is one for all, without a version; the offer of a key exchange is
 *  one for all; the words of a disconnect are few and plain, and tell of no version, file, module or system. */
import t, { type Test } from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { hostile, type Scene } from '../support/hostile.js';
import { directOpen, passwordRequest, type RawClient } from '../support/raw_client.js';

const IDENT = 'SSH-2.0-Sallyport\r\n';
const NO_IDENT = 'Invalid SSH identification string.\r\n';

/** What the server says to `bytes`, as soon as it is enough. */
async function saidTo({ tcp }: Scene, bytes: string, isEnough: (said: Buffer) => boolean): Promise<Buffer> {
  const peer = await tcp();
  const { promise, resolve } = deferred<Buffer>();
  let said = Buffer.alloc(0);
  peer.on('data', (chunk: Buffer) => {
    said = Buffer.concat([said, chunk]);
    if (isEnough(said)) resolve(said);
  });
  if (bytes !== '') peer.write(bytes);
  const all = await within(promise, `answer to ${JSON.stringify(bytes)}`);
  peer.destroy();
  return all;
}

const atLeast =
  (length: number) =>
  (said: Buffer): boolean =>
    said.length >= length;

/** RFC 4253 §6: the packet behind the ident is here. */
function hasPacket(said: Buffer): boolean {
  const at = IDENT.length;
  return said.length >= at + 5 && said.length >= at + 4 + said.readUInt32BE(at);
}

/** RFC 4253 §7.1: the names of a KEXINIT, without its cookie and the packet's padding. */
function offerIn(said: Buffer): string {
  const at = IDENT.length;
  const end = at + 4 + said.readUInt32BE(at) - said.readUInt8(at + 4);
  return said.subarray(at + 5 + 17, end).toString('latin1');
}

async function keyed({ stranger }: Scene): Promise<RawClient> {
  const client = stranger();
  await client.ready;
  return client;
}

async function atAuth(scene: Scene): Promise<RawClient> {
  const client = await keyed(scene);
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  return client;
}

/** Each ends its connection. */
const PROVOCATIONS: readonly (readonly [string, (scene: Scene) => Promise<RawClient>, readonly Buffer[]])[] = [
  ['a channel before login', keyed, [directOpen(80)]],
  ['an unknown message before login', keyed, [message(200)]],
  ['another service', keyed, [message(MSG.SERVICE_REQUEST, 'ssh-connection')]],
  ['another service behind the login', atAuth, [message(MSG.USERAUTH_REQUEST, 'alice', 'shell', 'none')]],
  ['half a request', atAuth, [Buffer.of(MSG.USERAUTH_REQUEST, 0, 0)]],
  ['another user', atAuth, [passwordRequest('alice', 'x'), passwordRequest('bob', 'x')]],
  ['too many passwords', atAuth, Array.from({ length: 6 }, (_, index) => passwordRequest('alice', `${index}`))],
  ['half an open', (scene) => scene.login(), [message(MSG.CHANNEL_OPEN, 'direct-tcpip')]],
  ['half a global request', (scene) => scene.login(), [message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true)]],
  ['data of no channel', (scene) => scene.login(), [message(MSG.CHANNEL_DATA, 99, 'x')]],
  ['unknown messages', (scene) => scene.login(), Array.from({ length: 40 }, () => message(200))],
  ['a key exchange message', (scene) => scene.login(), [message(30)]],
];

async function provoked(scene: Scene, begin: (scene: Scene) => Promise<RawClient>, payloads: readonly Buffer[]) {
  const client = await begin(scene);
  for (const payload of payloads) client.send(payload);
  return await client.ended;
}

async function looksPlain(t: Test, name: string, text: string): Promise<void> {
  t.match(text, /^[A-Za-z][A-Za-z -]{2,50}$/, name);
  t.notMatch(text, /sallyport|node|ssh2|openssl|linux|undefined|null|object|error:/i, name);
}

hostile(t, 'A50', 'probing', { workers: [2] }, async (t, scene) => {
  await t.test('one ident, whatever is said', async (t) => {
    for (const bytes of ['', 'SSH-2.0-OpenSSH_9.9\r\n', 'SSH-1.99-x\n'])
      t.equal((await saidTo(scene, bytes, atLeast(IDENT.length))).subarray(0, IDENT.length).toString(), IDENT);
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'SSH-1.5-x\r\n', '\x16\x03\x01', `SSH-2.0-${'x'.repeat(300)}`])
      t.equal((await saidTo(scene, bytes, atLeast((IDENT + NO_IDENT).length))).toString(), IDENT + NO_IDENT, 'one no');
  });

  await t.test('one offer, but for its cookie', async (t) => {
    const offers = new Set<string>();
    for (const ident of ['SSH-2.0-OpenSSH_9.9', 'SSH-2.0-libssh_0.11', 'SSH-2.0-PuTTY_Release_0.83'])
      offers.add(offerIn(await saidTo(scene, `${ident}\r\n`, hasPacket)));
    t.equal(offers.size, 1);
    t.match([...offers][0], /curve25519-sha256/);
  });

  await t.test('few and plain words', async (t) => {
    for (const [name, begin, payloads] of PROVOCATIONS) {
      const first = await provoked(scene, begin, payloads);
      t.not(first.reason, null, name);
      await looksPlain(t, name, first.text);
      t.same(await provoked(scene, begin, payloads), first, `${name}: the same again`);
    }
  });

  await t.test('a packet that cannot be opened is answered without words', async (t) => {
    const client = await scene.login();
    client.socket.write(Buffer.alloc(1024, 0xa5));
    const { reason, text } = await client.ended;
    t.ok(reason === null || reason === DISCONNECT.PROTOCOL_ERROR || reason === DISCONNECT.MAC_ERROR, String(reason));
    t.notMatch(text, /\S{60}|ssh2|node/i);
  });
});
