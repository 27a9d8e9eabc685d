/** Proofs of host keys (OpenSSH PROTOCOL §2.5) over a whole connection: told behind the login and not before, signed over this session,
 *  also while new keys are agreed, and not without end. */
import t from 'tap';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { concatFields, DISCONNECT, MSG, message, WireReader } from '../../src/shared/protocol.js';
import { parsePublicKey } from '../../src/worker/auth/public_key.js';
import { checkSignature } from '../../src/worker/auth/signature.js';
import { PASSWORD, startEndpoint } from '../support/endpoint_under_test.js';
import type { RawClient } from '../support/raw_client.js';

const PROVE = 'hostkeys-prove-00@openssh.com';
const HOST_KEYS = ['ed25519', 'ecdsa', 'ed25519'].map((type, index) => ({
  path: `/key/${index}`,
  pem: newKeyPair(type === 'ecdsa' ? 'ecdsa' : 'ed25519', 'test').privateKey,
}));

function prove(blobs: readonly Uint8Array[], wantReply = true): Buffer {
  return message(MSG.GLOBAL_REQUEST, PROVE, wantReply, ...blobs);
}

/** Of the next answer: are these keys proven by it? */
async function areProven(client: RawClient, blobs: readonly Buffer[]): Promise<boolean> {
  const answer = await client.takeFirst([MSG.REQUEST_SUCCESS, MSG.REQUEST_FAILURE]);
  const reader = new WireReader(answer, 1);
  if (answer[0] === MSG.REQUEST_FAILURE) return false;
  const sound = blobs.every((blob) => {
    const signature = reader.bytes();
    const key = parsePublicKey(blob);
    const signed = concatFields([PROVE, client.sessionId, blob]);
    return key.ok && checkSignature(key.key, new WireReader(signature).text(), signed, signature).ok;
  });
  return sound && reader.atEnd;
}

t.test('the host keys are told once, behind the login, and proven', async (t) => {
  const server = await startEndpoint(t, { hostKeys: HOST_KEYS });
  const client = await server.keyed(t);
  t.equal(client.hostKeys, null, 'not before the login');
  await client.login('alice', { password: PASSWORD });
  await client.roundTrip();
  const told = client.hostKeys ?? [];
  t.equal(told.length, 3);
  client.send(prove(told));
  t.ok(await areProven(client, told));
  client.send(prove(told.slice(1, 2), false));
  client.send(prove(told.slice(2)));
  t.ok(await areProven(client, told.slice(2)), 'who wants no reply gets none');
});

t.test('before the login nobody is answered', async (t) => {
  const server = await startEndpoint(t, { hostKeys: HOST_KEYS });
  const told = (await server.login(t)).hostKeys ?? [];
  const client = await server.keyed(t);
  client.send(prove(told));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  t.notOk(client.untaken.includes(MSG.REQUEST_SUCCESS));
  t.notOk(client.untaken.includes(MSG.REQUEST_FAILURE));
});

t.test('within a key exchange of the server the answer waits for the new keys', async (t) => {
  const server = await startEndpoint(t, { hostKeys: HOST_KEYS, config: { rekey: { bytes: '1MiB' } } });
  const client = await server.login(t);
  await client.roundTrip();
  const told = client.hostKeys ?? [];
  const ignored = message(MSG.IGNORE, Buffer.alloc(32_000));
  for (let sent = 0; sent < 34; sent++) client.sendNow(ignored);
  client.send(prove(told));
  t.ok(await areProven(client, told));
  await client.rekey();
  client.send(prove(told));
  t.ok(await areProven(client, told), 'over the same session');
  t.ok(client.rekeys >= 1);
});

t.test('hostile requests are refused, and the connection goes on', async (t) => {
  const server = await startEndpoint(t, { hostKeys: HOST_KEYS });
  const client = await server.login(t);
  await client.roundTrip();
  const told = client.hostKeys ?? [];
  const [first = Buffer.alloc(0)] = told;
  const raw = (bytes: Buffer): Buffer => Buffer.concat([prove([]), bytes]);
  const hostile = [
    prove([Buffer.from('no key at all')]),
    prove([...told, Buffer.from('no key at all')]),
    prove(Array.from({ length: 300 }, () => first)),
    prove([]),
    raw(Buffer.from([255, 255, 255, 255])),
    raw(Buffer.from([0, 0])),
    raw(concatFields([first]).subarray(0, -3)),
  ];
  for (const payload of hostile) {
    client.send(payload);
    t.notOk(await areProven(client, []));
  }
  client.send(prove(told));
  t.ok(await areProven(client, told), 'and an honest one is answered');
});

t.test('a flood of proofs: four are signed, and then it is like any other flood', async (t) => {
  const server = await startEndpoint(t, { hostKeys: HOST_KEYS });
  const client = await server.login(t);
  await client.roundTrip();
  const told = client.hostKeys ?? [];
  for (let sent = 0; sent < 10; sent++) client.send(prove(told));
  const answers: boolean[] = [];
  for (let taken = 0; taken < 10; taken++) answers.push(await areProven(client, told));
  t.same(answers, [true, true, true, true, false, false, false, false, false, false]);
  for (let sent = 0; sent < 20_000; sent++) client.send(prove(told, sent % 2 === 0));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many unknown requests' });
  const closed = await server.primary.wait('connection.closed');
  t.match(closed, { reason: 'PROTOCOL_ERROR', detail: 'too many unknown requests' });
  const other = await server.login(t);
  other.send(prove(told));
  t.ok(await areProven(other, told), 'twin: another connection');
});
