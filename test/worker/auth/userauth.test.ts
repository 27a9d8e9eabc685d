import { EventEmitter, once } from 'node:events';
import t from 'tap';
import type { AuthChain, AuthMethod, Identity } from '../../../src/shared/identity.js';
import { concatFields, DISCONNECT, MSG, message } from '../../../src/shared/protocol.js';
import { grantOf, type KeyNarrowing, withGrant } from '../../../src/worker/auth/grant.js';
import { withAnswer } from '../../../src/worker/auth/hooked.js';
import type { AuthHooks } from '../../../src/worker/auth/hooks.js';
import { fingerprint } from '../../../src/worker/auth/public_key.js';
import { UserAuth } from '../../../src/worker/auth/userauth.js';
import {
  ALL,
  Client,
  DENIED,
  interactive,
  KEY,
  none,
  password,
  query,
  request,
  response,
  SERVICE,
  SESSION_ID,
  signed,
} from './client.js';
import { ecdsa, ed25519, rsa, type TestKey } from './keys.js';

t.test('RFC 4252 §5: the service first, then the methods, then the login', async (t) => {
  const client = new Client();
  t.equal(await client.ask(SERVICE), 'accept ssh-userauth');
  t.equal(await client.ask(none()), DENIED);
  t.equal(await client.ask(password('secret')), 'success');
  t.strictSame(client.login, { identity: { user: 'bob' }, method: 'password', fingerprint: undefined });
  t.strictSame(client.failures, [], 'a first none is no try');
  client.auth.onMessage(password('secret'));
  client.auth.onMessage(Buffer.from([MSG.CHANNEL_OPEN]));
  t.strictSame(client.sent, [], 'after success it is silent (§5.1)');
});

t.test('what ends the connection', async (t) => {
  const { PROTOCOL_ERROR, SERVICE_NOT_AVAILABLE } = DISCONNECT;
  const many = Array.from({ length: 101 }, () => SERVICE);
  const otherService = message(MSG.USERAUTH_REQUEST, 'bob', 'ssh-other', 'none');
  const rows: ReadonlyArray<readonly [string, readonly Buffer[], number]> = [
    ['another service', [message(MSG.SERVICE_REQUEST, 'ssh-connection')], SERVICE_NOT_AVAILABLE],
    ['a service name cut short', [SERVICE.subarray(0, -1)], PROTOCOL_ERROR],
    ['bytes behind the service name', [Buffer.concat([SERVICE, SERVICE])], PROTOCOL_ERROR],
    ['a request before the service', [password('secret')], PROTOCOL_ERROR],
    ['an answer before the service', [response('secret')], PROTOCOL_ERROR],
    ['an answer without a prompt', [SERVICE, response('secret')], PROTOCOL_ERROR],
    ['a request for another service', [SERVICE, otherService], SERVICE_NOT_AVAILABLE],
    ['another user', [SERVICE, none('bob'), password('secret', 'alice')], PROTOCOL_ERROR],
    ['a request cut short', [SERVICE, password('secret').subarray(0, -1)], PROTOCOL_ERROR],
    ['bytes behind a request', [SERVICE, Buffer.concat([password('secret'), Buffer.alloc(1)])], PROTOCOL_ERROR],
    ['bytes behind none', [SERVICE, Buffer.concat([none(), Buffer.alloc(1)])], PROTOCOL_ERROR],
    ['bytes behind a signature', [SERVICE, Buffer.concat([signed({ key: KEY }), Buffer.alloc(1)])], PROTOCOL_ERROR],
    ['a query with a signature', [SERVICE, Buffer.concat([query({ key: KEY }), Buffer.alloc(8)])], PROTOCOL_ERROR],
    ['no bytes at all', [Buffer.alloc(0)], PROTOCOL_ERROR],
    ['over 100 messages', many, PROTOCOL_ERROR],
    ['over 64 KiB', [SERVICE, password('x'.repeat(40_000)), password('x'.repeat(30_000))], PROTOCOL_ERROR],
    // What only a server sends, what no RFC gives a meaning, and the connection protocol.
    ...[0, 6, 51, 52, 53, 60, 62, 79, 80, 90, 94, 98, 192, 255].map(
      (type) => [`message ${type}`, [SERVICE, Buffer.from([type, 0, 0, 0, 0])], PROTOCOL_ERROR] as const,
    ),
  ];
  for (const [name, payloads, reason] of rows) {
    const client = new Client();
    let last = '';
    for (const payload of payloads) last = (await client.ask(payload)).split(' | ').at(-1) ?? '';
    t.match(last, `disconnect ${reason} `, name);
    t.equal(client.login, null, name);
    t.strictSame(client.ends, ['PROTOCOL_ERROR']);
    client.auth.onMessage(SERVICE);
    t.strictSame(client.sent, [], 'and nothing after it');
  }
});

t.test('two faults at once end the connection once', async (t) => {
  const client = await Client.ready();
  await client.ask(interactive());
  client.auth.onMessage(response('secret').subarray(0, -1));
  client.auth.onMessage(Buffer.from([MSG.CHANNEL_OPEN]));
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  t.strictSame(client.ends, ['PROTOCOL_ERROR']);
  t.equal(client.sent.length, 1);
});

