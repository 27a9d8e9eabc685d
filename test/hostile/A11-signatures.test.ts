/** A11: tricks with signatures (RFC 4252 §7): a key that is offered and another that signs (CVE-2024-45337), a signature of another
 *  session, algorithm and key that do not belong together, SHA-1, and what is cut short. Nobody gets in by any of them, and who
 *  gets in has the rights of the key that signed. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { concatFields, MSG, message } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import type { RawClient } from '../support/raw_client.js';
import { ecdsa, ed25519, rsa, type TestKey } from '../worker/auth/keys.js';

interface Request {
  readonly user?: string;
  /** As the request names it. */
  readonly algorithm: string;
  readonly blob: Buffer;
  readonly signer: TestKey;
  /** By which `signer` signs, and what the signature says of itself. Default: `algorithm`. */
  readonly signedBy?: string;
  readonly format?: string;
  readonly sessionId?: Buffer;
  /** The user that the signed bytes speak of. */
  readonly signedUser?: string;
  readonly spoil?: (signature: Buffer) => Buffer;
}

function fieldsOf(user: string, { algorithm, blob }: Request): [string, string, string, boolean, string, Buffer] {
  return [user, 'ssh-connection', 'publickey', true, algorithm, blob];
}

function signed(client: RawClient, request: Request): Buffer {
  const { user = 'alice', signedUser = user, algorithm, signer, spoil = (signature) => signature } = request;
  const { signedBy = algorithm, format = signedBy, sessionId = client.sessionId } = request;
  const what = concatFields([sessionId, { raw: message(MSG.USERAUTH_REQUEST, ...fieldsOf(signedUser, request)) }]);
  return message(MSG.USERAUTH_REQUEST, ...fieldsOf(user, request), spoil(signer.sign(what, signedBy, format)));
}

function offer({ type, blob }: TestKey): Buffer {
  return message(MSG.USERAUTH_REQUEST, 'alice', 'ssh-connection', 'publickey', false, type, blob);
}

const [mine, myRsa, myEcdsa, foreign] = [ed25519(), rsa(), ecdsa(256), ed25519()] as const;
const authorizedKeys = [mine, myRsa, myEcdsa].map(({ type, blob }) => `${type} ${blob.toString('base64')}`);
const ED = 'ssh-ed25519';

/** As `signed` takes them, all for a user who has three keys. */
const TRICKS: ReadonlyArray<readonly [name: string, request: Request]> = [
  ['a key that is not his', { algorithm: ED, blob: foreign.blob, signer: foreign }],
  ['his key, and a signature by another one (CVE-2024-45337)', { algorithm: ED, blob: mine.blob, signer: foreign }],
  ['another key, and a signature by his', { algorithm: ED, blob: foreign.blob, signer: mine }],
  ['a session of zeros', { algorithm: ED, blob: mine.blob, signer: mine, sessionId: Buffer.alloc(32) }],
  ['no session', { algorithm: ED, blob: mine.blob, signer: mine, sessionId: Buffer.alloc(0) }],
  ['a signature that speaks of another user', { algorithm: ED, blob: mine.blob, signer: mine, signedUser: 'bob' }],
  ["another user's name for his key", { user: 'bob', algorithm: ED, blob: mine.blob, signer: mine }],
  ['SHA-1 by its name', { algorithm: 'ssh-rsa', blob: myRsa.blob, signer: myRsa }],
  ['SHA-1 within rsa-sha2-256', { algorithm: 'rsa-sha2-256', blob: myRsa.blob, signer: myRsa, signedBy: 'ssh-rsa' }],
  [
    'SHA-1 that says rsa-sha2-256 of itself',
    { algorithm: 'rsa-sha2-256', blob: myRsa.blob, signer: myRsa, signedBy: 'ssh-rsa', format: 'rsa-sha2-256' },
  ],
  [
    'another hash than the request says',
    { algorithm: 'rsa-sha2-256', blob: myRsa.blob, signer: myRsa, signedBy: 'rsa-sha2-512' },
  ],
  ['an algorithm of another key type', { algorithm: 'rsa-sha2-512', blob: mine.blob, signer: mine, format: ED }],
  ['a key of another type', { algorithm: ED, blob: myRsa.blob, signer: mine }],
  ['an algorithm that nobody has', { algorithm: 'ssh-dss', blob: mine.blob, signer: mine }],
  ['a certificate that is none', { algorithm: 'ssh-ed25519-cert-v01@openssh.com', blob: mine.blob, signer: mine }],
  ['an empty signature', { algorithm: ED, blob: mine.blob, signer: mine, spoil: () => Buffer.alloc(0) }],
  ['a format and no signature', { algorithm: ED, blob: mine.blob, signer: mine, spoil: () => concatFields([ED, '']) }],
  ['a signature cut short', { algorithm: ED, blob: mine.blob, signer: mine, spoil: (it) => it.subarray(0, -1) }],
  [
    'a signature and a byte more',
    { algorithm: ED, blob: mine.blob, signer: mine, spoil: (it) => Buffer.concat([it, Buffer.alloc(1)]) },
  ],
  [
    'the signature alone, without its format',
    { algorithm: ED, blob: mine.blob, signer: mine, spoil: (it) => it.subarray(-64) },
  ],
  [
    'r and s of zero',
    { algorithm: myEcdsa.type, blob: myEcdsa.blob, signer: myEcdsa, spoil: () => ecdsaOf(Buffer.of(0), Buffer.of(0)) },
  ],
  [
    'r and s of nothing',
    { algorithm: myEcdsa.type, blob: myEcdsa.blob, signer: myEcdsa, spoil: () => ecdsaOf(Buffer.of(), Buffer.of()) },
  ],
  ['an RSA signature of nothing', { algorithm: 'rsa-sha2-512', blob: myRsa.blob, signer: myRsa, spoil: rsaOf(0, 256) }],
  ['an RSA signature of 1', { algorithm: 'rsa-sha2-512', blob: myRsa.blob, signer: myRsa, spoil: rsaOf(1, 1) }],
];

