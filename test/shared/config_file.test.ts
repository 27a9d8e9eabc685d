/** CONFIG FILE: good files and what becomes of them; bad files and the very lines that are printed. */
import t from 'tap';
import { CIPHERS, HOST_KEY_ALGORITHMS, KEX_ALGORITHMS, MACS } from '../../src/shared/algorithms.js';
import type { Config } from '../../src/shared/config.js';
import { configFromObject, formatIssue, parseConfig } from '../../src/shared/config_file.js';

const LISTEN_MAP = '{ address: "HOST:PORT", proxyProtocol: { from: [ADDRESS or CIDR block, …] } }';
const LISTENERS = `a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`;
const HASH = '$argon2id$v=19$m=19456,t=2,p=1$b6MDQhlJVMk+7PH3EYs31g$mqpTBbZ6B58dK15Evkzt/zG92Aw3IZVwGJy8LFhFcVI';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPLEASEDONOTUSETHISKEYITISNOTREAL me@here';

const URI = 'otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const FILES: ReadonlyMap<string, string> = new Map([
  ['/cfg/alice.pub', `# the laptop\n\n${KEY}\n`],
  ['/cfg/empty.pub', ''],
  ['/cfg/comment.pub', '# gone\n'],
  ['/cfg/alice.totp', `# the phone\n${URI}\n`],
  ['/cfg/damaged.totp', `${URI}&digits=5\n`],
  ['/cfg/id', '-----BEGIN OPENSSH PRIVATE KEY-----\n'],
]);

const REVOKED = Buffer.from('SSHKRL\n\0', 'latin1');

const world = {
  parallelism: 4,
  resolvePath: (path: string) => (path.startsWith('/') ? path : `/cfg/${path}`),
  readBytes: (path: string) =>
    path === '/cfg/revoked.krl'
      ? ({ ok: true, value: REVOKED } as const)
      : ({ ok: false, error: 'is not there' } as const),
  readFile: (path: string, { isSecret } = { isSecret: false }) => {
    if (path.endsWith('.totp') && !isSecret) throw new Error(`${path} is read as another kind of file`);
    const value = FILES.get(path);
    return value === undefined ? ({ ok: false, error: 'is not there' } as const) : ({ ok: true, value } as const);
  },
};

function good(text: string): Config {
  const result = parseConfig(text, 'c.yaml', world);
  if (!result.ok) throw new Error(result.errors.map(formatIssue).join('\n'));
  return result.config;
}

function errorsOf(text: string): readonly string[] {
  const result = parseConfig(text, 'c.yaml', world);
  return result.ok ? [] : result.errors.map(formatIssue);
}

function warningsOf(text: string): readonly string[] {
  return parseConfig(text, 'c.yaml', world).warnings.map(formatIssue);
}