t.test('passwords: the right one and its twins', async (t) => {
  const rows: ReadonlyArray<readonly [string, Buffer, string, number]> = [
    ['right', password('secret'), 'success', 1],
    ['wrong', password('Secret'), DENIED, 1],
    ['empty, never shown to the hook', password(''), DENIED, 0],
    ['1024 bytes', password('x'.repeat(1024)), DENIED, 1],
    ['1025 bytes, never shown', password('x'.repeat(1025)), DENIED, 0],
    ['not UTF-8, never shown', password(Buffer.from([0xff, 0xfe])), DENIED, 0],
    ['a change request (RFC 4252 §8)', request('bob', 'password', true, 'secret', 'new'), DENIED, 0],
    ['an unknown user', password('secret', 'nobody'), DENIED, 1],
  ];
  for (const [name, payload, answer, calls] of rows) {
    const client = await Client.ready();
    t.equal(await client.ask(payload), answer, name);
    t.equal(client.passwords.length, calls, name);
    t.equal(client.failures.length, answer === 'success' ? 0 : 1, name);
  }
});

t.test('names that nobody can have are refused like unknown ones, and no hook sees them', async (t) => {
  const names = [
    ...['', 'a\nb', 'a\u001b[2J', 'a\u0000', 'x'.repeat(256), 'é'.repeat(128), 'a\u009b', Buffer.from([0xc3])],
    ...['exe.\u202etxt', 'bob\u200b', '\ufeffbob'], // which a log would have to escape
  ];
  for (const name of names) {
    const asked: string[] = [];
    const client = await Client.ready({
      getAllowedAuths(user) {
        asked.push(user);
        return ALL;
      },
    });
    t.equal(await client.ask(password('secret', name)), DENIED);
    t.equal(await client.ask(request(name, 'publickey', false, KEY.type, KEY.blob)), DENIED);
    t.match(await client.ask(request(name, 'keyboard-interactive', '', '')), 'prompt');
    t.equal(await client.ask(response('secret')), DENIED);
    t.strictSame([client.passwords, client.offers, asked], [[], [], ['']]);
    t.strictSame(new Set(client.failures.map(({ code }) => code)), new Set(['UNKNOWN_USER']));
    for (const { user } of client.failures) t.ok(user.length <= 255 && !/\p{Cc}/u.test(user));
  }
  const longest = 'x'.repeat(255);
  const client = await Client.ready({ checkAuthPassword: (user) => user === longest });
  t.equal(await client.ask(password('secret', longest)), 'success', 'twin: 255 bytes are a name');
});

t.test('known and unknown users get the same bytes', async (t) => {
  const flows: ReadonlyArray<(user: string) => readonly Buffer[]> = [
    (user) => [none(user), password('wrong', user), password('worse', user)],
    (user) => [interactive(user), response('wrong')],
    (user) => [query({ key: ed25519() }, user), query({ key: rsa(), algorithm: 'ssh-rsa' }, user)],
  ];
  for (const flow of flows) {
    const transcripts: string[] = [];
    for (const user of ['bob', 'eve', '__proto__']) {
      const client = await Client.ready();
      const texts: string[] = [];
      for (const payload of flow(user)) texts.push(await client.ask(payload));
      transcripts.push(texts.join('\n'));
    }
    t.equal(new Set(transcripts).size, 1);
  }
});

t.test('unknown methods get FAILURE, no disconnect, and count', async (t) => {
  const client = await Client.ready();
  t.equal(await client.ask(request('bob', 'gssapi-with-mic', 1, 'oid')), DENIED);
  t.equal(await client.ask(request('bob', 'host\nbased', 'anything')), DENIED);
  t.equal(await client.ask(none()), DENIED);
  t.strictSame(
    client.failures.map(({ method, code }) => [method, code]),
    [
      ['gssapi-with-mic', 'METHOD_NOT_ALLOWED'],
      ['host\\x0abased', 'METHOD_NOT_ALLOWED'],
      ['none', 'METHOD_NOT_ALLOWED'], // not the first request any more
    ],
  );
});

t.test('a method that is not allowed is refused before its hook is asked', async (t) => {
  const only: readonly AuthMethod[] = ['publickey'];
  const client = await Client.ready({ getAllowedAuths: () => only, checkAuthPassword: () => true });
  for (const payload of [password('secret'), interactive()]) {
    t.equal(await client.ask(payload), 'failure publickey false');
  }
  t.strictSame(client.passwords, []);
  t.equal(await client.ask(signed({ key: KEY })), 'success', 'twin: the allowed one');
});

