/** The server that a config describes, asked through its hooks as a connection asks it. The rules themselves have their
 *  tests in policy and patterns; here: that each hook asks the right one, with the right user's rights. */
import { hashSync } from '@node-rs/argon2';
import t from 'tap';
import { ConfiguredServer } from '../../src/library/configured.js';
import { Rules } from '../../src/library/rules.js';
import { SERVED } from '../../src/library/served.js';
import { type Address, parseAddress } from '../../src/shared/address.js';
import { Refused, type Verdict } from '../../src/shared/errors.js';
import type { Identity, PublicKeyInfo } from '../../src/shared/identity.js';
import { grantOf } from '../../src/worker/auth/grant.js';
import { LoginRefused } from '../../src/worker/auth/hooks.js';
import { withNotes } from '../../src/worker/auth/notes.js';
import { fingerprint } from '../../src/worker/auth/public_key.js';
import { testConfig } from '../support/test_config.js';
import { ed25519 } from '../worker/auth/keys.js';

const aliceKey = ed25519();
const line = (blob: Buffer): string => `ssh-ed25519 ${blob.toString('base64')}`;

const server = new ConfiguredServer({ noShell: 'no shell here' });
const written = {
  auth: { methods: ['publickey'] },
  users: {
    alice: {
      authorizedKeys: [line(aliceKey.blob)],
      permitOpen: ['10.0.0.0/8:*', 'localhost:8000-8999', '/run/app/*.sock'],
      permitListen: ['localhost:20000-20009', '/run/tunnels/*.sock'],
      limits: { connections: 2, channels: 3, forwards: 4, bytesPerSecond: '5MiB', opensPerSecond: 0 },
    },
    bob: { authorizedKeys: [line(ed25519().blob)] },
  },
};
server[SERVED].configure(
  testConfig(written),
  [
    { kind: 'tcp', address: '127.0.0.1', port: 8022 },
    { kind: 'unix', path: '/run/app/admin.sock' },
  ],
  written,
);
const alice: Identity = { user: 'alice' };
const bob: Identity = { user: 'bob' };
const stranger: Identity = { user: 'mallory' };
const origin = { host: '', port: 0 };
const peer = { address: '192.0.2.7', port: 4711 };
const { signal } = new AbortController();

function at(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(text);
  return address;
}
/** What a hook has decided: it says true, or throws its no. */
function verdictOf(ask: () => unknown): unknown {
  try {
    return ask() === true ? ({ allow: true } satisfies Verdict) : 'neither';
  } catch (thrown) {
    if (thrown instanceof Refused) return thrown.verdict;
    throw thrown;
  }
}

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;

t.test('who may log in', async (t) => {
  const key = (blob: Buffer): PublicKeyInfo => ({
    type: 'ssh-ed25519',
    algorithm: 'ssh-ed25519',
    fingerprint: 'SHA256:x',
    blob,
    line: line(blob),
    verified: true,
  });
  const check = (name: string, blob: Buffer) => server.checkAuthPublicKey(name, key(blob), peer, signal, null);
  t.match(check('alice', aliceKey.blob), { user: 'alice', fingerprint: fingerprint(aliceKey.blob) });
  t.equal(check('alice', ed25519().blob), false);
  t.equal(check('bob', aliceKey.blob), false);
  for (const name of ['mallory', '', '__proto__', 'constructor']) {
    t.equal(check(name, aliceKey.blob), false, name);
    t.same(server.getAllowedAuths(name, signal), ['publickey'], 'the methods tell nobody who exists');
  }
});