function ecdsaOf(r: Buffer, s: Buffer): Buffer {
  return concatFields(['ecdsa-sha2-nistp256', concatFields([r, s])]);
}
function rsaOf(value: number, bytes: number): () => Buffer {
  const number = Buffer.alloc(bytes);
  number.writeUInt8(value, bytes - 1);
  return () => concatFields(['rsa-sha2-512', number]);
}

const options = { users: { alice: { authorizedKeys } } };

hostile(t, 'A11', 'tricks with signatures', options, async (t, { server, stranger }) => {
  const from = server.events.mark();
  const asked = async (): Promise<RawClient> => {
    const client = stranger();
    await client.ready;
    client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await client.take(MSG.SERVICE_ACCEPT);
    return client;
  };
  for (const [name, request] of TRICKS) {
    const client = await asked();
    client.send(signed(client, request));
    t.ok(await client.take(MSG.USERAUTH_FAILURE), name);
    if (request.user === undefined) {
      client.send(offer(mine));
      await client.take(MSG.USERAUTH_PK_OK);
      client.send(signed(client, request));
      t.ok(await client.take(MSG.USERAUTH_FAILURE), `${name}, behind a key that is known`);
    }
    client.socket.destroy();
  }

  await t.test('a signature that let somebody in lets nobody in on another connection', async (t) => {
    const first = await asked();
    const request = signed(first, { algorithm: ED, blob: mine.blob, signer: mine });
    first.send(request);
    await first.take(MSG.USERAUTH_SUCCESS);
    const second = await asked();
    second.send(request);
    t.ok(await second.take(MSG.USERAUTH_FAILURE));
    first.send(request);
    await first.roundTrip();
    t.notOk(first.untaken.includes(MSG.USERAUTH_SUCCESS), 'nor once more on its own');
  });
  await server.events.wait('auth.succeeded', {}, from);
  t.equal(server.events.list('auth.succeeded', { user: 'alice' }, from).length, 1, 'nobody else got in');

  await t.test(
    'CVE-2024-45337: whoever offers one key and signs with another comes in as the one that signed',
    async (t) => {
      const mark = server.events.mark();
      const client = await asked();
      client.send(offer(mine));
      await client.take(MSG.USERAUTH_PK_OK);
      client.send(signed(client, { algorithm: 'rsa-sha2-256', blob: myRsa.blob, signer: myRsa }));
      await client.take(MSG.USERAUTH_SUCCESS);
      const { fingerprint } = await server.events.wait('auth.succeeded', { user: 'alice' }, mark);
      t.equal(fingerprint, fingerprintOf(myRsa));
    },
  );
});

/** As ssh-keygen prints it. */
function fingerprintOf({ blob }: TestKey): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