t.test('a whole file', async (t) => {
  const config = good(`
listen: ["127.0.0.1:0", "[::1]:2222"]
workers: 2
stateDir: /var/lib/sallyport
hostKeys: [./host_key]
noShell: |
  No shell here.
handler: ./handler.js
auth: { methods: [publickey], maxTries: 3, loginGraceTime: 1m }
defaults:
  permitOpen: ["*:443"]
  limits: { connections: 5 }
users:
  alice:
    authorizedKeys: alice.pub
    password: "${HASH}"
    permitListen: []
    limits: { forwards: 0, bytesPerSecond: 100MiB }
  bob:
    authorizedKeys:
      - ${KEY}
      - "# not a key"
limits: { startups: "5:50:10", memoryPerConnection: 1MiB }
timeouts: { keepalive: off, idleChannel: 1h, drain: 0s }
rekey: { bytes: 256KiB, packets: 1000, time: 10s }
penalties: { authFail: 0s, min: 1m, max: 1m, exempt: [10.0.0.0/8, "2001:db8::1"] }
log: { level: debug, format: json }
`);
  t.match(config, {
    penalties: { enabled: true, authFailMs: 0, noAuthMs: 1_000, minMs: 60_000, exempt: ['10.0.0.0/8', '2001:db8::1'] },
    listen: ['127.0.0.1:0', '[::1]:2222'].map((address) => ({ address, proxyFrom: [] })),
    workers: 2,
    stateDir: '/var/lib/sallyport',
    hostKeys: ['/cfg/./host_key'],
    noShell: 'No shell here.\n',
    handler: '/cfg/./handler.js',
    auth: { methods: ['publickey'], maxTries: 3, loginGraceTimeMs: 60_000 },
    limits: {
      startups: { begin: 5, ratePercent: 50, full: 10 },
      memoryPerConnectionBytes: 2 ** 20,
      connections: 20_000,
    },
    timeouts: { keepaliveMs: 0, idleChannelMs: 3_600_000, drainMs: 0, connectMs: 10_000 },
    rekey: { bytes: 262_144, packets: 1000, timeMs: 10_000 },
    log: { level: 'debug', format: 'json' },
  });
  const [alice, bob] = config.users;
  t.same(alice, {
    name: 'alice',
    authorizedKeys: [{ text: KEY, file: '/cfg/alice.pub', line: 3 }],
    password: HASH,
    totp: null,
    permitOpen: ['*:443'],
    permitListen: [],
    limits: {
      ...{ connections: 5, channels: 1024, forwards: 0, memoryBytes: 0 },
      ...{ opensPerSecond: 1000, failedOpensPerMinute: 1000, bytesPerSecond: 104_857_600 },
    },
  });
  t.same(bob?.authorizedKeys, [{ text: KEY, file: 'c.yaml', line: 21 }]);
  t.match(bob?.limits, { connections: 5, channels: 1024, forwards: 16, bytesPerSecond: 0, memoryBytes: 0 });
  t.same(bob?.permitListen, ['localhost:1024-65535']);
  t.equal(bob?.password, null);
});

t.test('a section with a switch may stand as false', async (t) => {
  t.match(good('penalties: false').penalties, { enabled: false, minMs: 15_000 });
  t.match(good('penalties: {enabled: false, min: 1s}').penalties, { enabled: false, minMs: 1_000 });
  for (const text of ['', 'penalties:', 'penalties: {}']) t.match(good(text).penalties, { enabled: true });
});

t.test('a key of everybody is a default like any other, and a list of a user takes its place', async (t) => {
  const { users } = good(
    `{defaults: {authorizedKeys: alice.pub, password: "${HASH}"}, users: {a: , b: {authorizedKeys: []}}}`,
  );
  t.same(
    users.map(({ authorizedKeys, password }) => [authorizedKeys.length, password === HASH]),
    [
      [1, true],
      [0, true],
    ],
  );
});

t.test('names that are something else to JavaScript or to YAML are users like any other', async (t) => {
  const names = ['__proto__', 'constructor', 'toString', '007', 'null', 'true', 'ü', 'a b', 'x'.repeat(255)];
  const { users } = good(
    `defaults: {authorizedKeys: alice.pub}\nusers:\n${names.map((name) => `  ${name}:\n`).join('')}`,
  );
  t.same(
    users.map(({ name }) => name),
    names,
  );
});