t.test('RFC 4252 §7: a query is answered with the algorithm that was asked for', async (t) => {
  const big = rsa();
  const rows: ReadonlyArray<readonly [TestKey, string]> = [
    [KEY, 'ssh-ed25519'],
    [ecdsa(256), 'ecdsa-sha2-nistp256'],
    [ecdsa(384), 'ecdsa-sha2-nistp384'],
    [ecdsa(521), 'ecdsa-sha2-nistp521'],
    [big, 'rsa-sha2-256'],
    [big, 'rsa-sha2-512'],
  ];
  for (const [key, algorithm] of rows) {
    const client = await Client.ready({ checkAuthPublicKey: () => true });
    t.equal(await client.ask(query({ key, algorithm })), `pk_ok ${algorithm} ${key.blob.toString('base64')}`);
    t.equal(client.login, null, 'PK_OK is no login');
    t.equal(await client.ask(signed({ key, algorithm })), 'success');
    t.match(client.offers, [
      { type: key.type, algorithm, verified: false },
      { type: key.type, algorithm, verified: true, blob: key.blob, line: `${key.type} ${key.blob.toString('base64')}` },
    ]);
    const fingerprint = client.offers[0]?.fingerprint;
    t.match(fingerprint, /^SHA256:[\w+/]{43}$/);
    t.strictSame(client.login, { identity: { user: 'bob', fingerprint }, method: 'publickey', fingerprint });
    t.strictSame(client.failures, []);
  }
});

t.test('the hook is asked about an offer once, and anew about any other key or algorithm', async (t) => {
  const big = rsa();
  const other = ed25519();
  const client = await Client.ready({ checkAuthPublicKey: (_user, { verified }) => !verified });
  const asked = async (payload: Buffer): Promise<string[]> => {
    await client.ask(payload);
    return client.offers.splice(0).map(({ algorithm, verified }) => `${algorithm}${verified ? ' verified' : ''}`);
  };
  t.strictSame(await asked(query({ key: KEY })), ['ssh-ed25519']);
  t.strictSame(await asked(query({ key: KEY })), []);
  t.strictSame(await asked(signed({ key: KEY })), ['ssh-ed25519 verified'], 'which is always asked');
  t.strictSame(await asked(query({ key: other })), ['ssh-ed25519'], 'another key');
  t.strictSame(await asked(query({ key: KEY })), ['ssh-ed25519'], 'only the last one is remembered');
  t.strictSame(await asked(query({ key: big, algorithm: 'rsa-sha2-256' })), ['rsa-sha2-256']);
  const rsaSigned = signed({ key: big, algorithm: 'rsa-sha2-512' });
  t.strictSame(await asked(rsaSigned), ['rsa-sha2-512', 'rsa-sha2-512 verified'], 'another algorithm');
  t.equal(client.login, null);

  const refusing = await Client.ready({ checkAuthPublicKey: () => false });
  for (const count of [1, 2]) {
    await refusing.ask(query({ key: KEY }));
    t.equal(refusing.offers.length, count, 'a no is not remembered');
  }
});

t.test('signatures that are no login', async (t) => {
  const big = rsa();
  const other = ed25519();
  const weak = { ...KEY, type: 'ssh-ed25519', blob: concatFields(['ssh-ed25519', Buffer.alloc(31)]) };
  const empty = Buffer.concat([request('bob', 'publickey', true, KEY.type, KEY.blob), concatFields([Buffer.alloc(0)])]);
  const forCarol = signed({ key: KEY }, { user: 'carol' });
  const asBob = Buffer.concat([
    request('bob', 'publickey', true, KEY.type, KEY.blob),
    forCarol.subarray(request('carol', 'publickey', true, KEY.type, KEY.blob).length),
  ]);
  const rows: ReadonlyArray<readonly [string, Buffer, string]> = [
    ['another key signed', signed({ key: KEY }, { signer: other }), 'BAD_SIGNATURE'],
    ['another session', signed({ key: KEY }, { sessionId: Buffer.from('other') }), 'BAD_SIGNATURE'],
    ['for another user', asBob, 'BAD_SIGNATURE'],
    ['empty', empty, 'BAD_SIGNATURE'],
    ['algorithm is not the key', signed({ key: KEY, algorithm: 'rsa-sha2-512' }), 'UNSUPPORTED_KEY'],
    ['RSA with SHA-1', signed({ key: big, algorithm: 'ssh-rsa' }), 'UNSUPPORTED_KEY'],
    [
      'RSA with the other hash',
      signed({ key: big, algorithm: 'rsa-sha2-256' }, { signedAlgorithm: 'rsa-sha2-512' }),
      'BAD_SIGNATURE',
    ],
    ['a key that cannot be parsed', signed({ key: weak }), 'MALFORMED'],
    ['a blob that is no key', request('bob', 'publickey', false, 'ssh-ed25519', Buffer.alloc(0)), 'UNSUPPORTED_KEY'],
    ['DSA', query({ key: { ...KEY, type: 'ssh-dss', blob: concatFields(['ssh-dss']) } }), 'UNSUPPORTED_KEY'],
    ['a certificate', query({ key: KEY, algorithm: 'ssh-ed25519-cert-v01@openssh.com' }), 'UNSUPPORTED_KEY'],
  ];
  for (const [name, payload, code] of rows) {
    const client = await Client.ready({ checkAuthPublicKey: () => true });
    t.equal(await client.ask(payload), DENIED, name);
    t.match(client.failures, [{ code, method: 'publickey', user: 'bob' }], name);
    t.notOk(
      client.offers.some(({ verified }) => verified),
      'the hook hears of nothing verified',
    );
  }
});

