/** What a reload takes away, by table: had before, has now. */
import t from 'tap';
import { grantedBy } from '../../src/library/own_word.js';
import { type Granted, takenBetween } from '../../src/library/taken.js';
import { parseAddress } from '../../src/shared/address.js';
import type { UserConfig } from '../../src/shared/config.js';
import { withGrant } from '../../src/worker/auth/grant.js';
import { withAnswer } from '../../src/worker/auth/hooked.js';
import { NO_OPTIONS, narrowingBy } from '../../src/worker/auth/key_options.js';
import { fingerprint } from '../../src/worker/auth/public_key.js';
import { testConfig } from '../support/test_config.js';
import { ed25519 } from '../worker/auth/keys.js';

const [key, other] = [ed25519(), ed25519()];
const line = ({ blob }: { blob: Buffer }): string => `ssh-ed25519 ${blob.toString('base64')}`;
const PEER = { address: '192.0.2.7', port: 4711 };
const NOW_MS = Date.UTC(2026, 0, 1);
const HASH = '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA';
const OTHER_HASH = '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdB';

function granted(
  users: Readonly<Record<string, Partial<UserConfig> | Record<string, unknown>>>,
  auth: { readonly endExpired?: boolean; readonly webhook?: { readonly url: string } } = {},
): Granted {
  return grantedBy(testConfig({ users, auth }), { verifyPassword: async () => ({ ok: true, match: false }) });
}

t.test('a login is taken where the config vouched for it and does not any more', async (t) => {
  const before = granted({ alice: { authorizedKeys: [line(key)], password: HASH } });
  const byKey = { username: 'alice', method: 'publickey', fingerprint: fingerprint(key.blob) } as const;
  const byPassword = { username: 'alice', method: 'password' } as const;
  const byHook = { username: 'carol', method: 'password' } as const;
  const byHooksKey = { ...byKey, fingerprint: fingerprint(other.blob) };
  for (const [name, users, key1, password] of [
    ['the same', { alice: { authorizedKeys: [line(key)], password: HASH } }, false, false],
    ['a key more', { alice: { authorizedKeys: [line(other), line(key)], password: HASH } }, false, false],
    ['another key', { alice: { authorizedKeys: [line(other)], password: HASH } }, true, false],
    ['another hash', { alice: { authorizedKeys: [line(key)], password: OTHER_HASH } }, false, true],
    ['no password', { alice: { authorizedKeys: [line(key)] } }, false, true],
    ['nobody', { bob: { authorizedKeys: [line(key)], password: HASH } }, true, true],
  ] as const) {
    const taken = takenBetween(before, granted(users), NOW_MS);
    t.equal(taken.login(byKey, PEER), key1, `${name}: key`);
    t.equal(taken.login(byPassword, PEER), password, `${name}: password`);
    t.equal(
      taken.login({ ...byPassword, method: 'keyboard-interactive' }, PEER),
      password,
      `${name}: keyboard-interactive`,
    );
    t.equal(taken.login(byHook, PEER), false, `${name}: a user of a hook's own`);
    t.equal(taken.login(byHooksKey, PEER), false, `${name}: a key that a hook let in`);
  }
});