t.test('one wrong thing each, word for word', async (t) => {
  const durations = '(250ms, 30s, 10m, 1h or 1d)';
  const cases: ReadonlyArray<readonly [string, string]> = [
    [
      'lisen: []',
      '1:1: lisen: unknown key (did you mean listen?), allowed: listen, workers, stateDir, hostKeys, hostCertificates, noShell, handler, auth, limits, penalties, timeouts, rekey, algorithms, admin, log, defaults, users',
    ],
    [
      'rekey: {maxTries: 3}',
      '1:9: rekey.maxTries: unknown key (did you mean auth.maxTries?), allowed: bytes, packets, time',
    ],
    [
      'users: {al: {permitopen: []}}',
      '1:14: users.al.permitopen: unknown key (did you mean users.al.permitOpen?), allowed: authorizedKeys, password, totp, permitOpen, permitListen, limits',
    ],
    [
      '__proto__: 1',
      '1:1: __proto__: unknown key, allowed: listen, workers, stateDir, hostKeys, hostCertificates, noShell, handler, auth, limits, penalties, timeouts, rekey, algorithms, admin, log, defaults, users',
    ],
    ['workers: 1\nworkers: 2', '2:1: workers: stands twice, allowed: once'],
    ['users: {a: , a: }', '1:14: users.a: stands twice, allowed: once'],
    ['[]', '1:1: yaml: is a list, allowed: keys and their values'],
    ['timeouts: 5s', '1:11: timeouts: "5s" is a text, allowed: keys and their values'],
    ['timeouts: false', '1:11: timeouts: is false, allowed: keys and their values'],
    ['penalties: 5s', '1:12: penalties: "5s" is a text, allowed: keys and their values, or false'],
    ['penalties: true', '1:12: penalties: is true, allowed: keys and their values, or false'],
    ['penalties: {enabled: off}', '1:22: penalties.enabled: "off" is a text, allowed: true or false'],
    ['penalties: {enabled: 0}', '1:22: penalties.enabled: is 0, allowed: true or false'],
    [
      'penalties: {exempt: [10.0.0.1/8]}',
      '1:22: penalties.exempt[0]: "10.0.0.1/8" is no address and no CIDR block, or has bits beyond its prefix, allowed: a list of addresses and CIDR blocks, such as "10.0.0.0/8" or "2001:db8::/32"',
    ],
    ['workers: 1\npenalties: {min: 11m}', '2:1: penalties.min: is above penalties.max, allowed: at most that'],
    ['users: {al: yes}', '1:13: users.al: "yes" is a text, allowed: keys and their values'],
    ['timeouts: {connect: 10}', `1:21: timeouts.connect: 10 has no unit, allowed: 100ms to 5m ${durations}`],
    ['timeouts: {connect: 1ms}', `1:21: timeouts.connect: "1ms" is too small, allowed: 100ms to 5m ${durations}`],
    ['timeouts: {connect: 1h}', `1:21: timeouts.connect: "1h" is too large, allowed: 100ms to 5m ${durations}`],
    ['timeouts: {connect: }', `1:21: timeouts.connect: has no value, allowed: 100ms to 5m ${durations}`],
    [
      'timeouts: {connect: off}',
      `1:21: timeouts.connect: "off" is not a number with a unit, allowed: 100ms to 5m ${durations}`,
    ],
    [
      'timeouts: {hook: off}',
      `1:18: timeouts.hook: "off" is not a number with a unit, allowed: 100ms to 5m ${durations}`,
    ],
    [
      'users: {a: {limits: {bytesPerSecond: 1000}}}',
      '1:38: users.a.limits.bytesPerSecond: 1000 has no unit, allowed: 1KiB to 1TiB or off (512B, 64KiB, 16MiB, 1GiB or 1TiB)',
    ],
    [
      'defaults: {limits: {bytesPerSecond: 1B}}',
      '1:37: defaults.limits.bytesPerSecond: "1B" is too small, allowed: 1KiB to 1TiB or off (512B, 64KiB, 16MiB, 1GiB or 1TiB)',
    ],
    ['timeouts: {keepalive: 0}', `1:23: timeouts.keepalive: 0 has no unit, allowed: 1s to 1h or off ${durations}`],
    [
      'timeouts: {keepaliveCount: 0}',
      '1:28: timeouts.keepaliveCount: 0 is out of range, allowed: a whole number from 1 to 100',
    ],
    ['auth: {maxTries: "6"}', '1:18: auth.maxTries: "6" is a text, allowed: a whole number from 1 to 100'],
    ['auth: {maxTries: 1.5}', '1:18: auth.maxTries: 1.5 is out of range, allowed: a whole number from 1 to 100'],
    [
      'auth: {methods: []}',
      '1:17: auth.methods: is empty, allowed: a list of at least one of publickey, password, keyboard-interactive',
    ],
    [
      'auth: {methods: [password, none]}',
      '1:28: auth.methods[1]: "none" is not known, allowed: a list of at least one of publickey, password, keyboard-interactive',
    ],
    [
      'auth: {methods: [password, password]}',
      '1:28: auth.methods[1]: "password" is there already, as [0], allowed: a list of at least one of publickey, password, keyboard-interactive',
    ],
    [
      'rekey: {bytes: 16MB}',
      '1:16: rekey.bytes: "16MB" has an unknown unit MB, allowed: 64KiB to 64GiB (512B, 64KiB, 16MiB, 1GiB or 1TiB)',
    ],
    ['workers: many', '1:10: workers: "many" is a text, allowed: auto or a whole number from 1 to 1024'],
    ['workers: true', '1:10: workers: is true, allowed: auto or a whole number from 1 to 1024'],
    [
      'limits: {startups: 10}',
      '1:20: limits.startups: 10 is not BEGIN:RATE:FULL, allowed: "BEGIN:RATE:FULL" with BEGIN up to FULL and RATE from 1 to 100, such as "10:30:100"',
    ],
    [
      'log: {level: verbose}',
      '1:14: log.level: "verbose" is not known, allowed: trace, debug, info, warn, error, silent',
    ],
    [
      'listen: "127.0.0.1:22"',
      `1:9: listen: "127.0.0.1:22" is a text and not a list, allowed: a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`,
    ],
    [
      'listen: ["::1:22"]',
      `1:10: listen[0]: "::1:22" is not HOST:PORT, allowed: a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`,
    ],
    [
      'listen: ["127.0.0.1:70000"]',
      `1:10: listen[0]: "127.0.0.1:70000" is not HOST:PORT, allowed: a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`,
    ],
    [
      'listen: ["[::1]:22", "[0:0::1]:22"]',
      `1:22: listen[1]: "[0:0::1]:22" is there already, as [0], allowed: a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`,
    ],
    ['listen: [{proxyProtocol: {from: ["::1"]}}]', `1:10: listen[0]: is a map, allowed: ${LISTENERS}`],
    ['listen: [{address: "a:1", proxy: 1}]', `1:27: listen[0]: unknown key "proxy", allowed: ${LISTEN_MAP}`],
    ['listen: [{address: "a"}]', `1:20: listen[0]: "a" is not HOST:PORT, allowed: ${LISTENERS}`],
    ['listen: ["a:1", {address: "a:1"}]', `1:27: listen[1]: "a:1" is there already, as [0], allowed: ${LISTENERS}`],
    ['listen: [{address: "a:1", address: "b:1"}]', '1:27: listen[0]: address stands twice, allowed: once'],
    [
      'listen: [{address: "a:1", proxyProtocol: true}]',
      `1:42: listen[0]: proxyProtocol is true, allowed: ${LISTEN_MAP}`,
    ],
    [
      'listen: [{address: "a:1", proxyProtocol: {}}]',
      `1:42: listen[0]: proxyProtocol.from is missing, allowed: ${LISTEN_MAP}`,
    ],
    [
      'listen: [{address: "a:1", proxyProtocol: {from: []}}]',
      `1:49: listen[0]: proxyProtocol.from is empty: no address could bring anybody, allowed: ${LISTEN_MAP}`,
    ],
    [
      'listen: [{address: "a:1", proxyProtocol: {from: [10.0.0.5/8]}}]',
      `1:50: listen[0]: "10.0.0.5/8" is no address and no CIDR block, or has bits beyond its prefix, allowed: ${LISTEN_MAP}`,
    ],
    ['stateDir: ~/state', '1:11: stateDir: "~/state" begins with ~, which only a shell understands, allowed: a path'],
    ['stateDir: 1.10', '1:11: stateDir: 1.1 is a number and not a text: put it in quotes, allowed: a path'],
    ['handler: ""', '1:10: handler: "" is empty, allowed: a path of a JavaScript module'],
    ['handler:', '1:9: handler: has no value, allowed: a path of a JavaScript module'],
    [
      'handler: ~/handler.js',
      '1:10: handler: "~/handler.js" begins with ~, which only a shell understands, allowed: a path of a JavaScript module',
    ],
    [
      'noShell: "a\\eb"',
      '1:10: noShell: "a\\u001bb" has control characters, allowed: a text of at most 1024 characters without control characters',
    ],
    [
      'users: {"a\\nb": {authorizedKeys: alice.pub}}',
      '1:9: users."a\\nb": is no user name, allowed: 1 to 255 bytes of printable characters',
    ],
    [
      `users: {${'x'.repeat(256)}: }`,
      `1:9: users.${'x'.repeat(256)}: is no user name, allowed: 1 to 255 bytes of printable characters`,
    ],
    [
      'users: {a: {authorizedKeys: none.pub}}',
      '1:29: users.a.authorizedKeys: "none.pub" (/cfg/none.pub) is not there, allowed: a path or a list of authorized_keys lines',
    ],
    [
      'users: {a: {authorizedKeys: empty.pub}}',
      '1:29: users.a.authorizedKeys: "empty.pub" (/cfg/empty.pub) is an empty file; write [] where no key is meant, allowed: a path or a list of authorized_keys lines',
    ],
    [
      'users: {a: {authorizedKeys: id}}',
      '1:29: users.a.authorizedKeys: "id" is a private key file; the public one ends in .pub, allowed: a path or a list of authorized_keys lines',
    ],
    [
      'users: {a: {authorizedKeys: ssh-ed25519 AAAAC3}}',
      '1:29: users.a.authorizedKeys: "ssh-ed25519 AAAAC3" is a key and not a path: put it in a list, as ["…"], allowed: a path or a list of authorized_keys lines',
    ],
    [
      'users: {a: {authorizedKeys: ["a\\nb"]}}',
      '1:30: users.a.authorizedKeys[0]: has more than one line or control characters, allowed: a path or a list of authorized_keys lines',
    ],
    ['a: [', '1:5: yaml: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ];
  for (const [text, line] of cases) t.same(errorsOf(text), [`c.yaml:${line}`], text.slice(0, 60));
});

t.test('a name of which a log would show something else is no user name', async (t) => {
  for (const name of ['exe.\u202etxt', 'a\u200b', '\ufeffa', 'a\u2028b', '\ud800']) {
    const [error, ...others] = errorsOf(`users: {${JSON.stringify(name)}: {authorizedKeys: alice.pub}}`);
    t.match(error, /is no user name, allowed: 1 to 255 bytes of printable characters$/);
    t.same(others, []);
  }
  t.same(errorsOf('users: {"Grüße 漢字 🙂": {authorizedKeys: alice.pub}}'), [], 'twin: unusual, but it can be seen');
});

t.test('patterns are told by number, with what is allowed', async (t) => {
  const errors = errorsOf('users: {a: {permitOpen: ["*:443", "nohost", "10.0.0.0/8:0"], permitListen: ["x"]}}');
  t.equal(errors.length, 3);
  t.match(errors[0], /^c\.yaml:1:35: users\.a\.permitOpen\[1\]: "nohost": /);
  t.match(errors[1], /^c\.yaml:1:45: users\.a\.permitOpen\[2\]: "10\.0\.0\.0\/8:0": /);
  t.match(errors[2], /^c\.yaml:1:77: users\.a\.permitListen\[0\]: "x": /);
});

t.test('a password must be a hash, and is never repeated', async (t) => {
  const bad = [
    'hunter2',
    '$2b$12$abcdefghijklmnopqrstuv',
    HASH.replace('argon2id', 'argon2i'),
    HASH.replace('v=19', 'v=16'),
    HASH.replace('m=19456', 'm=8'),
    HASH.replace('m=19456', 'm=99999999'),
    HASH.replace('t=2', 't=0'),
    HASH.replace('p=1', 'p=99'),
    HASH.slice(0, -25),
    `${HASH}\n`,
    '',
  ];
  for (const password of bad) {
    const errors = errorsOf(`users: {a: {password: ${JSON.stringify(password)}}}`);
    t.equal(errors.length, 1, password);
    t.match(errors[0], /^c\.yaml:1:23: users\.a\.password: .*`sallyport hash-password`/, password);
    if (password.length > 3) t.notOk(errors[0]?.includes(password), 'not repeated');
  }
  t.same(errorsOf('users: {a: {password: 1234}}').length, 1, 'a number is none either');
  t.same(errorsOf(`users: {a: {password: "${HASH}"}}`), []);
});

t.test('CAs and revoked keys', async (t) => {
  const none = good('{}').auth;
  t.match(none, { trustedUserCAKeys: [], revokedKeys: null, endExpired: false });
  t.match(good('auth: {trustedUserCAKeys: alice.pub, revokedKeys: revoked.krl, endExpired: true}').auth, {
    trustedUserCAKeys: [{ text: KEY, file: '/cfg/alice.pub', line: 3 }],
    revokedKeys: { file: '/cfg/revoked.krl', base64: REVOKED.toString('base64') },
    endExpired: true,
  });
  t.match(errorsOf('auth: {revokedKeys: gone}'), [
    /^c\.yaml:1:21: auth\.revokedKeys: "gone" \(\/cfg\/gone\) is not there/,
  ]);
  t.match(errorsOf('auth: {trustedUserCAKeys: gone.pub}'), [/auth\.trustedUserCAKeys: .*is not there/]);
  t.match(warningsOf('users: {a: {}}'), [/has neither a key nor a password: cannot log in/]);
  t.same(warningsOf('{auth: {trustedUserCAKeys: alice.pub}, users: {a: {}}}'), [], 'a certificate lets him in');
});

t.test('a second factor is read from its file, and nothing of it is repeated', async (t) => {
  const { users } = good(`users: {a: {password: "${HASH}", totp: alice.totp}, b: {password: "${HASH}"}}`);
  const secret = Buffer.from('12345678901234567890').toString('base64');
  t.strictSame(
    users.map(({ totp }) => totp),
    [{ algorithm: 'SHA1', digits: 6, periodSeconds: 30, secret, file: '/cfg/alice.totp' }, null],
  );
  const rows = [
    ['gone.totp', '(/cfg/gone.totp) is not there'],
    ['damaged.totp', '(/cfg/damaged.totp) has digits that are none of 6, 7 and 8'],
    [URI, 'is the URI and not a path: put it in a file of its own, mode 600'],
  ] as const;
  for (const [totp, wrong] of rows) {
    const errors = errorsOf(`users: {a: {password: "${HASH}", totp: ${JSON.stringify(totp)}}}`);
    t.same(errors.length, 1);
    t.match(errors[0], `users.a.totp: ${wrong}, allowed: a path of a file with an otpauth`);
    t.notMatch(errors[0], 'GEZDGNBV');
  }
});

t.test('all errors at once, in the order of the file', async (t) => {
  const errors = errorsOf(`
users:
  alice: { password: x, permitOpen: 5, limits: { connections: 0 } }
timeouts: { drain: 5, halfClose: off }
listen: []
penalties: true
bogus: 1
`);
  t.same(
    errors.map((line) => line.split(': ', 2).join(': ')),
    [
      'c.yaml:3:22: users.alice.password',
      'c.yaml:3:37: users.alice.permitOpen',
      'c.yaml:3:63: users.alice.limits.connections',
      'c.yaml:4:20: timeouts.drain',
      'c.yaml:4:34: timeouts.halfClose',
      'c.yaml:5:9: listen',
      'c.yaml:6:12: penalties',
      'c.yaml:7:1: bogus',
    ],
  );
});

t.test('a listener with proxies', async (t) => {
  const result = parseConfig(
    'listen: ["a:1", {address: "b:2", proxyProtocol: {from: [10.0.0.5, "2001:db8::/32"]}}, {address: "c:3"}]',
    'c.yaml',
    world,
  );
  t.match(result, {
    ok: true,
    config: {
      listen: [
        { address: 'a:1', proxyFrom: [] },
        { address: 'b:2', proxyFrom: ['10.0.0.5', '2001:db8::/32'] },
        { address: 'c:3', proxyFrom: [] },
      ],
    },
  });
});

t.test('what is odd but no error is a warning', async (t) => {
  t.match(warningsOf('listen: [{address: "a:1", proxyProtocol: {from: ["::/0"]}}]\nusers: {}'), [
    'c.yaml:1:49: listen[0]: everybody may say that he is somebody else: name the proxies',
    /no user/,
  ]);
  t.same(warningsOf(''), ['c.yaml:1:1: users: there is no user: nobody can log in']);
  t.same(warningsOf('listen: ["a:1"]\nusers:\n'), ['c.yaml:2:7: users: there is no user: nobody can log in']);
  t.same(warningsOf('users: {a: }'), ['c.yaml:1:9: users.a: has neither a key nor a password: cannot log in']);
  t.same(warningsOf(`users: {a: {password: "${HASH}"}}`), []);
  t.same(warningsOf(`users: {a: {authorizedKeys: comment.pub, password: "${HASH}"}}`), [
    'c.yaml:1:29: users.a.authorizedKeys: the file has no key',
  ]);
  const unbindable = 'a name cannot be bound in this version; allowed are *, localhost and addresses';
  const listen = '["app.internal:80", "localhost:*", "*.alice:1-9", "*:9", "[::1]:9", /run/x.sock]';
  t.same(warningsOf(`defaults:\n  permitListen: ${listen}\nusers: {a: {password: "${HASH}"}}`), [
    `c.yaml:2:18: defaults.permitListen[0]: "app.internal:80": ${unbindable}`,
    `c.yaml:2:52: defaults.permitListen[2]: "*.alice:1-9": ${unbindable}`,
  ]);
});

t.test('with a handler a file may leave users to it', async (t) => {
  const handler = 'handler: ./handler.js\n';
  t.same(warningsOf(handler), []);
  t.same(warningsOf(`${handler}users: {a: }`), [], 'its logins may need no key');
  t.same(warningsOf(`${handler}defaults: {permitOpen: ["*:443"]}\nusers: {a: {password: "${HASH}"}}`), []);
  t.same(warningsOf('handler: ""'), [], 'the error is enough');
});

t.test('an alias means what it names', async (t) => {
  const { users } = good('users:\n  a: &a {authorizedKeys: alice.pub, permitOpen: ["x:1"]}\n  b: *a\n');
  t.same(users[1]?.permitOpen, ['x:1']);
});

t.test('a program’s object goes by the same rules', async (t) => {
  const result = configFromObject(
    { listen: ['127.0.0.1:0'], timeouts: { drain: '1s' }, workers: undefined },
    'options',
    world,
  );
  t.ok(result.ok);
  if (result.ok)
    t.match(result.config, {
      listen: [{ address: '127.0.0.1:0', proxyFrom: [] }],
      timeouts: { drainMs: 1_000 },
      workers: 4,
    });
  const bad = configFromObject({ timeouts: { drain: 1000 }, bogus: 1 }, 'options', world);
  t.notOk(bad.ok);
  if (!bad.ok)
    t.same(
      bad.errors.map(formatIssue).map((line) => line.split(',')[0]),
      ['options: bogus: unknown key', 'options: timeouts.drain: 1000 has no unit'],
    );
  t.ok(configFromObject(undefined, 'options', world).ok);
});

t.test('algorithms: an unknown name and a weak one are told in each list, with those that are allowed', async (t) => {
  const lists = [
    ['kex', KEX_ALGORITHMS, ['diffie-hellman-group14-sha256', 'diffie-hellman-group1-sha1', 'sntrup761x25519-sha512']],
    ['ciphers', CIPHERS, ['aes128-cbc', '3des-cbc', 'arcfour', 'none']],
    ['macs', MACS, ['hmac-sha1', 'hmac-md5', 'umac-64@openssh.com', 'none']],
    ['hostKeys', HOST_KEY_ALGORITHMS, ['ssh-rsa', 'ssh-dss', 'ssh-rsa-cert-v01@openssh.com']],
  ] as const;
  for (const [key, names, refused] of lists) {
    const allowed = `allowed: a list of at least one of ${names.join(', ')}`;
    const said = (list: string): readonly string[] => errorsOf(`algorithms: {${key}: ${list}}`);
    const at = (offset: number): string =>
      `c.yaml:1:${`algorithms: {${key}: [`.length + 1 + offset}: algorithms.${key}`;
    for (const name of [...refused, names[0].toUpperCase(), `${names[0]}x`])
      t.same(said(`["${name}"]`), [`${at(0)}[0]: "${name}" is not known, ${allowed}`]);
    t.same(
      said(`["${names[0]}", "x"]`),
      [`${at(names[0].length + 4)}[1]: "x" is not known, ${allowed}`],
      'one is enough',
    );
    t.same(said('[]'), [`${at(-1)}: is empty, ${allowed}`], 'not a way to offer nothing');
    t.same(said(`["${names[1]}"]`), [], 'twin: narrowed');
  }
});