t.test('CVE-2024-45337: rights come from the key that signed, not from the last one offered', async (t) => {
  const admin = ed25519();
  const own = ed25519();
  const client = await Client.ready({
    checkAuthPublicKey: (_user, key) => ({ user: key.blob.equals(admin.blob) ? 'admin' : 'guest' }),
  });
  t.match(await client.ask(query({ key: own })), 'pk_ok');
  t.match(await client.ask(query({ key: admin })), 'pk_ok');
  t.equal(await client.ask(signed({ key: own })), 'success');
  t.equal(client.login?.identity.user, 'guest');
  t.equal(client.login?.fingerprint, client.offers[0]?.fingerprint);
});

t.test('the verified call has the last word, and no hook can change what is verified', async (t) => {
  const client = await Client.ready({
    checkAuthPublicKey(_user, key) {
      key.blob.fill(0);
      return !key.verified;
    },
  });
  t.equal(await client.ask(signed({ key: KEY })), DENIED);
  t.strictSame(
    client.offers.map(({ verified }) => verified),
    [false, true],
  );
  t.match(client.failures, [{ code: 'KEY_NOT_ACCEPTED', fingerprint: /^SHA256:/ }]);
});

t.test('a blob is parsed only after a hook has accepted it', async (t) => {
  const junk = { ...KEY, blob: concatFields(['ssh-ed25519', Buffer.alloc(31)]) };
  const client = await Client.ready({ checkAuthPublicKey: () => false });
  t.equal(await client.ask(signed({ key: junk })), DENIED);
  t.match(client.failures, [{ code: 'KEY_NOT_ACCEPTED' }]);
});

t.test('RFC 4256: keyboard-interactive is one hidden prompt', async (t) => {
  const prompt = 'prompt Password: ';
  const client = await Client.ready();
  t.equal(await client.ask(interactive()), prompt);
  t.equal(await client.ask(response('wrong')), DENIED);
  t.equal(await client.ask(interactive()), prompt);
  t.equal(await client.ask(response()), DENIED);
  t.equal(await client.ask(interactive()), prompt);
  t.equal(await client.ask(response('secret', 'secret')), DENIED);
  t.equal(await client.ask(interactive()), prompt);
  t.equal(await client.ask(response('secret')), 'success');
  t.equal(client.login?.method, 'keyboard-interactive');
  t.strictSame(
    client.failures.map(({ code }) => code),
    ['WRONG_PASSWORD', 'MALFORMED', 'MALFORMED'],
  );
});

t.test('RFC 4256 §3.1: a new request abandons the open prompt', async (t) => {
  const client = await Client.ready();
  await client.ask(interactive());
  t.equal(await client.ask(password('wrong')), DENIED);
  t.match(await client.ask(response('secret')), `disconnect ${DISCONNECT.PROTOCOL_ERROR}`);
  t.equal(client.login, null);
  const huge = await Client.ready();
  await huge.ask(interactive());
  t.equal(await huge.ask(message(MSG.USERAUTH_INFO_RESPONSE, 0xffffffff)), DENIED, 'a huge count costs nothing');
});

/** Of a key with `restrict`. */
const RESTRICTED: KeyNarrowing = {
  kind: 'key',
  portForwarding: false,
  permitOpen: null,
  permitListen: null,
  where: 'keys:1',
};

/** A way in of several methods in a row. */
const inRow = (...chains: AuthChain[]): Partial<AuthHooks> => ({ getAllowedAuths: () => chains });
const fingerprintOf = async (key: TestKey): Promise<string | undefined> => {
  const client = await Client.ready({ checkAuthPublicKey: () => true });
  await client.ask(query({ key }));
  return client.offers[0]?.fingerprint;
};

t.test('RFC 4252 §5.1: two methods in a row, each of which has to succeed', async (t) => {
  const fingerprint = await fingerprintOf(KEY);
  let asked = 0;
  const client = await Client.ready({
    getAllowedAuths() {
      asked++;
      return ['publickey,password'];
    },
  });
  t.equal(await client.ask(none()), 'failure publickey false');
  t.equal(await client.ask(password('secret')), 'failure publickey false', 'the second one alone is refused');
  t.strictSame(client.passwords, [], 'and its hook is not asked');
  t.match(await client.ask(query({ key: KEY })), 'pk_ok', 'an offer is no step');
  t.strictSame(client.steps, []);
  t.equal(await client.ask(signed({ key: KEY })), 'failure password true', 'partial success, and what must follow');
  t.strictSame(client.steps, [{ user: 'bob', method: 'publickey', fingerprint }]);
  t.equal(client.login, null);
  t.equal(await client.ask(password('wrong')), 'failure password false');
  t.equal(await client.ask(signed({ key: KEY })), 'failure password false', 'the first one does not count twice');
  t.equal(client.login, null);
  t.equal(await client.ask(password('secret')), 'success');
  t.strictSame(client.login, { identity: { user: 'bob', fingerprint }, method: 'password', fingerprint });
  t.strictSame(
    client.failures.map(({ method, code }) => [method, code]),
    [
      ['password', 'METHOD_NOT_ALLOWED'],
      ['password', 'WRONG_PASSWORD'],
      ['publickey', 'METHOD_NOT_ALLOWED'],
    ],
  );
  t.equal(client.steps.length, 1);
  t.equal(asked, 1, 'the ways in are asked for once');
});

