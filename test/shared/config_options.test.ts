/** CONFIG OPTIONS: the compiler takes what the reader takes. Where `@ts-expect-error` stands, the build fails as soon as
 *  the compiler takes that line; the reader must refuse it too. */
import t from 'tap';
import { SERVER_KEYS, USER_KEYS } from '../../src/shared/config.js';
import { configFromObject, formatIssue } from '../../src/shared/config_file.js';
import type { Table } from '../../src/shared/config_keys.js';
import type { ConfigOptions } from '../../src/shared/config_options.js';

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$b6MDQhlJVMk+7PH3EYs31g$mqpTBbZ6B58dK15Evkzt/zG92Aw3IZVwGJy8LFhFcVI';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPLEASEDONOTUSETHISKEYITISNOTREAL me@here';
const URI = 'otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

const FILES: ReadonlyMap<string, string> = new Map([
  ['./token', 's3cret-of-16-or-more'],
  ['./alice.totp', URI],
]);

const world = {
  parallelism: 2,
  resolvePath: (path: string) => path,
  readFile: (path: string) => ({ ok: true, value: FILES.get(path) ?? KEY }) as const,
  readBytes: () => ({ ok: true, value: Buffer.from(KEY) }) as const,
};

/** Every key but `users`. */
const EVERYTHING = {
  listen: ['127.0.0.1:0'],
  workers: 'auto',
  stateDir: './state',
  hostKeys: [],
  hostCertificates: ['./host-cert.pub'],
  noShell: 'No shell here.',
  handler: './handler.js',
  auth: {
    methods: ['publickey', 'keyboard-interactive'],
    maxTries: 3,
    loginGraceTime: '1.5m',
    rereadFiles: 'off',
    webhook: { url: 'http://127.0.0.1:9000/', tokenFile: './token', timeout: '1s', connections: 1, queue: 0 },
    trustedUserCAKeys: './ca.pub',
    revokedKeys: './revoked.krl',
    endExpired: true,
  },
  limits: {
    startups: '10:30:100',
    startupsPerSource: 0,
    connections: 10,
    channelsPerConnection: 10,
    forwardsPerConnection: 0,
    inboundPerForward: 5,
    inboundPerSecond: 0,
    memoryPerConnection: '1MiB',
    memoryPerWorker: 'auto',
  },
  penalties: {
    enabled: true,
    authFail: '5s',
    noAuth: '0s',
    graceExceeded: '10s',
    min: '15s',
    max: '10m',
    exempt: ['10.0.0.0/8'],
  },
  timeouts: {
    connect: '250ms',
    hook: '2s',
    keepalive: 'off',
    keepaliveCount: 3,
    halfClose: '1h',
    idleChannel: '7d',
    stalledWrite: '1m',
    drain: '0s',
    retire: 'off',
  },
  rekey: { bytes: '65536B', packets: 2000, time: '1h' },
  algorithms: {
    kex: ['mlkem768x25519-sha256'],
    ciphers: ['aes256-ctr'],
    macs: ['hmac-sha2-512'],
    hostKeys: ['ssh-ed25519'],
  },
  admin: { enabled: true, listen: '127.0.0.1:9090', tokenFile: './token' },
  log: { level: 'silent', format: 'json', audit: './audit.jsonl' },
  defaults: {
    authorizedKeys: './keys',
    password: HASH,
    totp: './alice.totp',
    permitOpen: ['*:443'],
    permitListen: [],
    limits: {
      ...{ connections: 5, channels: 0, forwards: 0, memory: '8MiB' },
      ...{ opensPerSecond: 0, failedOpensPerMinute: 60, bytesPerSecond: '1MiB' },
    },
  },
} as const satisfies ConfigOptions;

function errorsOf(options: object): readonly string[] {
  const result = configFromObject(options, 'options', world);
  return result.ok ? [] : result.errors.map(formatIssue);
}

t.test('both take every key', async (t) => {
  const sections: ReadonlyArray<readonly [Table, object]> = [
    [SERVER_KEYS, EVERYTHING],
    [SERVER_KEYS.auth, EVERYTHING.auth],
    [SERVER_KEYS.auth.webhook, EVERYTHING.auth.webhook],
    [SERVER_KEYS.limits, EVERYTHING.limits],
    [SERVER_KEYS.penalties, EVERYTHING.penalties],
    [SERVER_KEYS.timeouts, EVERYTHING.timeouts],
    [SERVER_KEYS.rekey, EVERYTHING.rekey],
    [SERVER_KEYS.algorithms, EVERYTHING.algorithms],
    [SERVER_KEYS.log, EVERYTHING.log],
    [USER_KEYS, EVERYTHING.defaults],
    [USER_KEYS.limits, EVERYTHING.defaults.limits],
  ];
  for (const [table, options] of sections)
    t.same(
      Object.keys(table).filter((name) => !Object.hasOwn(options, name)),
      [],
    );
  t.same(errorsOf(EVERYTHING), []);
});

t.test('both take users by name, in an object or a Map, and what is left out', async (t) => {
  const good: readonly ConfigOptions[] = [
    {},
    { users: { alice: { authorizedKeys: [KEY] }, bob: {} } },
    { users: new Map([['__proto__', { authorizedKeys: './keys' }]]) },
    { workers: 2, timeouts: { idleChannel: 'off', drain: undefined }, users: undefined, log: undefined },
  ];
  for (const options of good) t.same(errorsOf(options), [], JSON.stringify(options));
});

t.test('both refuse what is no value of a key', async (t) => {
  const bad: readonly ConfigOptions[] = [
    // @ts-expect-error a number has no unit
    { timeouts: { drain: 1000 } },
    // @ts-expect-error nor has this text
    { timeouts: { drain: '1000' } },
    // @ts-expect-error `min` is no unit
    { timeouts: { drain: '1min' } },
    // @ts-expect-error never off
    { timeouts: { hook: 'off' } },
    // @ts-expect-error MB means two things
    { rekey: { bytes: '16MB' } },
    // @ts-expect-error weak
    { algorithms: { kex: ['diffie-hellman-group14-sha1'] } },
    // @ts-expect-error a duration is no size
    { limits: { memoryPerConnection: '16s' } },
    // @ts-expect-error no triple
    { limits: { startups: '10:30' } },
    // @ts-expect-error neither a number nor auto
    { workers: 'all' },
    // @ts-expect-error no method
    { auth: { methods: ['none'] } },
    // @ts-expect-error no level
    { log: { level: 'loud' } },
    // @ts-expect-error no list
    { listen: '127.0.0.1:0' },
    // @ts-expect-error left out is undefined
    { handler: null },
    // @ts-expect-error no key
    { lisen: [] },
    // @ts-expect-error false switches it off; nothing switches it on but leaving it out
    { penalties: true },
    // @ts-expect-error names without what they name
    { users: ['alice'] },
  ];
  for (const options of bad) t.equal(errorsOf(options).length, 1, JSON.stringify(options));
});