t.test('a tunnel or a forward is taken where the patterns covered it and do not any more', async (t) => {
  const alice = { user: 'alice' };
  const tcp = { kind: 'tcp', host: 'db.internal', port: 5432 } as const;
  const at = parseAddress('10.1.2.3');
  const before = granted({
    alice: { permitOpen: ['10.0.0.0/8:*', '/run/app/*.sock'], permitListen: ['localhost:8000-8999'] },
  });
  const bind = { kind: 'tcp', host: 'localhost', port: 8001 } as const;
  const unix = { kind: 'unix', path: '/run/app/a.sock' } as const;
  for (const [name, user, open, socket, listen] of [
    [
      'the same',
      { permitOpen: ['10.0.0.0/8:*', '/run/app/*.sock'], permitListen: ['localhost:8001'] },
      false,
      false,
      false,
    ],
    ['wider', { permitOpen: ['*:*', '/run/app/*'], permitListen: ['*:*'] }, false, false, false],
    [
      'by another pattern',
      { permitOpen: ['*.internal:5432'], permitListen: ['localhost:1-65535'] },
      false,
      true,
      false,
    ],
    ['narrower', { permitOpen: ['10.2.0.0/16:*'], permitListen: ['localhost:8002'] }, true, true, true],
    ['another port', { permitOpen: ['10.0.0.0/8:80', '/run/app/a.sock'], permitListen: [] }, true, false, true],
  ] as const) {
    const taken = takenBetween(before, granted({ alice: user }), NOW_MS);
    t.equal(taken.open(alice, tcp, at), open, `${name}: tunnel`);
    t.equal(taken.open(alice, unix, null), socket, `${name}: socket`);
    t.equal(taken.bind(alice, bind), listen, `${name}: forward`);
  }
  const gone = takenBetween(before, granted({ bob: {} }), NOW_MS);
  t.same([gone.open(alice, tcp, at), gone.open(alice, unix, null), gone.bind(alice, bind)], [true, true, true]);
  const byHook = takenBetween(
    granted({ alice: { permitOpen: ['192.0.2.1:1'] } }),
    granted({ alice: { permitOpen: [] } }),
    NOW_MS,
  );
  t.equal(byHook.open(alice, tcp, at), false, 'what a hook has permitted beyond the patterns');
  t.equal(byHook.open({ user: 'carol' }, tcp, at), false, "a user of a hook's own");
});

t.test('a login is taken where the options of its line let the peer in and do not any more', async (t) => {
  const step = { username: 'alice', method: 'publickey', fingerprint: fingerprint(key.blob) } as const;
  const login = (before: readonly string[], now: readonly string[]): boolean =>
    takenBetween(
      granted({ alice: { authorizedKeys: before } }),
      granted({ alice: { authorizedKeys: now } }),
      NOW_MS,
    ).login(step, PEER);
  const [plain, expired] = [line(key), `expiry-time="20200101Z" ${line(key)}`];
  t.equal(login([plain], [`restrict ${plain}`]), false, 'who may less may stay');
  t.equal(login([plain], [`from="192.0.2.0/24" ${plain}`]), false);
  t.equal(login([plain], [`from="10.0.0.0/8" ${plain}`]), true);
  t.equal(login([plain], [`from="10.0.0.0/8" ${plain}`, `restrict ${plain}`]), false, 'another line lets it in');
  t.equal(login([plain], [expired]), true);
  t.equal(login([plain], [`cert-authority ${plain}`]), true);
  t.equal(login([plain], [`no-such-option ${plain}`]), true);
  t.equal(login([expired], [expired]), false, 'what has expired by itself is no matter of a reload');
  t.equal(login([expired], []), true, 'but that it is gone is');
});

t.test('a session ends when its line says so now, where the config ends sessions', async (t) => {
  const use = { username: 'alice', fingerprint: fingerprint(key.blob), address: PEER.address, atMs: NOW_MS };
  const identity = withGrant(
    { user: 'alice' },
    { narrowings: [narrowingBy(NO_OPTIONS, 'keys:1', use)], expiresAtMs: 1 },
  );
  const users = (endExpired: boolean, ...lines: readonly string[]): Granted =>
    granted({ alice: { authorizedKeys: lines } }, { endExpired });
  const until = (year: number): string => `expiry-time="${year}0101Z" ${line(key)}`;
  const never = Number.POSITIVE_INFINITY;
  for (const [name, before, now, beforeMs, nowMs] of [
    ['shorter', users(true, until(2030)), users(true, until(2028)), Date.UTC(2030, 0), Date.UTC(2028, 0)],
    ['longer', users(true, until(2028)), users(true, until(2030)), Date.UTC(2028, 0), Date.UTC(2030, 0)],
    ['from now on', users(false, until(2028)), users(true, until(2028)), never, Date.UTC(2028, 0)],
    ['not any more', users(true, until(2028)), users(false, until(2028)), Date.UTC(2028, 0), never],
    ['no expiry', users(true, until(2028)), users(true, line(key)), Date.UTC(2028, 0), never],
    ['no line', users(true, until(2028)), users(true), Date.UTC(2028, 0), NOW_MS],
  ] as const) {
    const ends = { ...takenBetween(before, now, NOW_MS).ends(identity) };
    t.strictSame(ends, { beforeMs, nowMs }, name);
  }
  const said = { allow: true, user: null, permitOpen: null, permitListen: null, limits: {}, reason: null };
  const about = { username: 'alice', step: { method: 'publickey' }, nowMs: NOW_MS } as const;
  const hooked = withAnswer(identity, { ...said, ttlMs: 60_000 }, about);
  const { nowMs } = takenBetween(users(true), users(true, until(2028)), NOW_MS).ends(hooked);
  t.equal(nowMs, NOW_MS + 60_000, 'and never later than the webhook has given it');
});