t.test('§5.1: the other order, three in a row, and ways that begin alike', async (t) => {
  const swapped = await Client.ready(inRow('password,publickey'));
  t.equal(await swapped.ask(signed({ key: KEY })), 'failure password false');
  t.strictSame(swapped.offers, []);
  t.equal(await swapped.ask(password('secret')), 'failure publickey true');
  t.match(await swapped.ask(query({ key: KEY })), 'pk_ok');
  t.equal(swapped.login, null);
  t.equal(await swapped.ask(signed({ key: KEY })), 'success');
  t.match(swapped.login, { identity: { user: 'bob' }, method: 'publickey', fingerprint: /^SHA256:/ });

  const three = await Client.ready(inRow('publickey,password,keyboard-interactive'));
  t.equal(await three.ask(signed({ key: KEY })), 'failure password true');
  t.equal(await three.ask(interactive()), 'failure password false', 'no step is left out');
  t.equal(await three.ask(password('secret')), 'failure keyboard-interactive true');
  t.equal(await three.ask(password('secret')), 'failure keyboard-interactive false');
  t.match(await three.ask(interactive()), 'prompt');
  t.equal(await three.ask(response('secret')), 'success');
  t.strictSame(
    three.steps.map(({ method }) => method),
    ['publickey', 'password'],
  );

  const fork = await Client.ready(inRow('publickey,password', 'keyboard-interactive,password'));
  t.equal(await fork.ask(none()), 'failure publickey,keyboard-interactive false');
  t.match(await fork.ask(interactive()), 'prompt');
  t.equal(await fork.ask(response('secret')), 'failure password true');
  t.match(await fork.ask(response('secret')), `disconnect ${DISCONNECT.PROTOCOL_ERROR}`, 'the prompt is answered');
  t.equal(fork.login, null);

  const closed = await Client.ready(inRow('publickey,password', 'keyboard-interactive'));
  t.equal(await closed.ask(signed({ key: KEY })), 'failure password true');
  t.equal(await closed.ask(interactive()), 'failure password false', 'a way that did not begin so is closed');
});

t.test('§5.1: partial success is no failed try, and lifts none', async (t) => {
  const strict = await Client.ready(inRow('publickey,password'), { maxTries: 1 });
  t.equal(await strict.ask(signed({ key: KEY })), 'failure password true');
  t.equal(await strict.ask(password('secret')), 'success');
  t.strictSame(strict.failures, []);

  const counted = await Client.ready(inRow('publickey,password'), { maxTries: 2 });
  t.equal(await counted.ask(password('secret')), 'failure publickey false');
  t.equal(await counted.ask(signed({ key: KEY })), 'failure password true');
  t.match(await counted.ask(password('wrong')), 'Too many authentication failures');
  t.strictSame(counted.ends, ['AUTH_EXHAUSTED']);
});

t.test('identities in a row: the last one that a hook made holds, and all are of one user', async (t) => {
  const fingerprint = await fingerprintOf(KEY);
  const first = { user: 'team', step: 1 };
  const last = { user: 'team', step: 2 };
  const rows: ReadonlyArray<readonly [string, boolean | Identity, boolean | Identity, Identity]> = [
    ['no hook made one', true, true, { user: 'bob', fingerprint: fingerprint ?? '' }],
    ['the first hook made one: true keeps it', first, true, first],
    ['both made one', first, last, last],
    ['the second hook made one, of the same name', true, { user: 'bob' }, { user: 'bob' }],
  ];
  for (const [name, keyAnswer, passwordAnswer, identity] of rows) {
    const client = await Client.ready({
      ...inRow('publickey,password'),
      checkAuthPublicKey: () => keyAnswer,
      checkAuthPassword: () => passwordAnswer,
    });
    t.equal(await client.ask(signed({ key: KEY })), 'failure password true', name);
    t.match(client.steps, [{ user: identity.user, method: 'publickey' }], name);
    t.equal(await client.ask(password('x')), 'success', name);
    t.strictSame(client.login, { identity, method: 'password', fingerprint }, name);
    const made = [passwordAnswer, keyAnswer].find((answer) => typeof answer === 'object');
    if (made !== undefined) t.equal(client.login?.identity, made, 'the very object');
    t.strictSame(client.soFars.slice(0, 2), [null, null], 'the first method has none before it');
    const soFar = client.soFars[2];
    if (typeof keyAnswer === 'object') t.equal(soFar, keyAnswer, 'the second hook gets the very object');
    else t.strictSame(soFar, { user: 'bob', fingerprint });
  }
});

t.test('identities in a row: a method lends its success to no other user', async (t) => {
  const rows: ReadonlyArray<readonly [string, boolean | Identity, boolean | Identity]> = [
    ['two identities', { user: 'team' }, { user: 'admin' }],
    ['the name that was given, then an identity', true, { user: 'admin' }],
    ['an identity, then one of the name that was given', { user: 'team' }, { user: 'bob' }],
  ];
  for (const [name, keyAnswer, wrongAnswer] of rows) {
    const client = await Client.ready({
      ...inRow('publickey,password'),
      checkAuthPublicKey: () => keyAnswer,
      checkAuthPassword: (_user, text) => text === 'right' || wrongAnswer,
    });
    await client.ask(signed({ key: KEY }));
    t.equal(await client.ask(password('wrong')), 'failure password false', name);
    t.match(client.failures, [{ code: 'HOOK_FAILED', detail: /two users/, method: 'password' }], name);
    t.equal(client.login, null, name);
    t.equal(await client.ask(password('right')), 'success', 'twin: the same user');
    t.equal(client.login?.identity.user, typeof keyAnswer === 'object' ? keyAnswer.user : 'bob');
  }
});