t.test('what may be opened', async (t) => {
  for (const [identity, destination, expected] of [
    [alice, tcp('10.1.2.3', 22), { allow: true }],
    [alice, tcp('localhost', 8080), { allow: true }],
    [alice, tcp('192.0.2.1', 22), { allow: false, code: 'POLICY_DENIED' }],
    [alice, tcp('127.0.0.1', 22), { allow: false, code: 'PROTECTED_DESTINATION' }],
    [alice, tcp('10.1.2.3', 0), { allow: false, code: 'BAD_ADDRESS' }],
    [alice, { kind: 'unix', path: '/run/app/a.sock' }, { allow: true }],
    [alice, { kind: 'unix', path: '/run/other/a.sock' }, { allow: false, code: 'POLICY_DENIED' }],
    [bob, tcp('192.0.2.1', 22), { allow: true }],
    [bob, tcp('127.0.0.1', 22), { allow: false, code: 'PROTECTED_DESTINATION' }],
    [stranger, tcp('192.0.2.1', 22), { allow: false, code: 'POLICY_DENIED' }],
  ] as const)
    t.match(
      verdictOf(() => server.checkDirect(origin, destination, identity, signal)),
      expected,
      `${identity.user} ${JSON.stringify(destination)}`,
    );

  for (const [identity, host, port, address, expected] of [
    [alice, 'localhost', 8080, '127.0.0.1', { allow: true }],
    [alice, 'localhost', 8080, '::1', { allow: true }],
    [alice, 'localhost', 8022, '127.0.0.1', { allow: false, code: 'OWN_LISTENER' }],
    [bob, 'example.org', 80, '192.0.2.1', { allow: true }],
    [bob, 'example.org', 80, '127.0.0.1', { allow: false, code: 'PROTECTED_DESTINATION' }],
    [bob, 'example.org', 80, '169.254.169.254', { allow: false, code: 'PROTECTED_DESTINATION' }],
    [stranger, 'example.org', 80, '192.0.2.1', { allow: false, code: 'POLICY_DENIED' }],
  ] as const)
    t.match(
      verdictOf(() => server.checkDial(tcp(host, port), at(address), identity)),
      expected,
      `${identity.user} ${host} ${address}`,
    );

  for (const [path, identity, expected] of [
    ['/run/app/a.sock', alice, { allow: true }],
    ['/run/app/admin.sock', alice, { allow: false, code: 'OWN_LISTENER' }],
    ['/etc/a.sock', alice, { allow: false, code: 'POLICY_DENIED' }],
    ['/run/app/a.sock', stranger, { allow: false, code: 'POLICY_DENIED' }],
  ] as const)
    t.match(
      verdictOf(() => server.checkDialPath(path, identity)),
      expected,
      `${identity.user} ${path}`,
    );
});

t.test('what may be bound', async (t) => {
  for (const [identity, bind, expected] of [
    [alice, tcp('localhost', 20_005), { allow: true }],
    [alice, tcp('localhost', 0), { allow: true }],
    [alice, tcp('localhost', 20_010), { allow: false, code: 'POLICY_DENIED' }],
    [alice, tcp('', 20_005), { allow: false, code: 'POLICY_DENIED' }],
    [alice, { kind: 'unix', path: '/run/tunnels/a.sock' }, { allow: true }],
    [bob, tcp('localhost', 1024), { allow: true }],
    [bob, tcp('localhost', 1023), { allow: false, code: 'POLICY_DENIED' }],
    [stranger, tcp('localhost', 20_005), { allow: false, code: 'POLICY_DENIED' }],
  ] as const)
    t.match(
      verdictOf(() => server.checkForwardAddress(bind, identity, signal)),
      expected,
      `${identity.user} ${JSON.stringify(bind)}`,
    );
  t.same(server.portRanges('localhost', alice), [[20_000, 20_009]]);
  t.same(server.portRanges('*', alice), []);
  t.same(server.portRanges('localhost', stranger), []);
});

t.test('limits and the text for those who want a shell', async (t) => {
  t.match(server.limits(alice), { connections: 2, channels: 3, forwards: 4, bytesPerSecond: 5_242_880 });
  t.match(server.limits(alice), { opensPerSecond: Number.POSITIVE_INFINITY, failedOpensPerMinute: 1000 });
  t.match(server.limits(bob), { connections: 10, channels: 1024, forwards: 16 });
  t.equal(server.limits(bob).bytesPerSecond, Number.POSITIVE_INFINITY, 'off');
  t.same(server.limits(stranger), { connections: 0, channels: 0, forwards: 0 });
  t.equal(server.noShell, 'no shell here');
});