t.test('a name that a webhook has given is taken when it is a user of the config', async (t) => {
  const said = { allow: true, permitOpen: null, permitListen: null, limits: {}, ttlMs: null, reason: null };
  const about = { username: 'zoe', step: { method: 'password' }, nowMs: NOW_MS } as const;
  const named = withAnswer({ user: 'zoe' }, { ...said, user: 'team' }, about);
  const webhook = { webhook: { url: 'http://127.0.0.1:1/' } };
  const before = granted({}, webhook);
  for (const [name, identity, isTaken] of [
    ['the name that it gave', named, true],
    ['what an override made of it', Object.assign({}, named, { team: 'red' }), true],
    ['another name that an override gave', { ...named, user: 'ops' }, false],
    ['none', withAnswer({ user: 'zoe' }, { ...said, user: null }, about), false],
    ['the name that the peer had', withAnswer({ user: 'zoe' }, { ...said, user: 'zoe' }, about), false],
    ['no webhook at all', { user: 'team' }, false],
  ] as const) {
    const now = granted({ team: {}, ops: {}, zoe: {} }, webhook);
    t.equal(takenBetween(before, now, NOW_MS).name(identity), isTaken, name);
    t.equal(takenBetween(before, before, NOW_MS).name(identity), false, name);
  }
});

t.test('what the line of the key leaves now is left to a login by it', async (t) => {
  const tcp = { kind: 'tcp', host: 'db.internal', port: 5432 } as const;
  const bind = { kind: 'tcp', host: 'localhost', port: 8001 } as const;
  const print = fingerprint(key.blob);
  const users = (...lines: readonly string[]): Granted =>
    granted({ alice: { authorizedKeys: lines, permitOpen: ['*:*'], permitListen: ['localhost:*'] } });
  const use = { username: 'alice', fingerprint: print, address: PEER.address, atMs: NOW_MS };
  const own = withGrant({ user: 'alice' }, { narrowings: [narrowingBy(NO_OPTIONS, 'keys:1', use)], expiresAtMs: null });
  const before = users(line(key));
  for (const [name, lines, open, listen] of [
    ['the same', [line(key)], false, false],
    ['restrict', [`restrict ${line(key)}`], true, true],
    ['permitopen', [`permitopen="db.internal:5432" ${line(key)}`], false, false],
    ['another permitopen', [`permitopen="db.internal:5433" ${line(key)}`], true, false],
    ['permitlisten', [`permitlisten="8002" ${line(key)}`], false, true],
    ['a line for others before it', [`from="10.0.0.0/8",restrict ${line(key)}`, line(key)], false, false],
    ['no line', [], true, true],
  ] as const) {
    // As the login made it, and as a subclass makes its own of it.
    for (const identity of [own, { ...own, team: 'a' }]) {
      const taken = takenBetween(before, users(...lines), NOW_MS);
      t.equal(taken.open(identity, tcp, null), open, `${name}: tunnel`);
      t.equal(taken.bind(identity, bind), listen, `${name}: forward`);
    }
  }
  const bare = { user: 'alice', fingerprint: print };
  const narrower = takenBetween(before, users(`restrict ${line(key)}`), NOW_MS);
  t.equal(narrower.open(bare, tcp, null), true, 'an identity that carries no grant: every line with its key');
  t.equal(narrower.open({ user: 'alice' }, tcp, null), false, 'a login that no key made');
});