t.test('identities in a row: none takes away what another one withholds', async (t) => {
  const narrowed = withGrant({ user: 'bob' }, { narrowings: [RESTRICTED], expiresAtMs: null });
  const rows: ReadonlyArray<readonly [string, (soFar: Identity | null) => boolean | Identity, boolean]> = [
    ['a plain yes', () => true, true],
    ['one made of what there was', (soFar) => ({ ...soFar, user: 'bob', team: 'x' }), true],
    ['one of its own', () => ({ user: 'bob' }), false],
  ];
  for (const [name, passwordAnswer, isLogin] of rows) {
    const client = await Client.ready({
      ...inRow('publickey,password'),
      checkAuthPublicKey: () => narrowed,
      checkAuthPassword: (_user, _text, _peer, _signal, soFar) => passwordAnswer(soFar),
    });
    await client.ask(signed({ key: KEY }));
    t.equal(await client.ask(password('x')), isLogin ? 'success' : 'failure password false', name);
    if (client.login === null) t.match(client.failures, [{ code: 'HOOK_FAILED', detail: /lost what/ }], name);
    else t.strictSame(grantOf(client.login.identity).narrowings, [RESTRICTED], name);
  }
});

t.test('identities in a row: none takes away the limits and the end that a webhook gave', async (t) => {
  const said = { allow: true, user: null, permitOpen: null, permitListen: null, reason: null } as const;
  const answer = { ...said, limits: { channels: 1 }, ttlMs: 60_000 };
  const about = { username: 'bob', step: { method: 'publickey' }, nowMs: 0 } as const;
  for (const [name, passwordAnswer, isLogin] of [
    ['one made of what there was', (soFar: Identity | null) => ({ ...soFar, user: 'bob' }), true],
    ['one of its own', () => ({ user: 'bob' }), false],
  ] as const) {
    const client = await Client.ready({
      ...inRow('publickey,password'),
      checkAuthPublicKey: () => withAnswer({ user: 'bob' }, answer, about),
      checkAuthPassword: (_user, _text, _peer, _signal, soFar) => passwordAnswer(soFar),
    });
    await client.ask(signed({ key: KEY }));
    t.equal(await client.ask(password('x')), isLogin ? 'success' : 'failure password false', name);
  }
});

t.test('a row sent ahead is answered in order', async (t) => {
  const client = await Client.ready(inRow('publickey,password'));
  client.auth.onMessage(signed({ key: KEY }));
  client.auth.onMessage(password('secret'));
  t.strictSame(await client.answers(2), ['failure password true', 'success']);
});

t.test('an owner that closes at the first step: nothing is sent, nothing goes on', async (t) => {
  const client = await Client.ready(inRow('publickey,password'), { onPartial: ({ auth }) => auth.close() });
  client.auth.onMessage(signed({ key: KEY }));
  client.auth.onMessage(password('secret'));
  while (client.steps.length === 0) await new Promise(setImmediate);
  await new Promise(setImmediate);
  t.strictSame([client.sent, client.ends, client.login, client.passwords], [[], [], null, []]);
});

t.test('tries are counted as OpenSSH counts them', async (t) => {
  const exhausted = `disconnect ${DISCONNECT.PROTOCOL_ERROR} Too many authentication failures`;
  const foreign = { key: ed25519() };
  const rows: ReadonlyArray<readonly [string, number, readonly Buffer[]]> = [
    ['three passwords', 3, [none(), password('1'), password('2'), password('3')]],
    ['offers that fail count', 2, [none(), query(foreign), query(foreign)]],
    ['offers that succeed do not', 2, [query({ key: KEY }), query({ key: KEY }), password('1'), password('2')]],
    ['unknown methods count', 2, [request('bob', 'hostbased'), request('bob', 'gssapi-keyex')]],
    ['a second none counts', 2, [none(), none(), none()]],
    ['prompts do not, answers do', 2, [interactive(), interactive(), response('1'), interactive(), response('2')]],
    ['maxTries 1', 1, [password('1')]],
  ];
  for (const [name, maxTries, payloads] of rows) {
    const client = await Client.ready({}, { maxTries });
    const answers: string[] = [];
    for (const payload of payloads) answers.push(await client.ask(payload));
    t.equal(answers.at(-1), exhausted, name);
    t.notOk(
      answers.slice(0, -1).some((answer) => answer.startsWith('disconnect')),
      name,
    );
    t.strictSame(client.ends, ['AUTH_EXHAUSTED']);
    t.equal(client.failures.length, maxTries, name);
  }
});