t.test('the end of a key is that of its connections where the config says so', async (t) => {
  const ends = (endExpired: boolean, options: string) => {
    const ending = new ConfiguredServer();
    const config = {
      auth: { endExpired },
      users: { alice: { authorizedKeys: [`${options} ${line(aliceKey.blob)}`] } },
    };
    ending[SERVED].configure(testConfig(config), [], config);
    const [type, algorithm] = ['ssh-ed25519', 'ssh-ed25519'];
    const key = { type, algorithm, fingerprint: fingerprint(aliceKey.blob), line: '', verified: true };
    const answer = ending.checkAuthPublicKey('alice', { ...key, blob: aliceKey.blob }, peer, signal, null);
    return typeof answer === 'object' && 'user' in answer ? ending.limits(answer).expiresAtMs : answer;
  };
  t.equal(ends(true, 'expiry-time="20991231Z"'), Date.UTC(2099, 11, 31));
  t.equal(ends(false, 'expiry-time="20991231Z"'), Number.POSITIVE_INFINITY);
  t.equal(ends(true, 'no-pty'), Number.POSITIVE_INFINITY);
});

t.test('before it is configured it lets nobody in, and nobody anywhere', async (t) => {
  const early = new ConfiguredServer();
  const key = { type: '', algorithm: '', fingerprint: '', blob: aliceKey.blob, line: '', verified: true };
  t.equal(early.checkAuthPublicKey('alice', key, peer, signal, null), false);
  t.equal(await early.checkAuthPassword('alice', 'x', peer, signal, null), false);
  t.match(
    verdictOf(() => early.checkDirect(origin, tcp('10.1.2.3', 22), alice, signal)),
    { allow: false, code: 'POLICY_DENIED' },
  );
  t.same(early.limits(alice), { connections: 0, channels: 0, forwards: 0 });
});

t.test('fields of a subclass that have names of the library meet none of its own', async (t) => {
  class Own extends ConfiguredServer {
    _pool = 'a pool of my own';
    _configure = 'by hand';
    directory = new Map();
    pool = null;
    readonly #directory = 'mine';
    readonly #rules = 'mine too';
    said(): string {
      return this.#directory + this.#rules;
    }
  }
  const own = new Own();
  const keys = { users: { alice: { password: hashSync('foo'), permitOpen: ['example.org:443'] } } };
  own[SERVED].configure(testConfig(keys), [], keys);
  t.teardown(() => own[SERVED].closed());
  t.equal(own[SERVED].hooksDecide, false);
  t.equal(await own.checkAuthPassword('alice', 'foo', peer, signal, null), true);
  t.equal(await own.checkAuthPassword('alice', 'bar', peer, signal, null), false);
  t.same(
    verdictOf(() => own.checkDirect(origin, tcp('example.org', 443), alice, signal)),
    { allow: true },
  );
  t.match(
    verdictOf(() => own.checkDirect(origin, tcp('example.org', 80), alice, signal)),
    { allow: false, code: 'POLICY_DENIED' },
  );
  t.same([own._pool, own._configure, own.said()], ['a pool of my own', 'by hand', 'minemine too']);
});

/** A login with the key, or what it was refused with. */
async function loginOf(server: ConfiguredServer, user: string, blob: Buffer, soFar: Identity | null = null) {
  const info = { type: 'ssh-ed25519', algorithm: '', fingerprint: fingerprint(blob), blob, line: '', verified: true };
  try {
    return await server.checkAuthPublicKey(user, info, peer, signal, soFar);
  } catch (thrown) {
    if (thrown instanceof LoginRefused) return thrown;
    throw thrown;
  }
}

function configured(lines: readonly string[], server = new ConfiguredServer()): ConfiguredServer {
  const users = { alice: { authorizedKeys: lines, permitOpen: ['*:*'], permitListen: ['localhost:*'] } };
  server[SERVED].configure(testConfig({ users }), [], { users });
  return server;
}

t.test('a key that its own options keep out is refused with the reason, for the log', async (t) => {
  const { blob } = ed25519();
  t.match(await loginOf(configured([`expiry-time="20200101Z" ${line(blob)}`]), 'alice', blob), {
    code: 'KEY_EXPIRED',
    detail: /:1: expired at 2020-01-01T00:00:00.000Z$/,
  });
  t.match(await loginOf(configured([`from="10.0.0.0/8" ${line(blob)}`]), 'alice', blob), {
    code: 'KEY_SOURCE',
    detail: /:1: 192.0.2.7 is not in from=$/,
  });
  t.equal(await loginOf(configured([`cert-authority ${line(blob)}`]), 'alice', blob), false);
  t.equal(await loginOf(configured([`no-such-option ${line(blob)}`]), 'alice', blob), false);
  t.equal(await loginOf(configured([`from="10.0.0.0/8" ${line(blob)}`]), 'bob', blob), false);
});

