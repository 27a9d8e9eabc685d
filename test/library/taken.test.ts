/** What a reload takes away, by table: had before, has now. */
import t from 'tap';
import { Rules } from '../../src/library/rules.js';
import { type Granted, takenBetween } from '../../src/library/taken.js';
import { parseAddress } from '../../src/shared/address.js';
import type { UserConfig } from '../../src/shared/config.js';
import { Directory } from '../../src/worker/auth/directory.js';
import { fingerprint } from '../../src/worker/auth/public_key.js';
import { testConfig } from '../support/test_config.js';
import { ed25519 } from '../worker/auth/keys.js';

const [key, other] = [ed25519(), ed25519()];
const line = ({ blob }: { blob: Buffer }): string => `ssh-ed25519 ${blob.toString('base64')}`;
const HASH = '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA';
const OTHER_HASH = '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdB';

function granted(users: Readonly<Record<string, Partial<UserConfig> | Record<string, unknown>>>): Granted {
  const config = testConfig({ users });
  return {
    directory: new Directory({ users: config.users, verifyPassword: async () => ({ ok: true, match: false }) }),
    rules: new Map(config.users.map((user) => [user.name, new Rules(user)])),
  };
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
    const taken = takenBetween(before, granted(users));
    t.equal(taken.login(byKey), key1, `${name}: key`);
    t.equal(taken.login(byPassword), password, `${name}: password`);
    t.equal(taken.login({ ...byPassword, method: 'keyboard-interactive' }), password, `${name}: keyboard-interactive`);
    t.equal(taken.login(byHook), false, `${name}: a user of a hook's own`);
    t.equal(taken.login(byHooksKey), false, `${name}: a key that a hook let in`);
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
    const taken = takenBetween(before, granted({ alice: user }));
    t.equal(taken.open(alice, tcp, at), open, `${name}: tunnel`);
    t.equal(taken.open(alice, unix, null), socket, `${name}: socket`);
    t.equal(taken.bind(alice, bind), listen, `${name}: forward`);
  }
  const gone = takenBetween(before, granted({ bob: {} }));
  t.same([gone.open(alice, tcp, at), gone.open(alice, unix, null), gone.bind(alice, bind)], [true, true, true]);
  const byHook = takenBetween(
    granted({ alice: { permitOpen: ['192.0.2.1:1'] } }),
    granted({ alice: { permitOpen: [] } }),
  );
  t.equal(byHook.open(alice, tcp, at), false, 'what a hook has permitted beyond the patterns');
  t.equal(byHook.open({ user: 'carol' }, tcp, at), false, "a user of a hook's own");
});