t.test('pipelined requests are answered in order, each before the next is looked at', async (t) => {
  const log: string[] = [];
  const open: Array<() => void> = [];
  const asked = new EventEmitter();
  const client = new Client({
    checkAuthPassword: (_user, text) =>
      new Promise((resolve) => {
        log.push(text);
        open.push(() => resolve(text === '3'));
        asked.emit('asked');
      }),
  });
  for (const payload of [SERVICE, none(), password('1'), password('2'), password('3'), password('4')]) {
    const shared = Buffer.from(payload);
    client.auth.onMessage(shared);
    shared.fill(0); // the bytes are the transport's again
  }
  for (const expected of [['1'], ['1', '2'], ['1', '2', '3']]) {
    if (log.length < expected.length) await once(asked, 'asked', { signal: AbortSignal.timeout(20_000) });
    t.strictSame(log, expected);
    open.at(-1)?.();
  }
  t.strictSame(await client.answers(5), ['accept ssh-userauth', DENIED, DENIED, DENIED, 'success']);
  t.strictSame(log, ['1', '2', '3'], 'what was sent behind the success is passed over');
});

t.test('the queue is bounded', async (t) => {
  const client = await Client.ready({ checkAuthPassword: () => new Promise(() => {}) });
  for (let i = 0; i < 33; i += 1) client.auth.onMessage(password('x')); // one is looked at, the others wait
  t.strictSame(client.sent, []);
  t.match(await client.ask(password('x')), `disconnect ${DISCONNECT.PROTOCOL_ERROR}`);
});

t.test('hooks that throw, hang or answer nonsense deny', async (t) => {
  // What a hook written in JavaScript may do.
  const nonsense = (value: unknown): boolean => JSON.parse(JSON.stringify(value));
  const rows: ReadonlyArray<readonly [string, Partial<AuthHooks>, string]> = [
    [
      'password throws',
      {
        checkAuthPassword() {
          throw new Error('down');
        },
      },
      'HOOK_FAILED',
    ],
    ['password rejects', { checkAuthPassword: () => Promise.reject(new Error('down')) }, 'HOOK_FAILED'],
    ['password answers 1', { checkAuthPassword: () => nonsense(1) }, 'HOOK_FAILED'],
    ['password answers {}', { checkAuthPassword: async () => nonsense({}) }, 'HOOK_FAILED'],
    ['password answers "true"', { checkAuthPassword: () => nonsense('true') }, 'HOOK_FAILED'],
    ['key answers 1', { checkAuthPublicKey: () => nonsense(1) }, 'HOOK_FAILED'],
    ['key rejects', { checkAuthPublicKey: () => Promise.reject(new Error('down')) }, 'HOOK_FAILED'],
  ];
  for (const [name, hooks, code] of rows) {
    const client = await Client.ready(hooks);
    const payload = hooks.checkAuthPassword ? password('secret') : signed({ key: KEY });
    t.equal(await client.ask(payload), DENIED, name);
    t.match(client.failures, [{ code, detail: String }], name);
  }

  const hanging = await Client.ready({ checkAuthPassword: () => new Promise(() => {}) });
  const asked = hanging.ask(password('secret'));
  await new Promise(setImmediate); // the method list is settled and the password hook asked
  hanging.strikeDeadline();
  t.equal(await asked, DENIED);
  t.match(hanging.failures, [{ code: 'HOOK_TIMEOUT' }]);

  const noList = await Client.ready({ getAllowedAuths: () => Promise.reject(new Error('down')) });
  t.equal(await noList.ask(password('secret')), 'failure  false', 'without a list nothing is allowed');
  t.strictSame(noList.passwords, []);
  for (const list of [null, 'password', ['password', 'hostbased'], ['publickey,publickey']]) {
    const client = await Client.ready({ getAllowedAuths: () => JSON.parse(JSON.stringify(list)) });
    t.equal(await client.ask(password('secret')), 'failure  false', 'nor with what is no list of ways in');
    t.match(client.failures, [{ code: 'HOOK_FAILED', detail: /getAllowedAuths/ }]);
    t.strictSame(client.passwords, []);
  }
});

t.test('close aborts the hook that runs, and nothing is sent after it', async (t) => {
  const asked = new EventEmitter();
  let answer: (value: boolean) => void = () => {};
  let heard: AbortSignal | undefined;
  const client = await Client.ready({
    checkAuthPassword: (_user, _password, _peer, signal) => {
      heard = signal;
      return new Promise((resolve) => {
        answer = resolve;
        asked.emit('asked');
      });
    },
  });
  const called = once(asked, 'asked', { signal: AbortSignal.timeout(20_000) });
  client.auth.onMessage(password('secret'));
  client.auth.onMessage(password('secret'));
  await called;
  client.auth.close();
  t.equal(heard?.aborted, true);
  answer(true);
  await new Promise(setImmediate);
  t.strictSame([client.sent, client.failures, client.ends, client.login], [[], [], [], null]);
  client.auth.close();
});