t.test('what a key leaves goes with its login, through methods before it and subclasses behind it', async (t) => {
  const { blob } = ed25519();
  const server = configured([`expiry-time="20990101Z",permitopen="a.example:80" ${line(blob)}`]);
  const soFar = { user: 'team', team: 'a' };
  const identity = await loginOf(server, 'alice', blob, soFar);
  if (typeof identity !== 'object' || identity instanceof Error) throw new Error('refused');
  t.match(identity, { ...soFar, fingerprint: fingerprint(blob) });
  t.equal(grantOf(identity).expiresAtMs, Date.UTC(2099, 0, 1));
  const denied = { allow: false, code: 'POLICY_DENIED', detail: /:1: permitopen$/ };
  const own: Identity = { ...identity, user: 'alice' };
  const bare: Identity = { user: 'alice', fingerprint: fingerprint(blob) };
  for (const who of [own, bare]) {
    t.same(
      verdictOf(() => server.checkDirect(origin, tcp('a.example', 80), who, signal)),
      { allow: true },
    );
    t.match(
      verdictOf(() => server.checkDirect(origin, tcp('b.example', 80), who, signal)),
      denied,
    );
    t.match(
      verdictOf(() => server.checkDial(tcp('b.example', 80), at('192.0.2.1'), who)),
      denied,
    );
    t.match(
      verdictOf(() => server.checkDialPath('/run/a', who)),
      { allow: false },
    );
    t.same(
      verdictOf(() => server.checkForwardAddress(tcp('localhost', 0), who, signal)),
      { allow: true },
    );
  }
  t.same(
    verdictOf(() => server.checkDirect(origin, tcp('b.example', 80), alice, signal)),
    { allow: true },
    'no key',
  );

  configured([`restrict ${line(blob)}`], server);
  t.match(
    verdictOf(() => server.checkDirect(origin, tcp('a.example', 80), own, signal)),
    { allow: false, detail: /no port forwarding/ },
    'as its line has it now',
  );
  t.match(
    verdictOf(() => server.checkForwardAddress(tcp('localhost', 0), own, signal)),
    { allow: false },
  );
  configured([], server);
  t.match(
    verdictOf(() => server.checkDirect(origin, tcp('a.example', 80), own, signal)),
    { detail: /gone/ },
  );
});

t.test('what a key leaves is noted with the call, for where an override loses it', async (t) => {
  const { blob } = ed25519();
  const server = configured([`restrict ${line(blob)}`]);
  const info = { type: 'ssh-ed25519', algorithm: '', fingerprint: fingerprint(blob), blob, line: '', verified: true };
  const { peer: asked, notes } = withNotes(peer);
  const identity = await server.checkAuthPublicKey('alice', info, { ...asked, port: 1 }, signal, null);
  t.equal(notes.identity, identity);
  t.match(identity, { user: 'alice' });
  t.strictSame([...notes.checked], ['alice']);
  await server.checkAuthPublicKey('bob', info, asked, signal, null);
  t.strictSame([...notes.checked], ['alice'], 'a no is none of it');
});

t.test('an override of rules cannot widen what the key leaves', async (t) => {
  class Wide extends ConfiguredServer {
    override rules() {
      return new Rules({ permitOpen: ['*:*'], permitListen: ['*:*'] });
    }
  }
  const { blob } = ed25519();
  const server = configured([`restrict ${line(blob)}`], new Wide());
  const identity = await loginOf(server, 'alice', blob);
  if (typeof identity !== 'object' || identity instanceof Error) throw new Error('refused');
  t.match(
    verdictOf(() => server.checkDirect(origin, tcp('a.example', 80), identity, signal)),
    { allow: false },
  );
  t.match(
    verdictOf(() => server.checkDirect(origin, tcp('a.example', 80), alice, signal)),
    { allow: true },
  );
});