t.test("a fault in the owner's callback ends the connection", async (t) => {
  for (const [at, chain] of [
    ['success', 'password'],
    ['a first step', 'password,publickey'],
  ] as const) {
    const texts: string[] = [];
    const ends: string[] = [];
    const done = new EventEmitter();
    const fail = (): void => {
      throw new Error('no room');
    };
    const auth = new UserAuth({
      refusalDelay: { leftMs: () => 0 },
      now: () => 0,
      transport: {
        sessionId: SESSION_ID,
        send: () => {},
        disconnect(reason, text, why, detail) {
          texts.push(`${reason} ${text}`);
          ends.push(`${why} ${detail}`);
          done.emit('done');
        },
      },
      hooks: {
        getAllowedAuths: () => [chain],
        checkAuthPassword: () => true,
        checkAuthPublicKey: () => false,
        checkAuthInteractive: () => false,
        checkSecondFactor: () => true,
      },
      peer: { address: '192.0.2.1', port: 1 },
      maxTries: 6,
      hookTimeoutMs: 10_000,
      onSuccess: fail,
      onPartial: fail,
      onFailure() {},
    });
    const ended = once(done, 'done', { signal: AbortSignal.timeout(20_000) });
    auth.onMessage(SERVICE);
    auth.onMessage(password('secret'));
    await ended;
    t.strictSame(texts, [`${DISCONNECT.BY_APPLICATION} internal error`], at);
    t.strictSame(ends, ['INTERNAL_ERROR no room'], at);
  }
});

t.test('what a login stands on is known while a hook is asked, and after it has succeeded', async (t) => {
  const gates: ((answer: boolean) => void)[] = [];
  const client = await Client.ready({
    getAllowedAuths: () => ['publickey,password', 'password'],
    checkAuthPassword: () => new Promise((resolve) => gates.push(resolve)),
  });
  t.same(client.auth.steps, []);
  const byKey = { username: 'bob', method: 'publickey', fingerprint: fingerprint(KEY.blob), key: KEY.blob };
  await client.ask(none());
  t.same(client.auth.steps, [], 'nothing was claimed');
  await client.ask(signed({ key: KEY }));
  t.same(client.auth.steps, [byKey]);
  client.auth.onMessage(password('secret'));
  while (gates.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.same(client.auth.steps, [byKey, { username: 'bob', method: 'password' }], 'the one that is being checked as well');
  gates[0]?.(false);
  await client.answers(1);
  t.same(client.auth.steps, [byKey], 'a refused one is forgotten');
  client.auth.onMessage(password('secret'));
  while (gates.length === 1) await new Promise((resolve) => setImmediate(resolve));
  gates[1]?.(true);
  await client.answers(1);
  t.same(client.loginSteps, [byKey, { username: 'bob', method: 'password' }]);
});

t.test('a reload while a row is under way: what has succeeded counts for the ways in of now', async (t) => {
  for (const [name, before, now, afterwards] of [
    ['the same', ['password,publickey'], ['password,publickey'], 'success'],
    ['more than enough by now', ['password,publickey'], ['password'], 'failure password false'],
    [
      'one more',
      ['password,publickey'],
      ['password,publickey,keyboard-interactive'],
      'failure keyboard-interactive true',
    ],
    ['another order', ['password,publickey'], ['publickey,password'], 'failure password true'],
    [
      'another one beside',
      ['password,publickey'],
      ['password,keyboard-interactive'],
      'failure keyboard-interactive false',
    ],
    ['none of them', ['password,publickey'], ['keyboard-interactive'], 'failure keyboard-interactive false'],
  ] as const) {
    let allowed: readonly AuthChain[] = before;
    const client = await Client.ready({ getAllowedAuths: () => allowed });
    t.equal(await client.ask(password('secret')), 'failure publickey true', name);
    allowed = now;
    client.auth.review({ methods: true, proofs: false });
    t.equal(await client.ask(signed({ key: KEY })), afterwards, name);
  }
});

t.test('a reload while a hook is asked: its yes is judged by the ways in of then', async (t) => {
  for (const [name, now, change, answer] of [
    ['still a way in', ['password'], { methods: true, proofs: false }, 'success'],
    ['none any more', ['publickey'], { methods: true, proofs: false }, 'failure publickey false'],
    ['one of two', ['password,publickey'], { methods: true, proofs: false }, 'failure publickey true'],
    ['somebody else decides', ['password'], { methods: false, proofs: true }, 'failure password false'],
    ['a no', ['publickey'], { methods: true, proofs: false }, 'failure publickey false'],
    ['a no, and somebody else decides', ['publickey'], { methods: true, proofs: true }, 'failure publickey false'],
  ] as const) {
    let allowed: readonly AuthChain[] = ['password'];
    const client: Client = await Client.ready({
      getAllowedAuths: () => allowed,
      checkAuthPassword: async () => {
        allowed = now;
        client.auth.review(change);
        return !name.startsWith('a no');
      },
    });
    t.equal(await client.ask(password('secret')), answer, name);
    if (name === 'somebody else decides') t.match(client.failures, [{ code: 'SETTINGS_CHANGED' }]);
  }
});

t.test('a reload while the methods are asked for: they are asked for again', async (t) => {
  let asked = 0;
  const client: Client = await Client.ready({
    getAllowedAuths: async () => {
      asked += 1;
      if (asked === 1) client.auth.review({ methods: true, proofs: false });
      return asked === 1 ? ['password'] : ['publickey'];
    },
  });
  t.equal(await client.ask(none()), 'failure publickey false');
  t.equal(asked, 2);
});
