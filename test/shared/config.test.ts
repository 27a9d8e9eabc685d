/** CONFIG: the table itself. Its defaults and bounds can be read by its own reader, and every default lies in its range. */
import t from 'tap';
import { CIPHERS, DEFAULT_MACS, HOST_KEY_ALGORITHMS, KEX_ALGORITHMS } from '../../src/shared/algorithms.js';
import { SERVER_KEYS, USER_KEYS } from '../../src/shared/config.js';
import { parseConfig } from '../../src/shared/config_file.js';
import { isKey, type Key, nameOf, type Table } from '../../src/shared/config_keys.js';
import { readObject } from '../../src/shared/config_source.js';
import { readValue } from '../../src/shared/config_value.js';
import { parseBytes, parseDuration } from '../../src/shared/units.js';

const world = {
  parallelism: 3,
  resolvePath: (path: string) => path,
  readFile: () => ({ ok: true, value: '' }) as const,
  readBytes: () => ({ ok: false, error: 'is not there' }) as const,
};

function keysOf(table: Table, path = ''): ReadonlyArray<readonly [string, Key]> {
  return Object.entries(table).flatMap(
    ([name, entry]): ReadonlyArray<readonly [string, Key]> =>
      isKey(entry) ? [[`${path}${name}`, entry]] : keysOf(entry, `${path}${name}.`),
  );
}

const KEYS = [...keysOf(SERVER_KEYS), ...keysOf(USER_KEYS, 'user.')];

t.test('each default is a value that the reader takes', async (t) => {
  for (const [name, key] of KEYS) {
    if (key.default === null) continue;
    const errors: string[] = [];
    const report = { file: 'table', error: (_at: unknown, wrong: string) => errors.push(wrong), warning: () => {} };
    t.not(readValue(key, readObject(key.default), world, report), undefined, name);
    t.same(errors, [], name);
  }
});

t.test('each bound can be read, and the lower one is the lower', async (t) => {
  for (const [name, key] of KEYS) {
    if (key.kind === 'count') t.ok(key.min < key.max && key.min <= key.default && key.default <= key.max, name);
    if (key.kind !== 'duration' && key.kind !== 'bytes') continue;
    const parse = key.kind === 'duration' ? parseDuration : parseBytes;
    const min = parse(key.min);
    const max = parse(key.max);
    t.ok(min.ok && max.ok && min.value < max.value, name);
  }
});

t.test('each key tells what, why and whence; zero and off are explained where they are allowed', async (t) => {
  for (const [name, key] of KEYS) {
    t.notMatch(key.does, /\.$|^$/, name);
    t.notMatch(key.why, /\.$|^$/, name);
    t.notMatch(key.source, /^$/, name);
    if (key.kind === 'count') t.equal(key.zero !== undefined, key.min === 0, name);
    if (key.kind === 'duration') t.equal(key.zero !== undefined, key.min === '0s', name);
  }
});

t.test('the unit is part of the name', async (t) => {
  t.equal(nameOf('connect', SERVER_KEYS.timeouts.connect), 'connectMs');
  t.equal(nameOf('memoryPerConnection', SERVER_KEYS.limits.memoryPerConnection), 'memoryPerConnectionBytes');
  t.equal(nameOf('bytes', SERVER_KEYS.rekey.bytes), 'bytes');
  t.equal(nameOf('bytesPerSecond', USER_KEYS.limits.bytesPerSecond), 'bytesPerSecond');
  t.equal(nameOf('maxTries', SERVER_KEYS.auth.maxTries), 'maxTries');
});

t.test('the defaults', async (t) => {
  const whole = { ...world, resolvePath: (path: string) => `/etc/sallyport/${path}` };
  const result = parseConfig('workers: auto', 'sallyport.yaml', whole); // a file without a key is an error
  t.ok(result.ok);
  if (!result.ok) return;
  t.same(result.config, {
    listen: [
      { address: '0.0.0.0:2222', proxyFrom: [] },
      { address: '[::]:2222', proxyFrom: [] },
    ],
    workers: 3,
    stateDir: '/etc/sallyport/./state',
    hostKeys: [],
    hostCertificates: [],
    noShell: 'This server only carries tunnels: use ssh -N with -L, -R, -D or -J.',
    handler: null,
    auth: {
      ...{ methods: ['publickey', 'password', 'keyboard-interactive'], maxTries: 6, loginGraceTimeMs: 30_000 },
      ...{ rereadFilesMs: 2_000, trustedUserCAKeys: [], revokedKeys: null, endExpired: false },
      webhook: { url: null, tokenFile: null, timeoutMs: 5_000, connections: 8, queue: 64 },
    },
    limits: {
      startups: { begin: 10, ratePercent: 30, full: 100 },
      startupsPerSource: 10,
      connections: 20_000,
      channelsPerConnection: 1024,
      forwardsPerConnection: 64,
      inboundPerForward: 512,
      inboundPerSecond: 500,
      memoryPerConnectionBytes: 16 * 2 ** 20,
      memoryPerWorkerBytes: 0,
    },
    penalties: {
      enabled: true,
      authFailMs: 5_000,
      noAuthMs: 1_000,
      graceExceededMs: 10_000,
      minMs: 15_000,
      maxMs: 600_000,
      exempt: ['127.0.0.0/8', '::1'],
    },
    timeouts: {
      connectMs: 10_000,
      hookMs: 10_000,
      keepaliveMs: 15_000,
      keepaliveCount: 3,
      halfCloseMs: 600_000,
      idleChannelMs: 0,
      stalledWriteMs: 60_000,
      drainMs: 30_000,
      retireMs: 0,
    },
    rekey: { bytes: 2 ** 30, packets: 2 ** 31, timeMs: 3_600_000 },
    algorithms: { kex: KEX_ALGORITHMS, ciphers: CIPHERS, macs: DEFAULT_MACS, hostKeys: HOST_KEY_ALGORITHMS },
    admin: { enabled: true, listen: null, tokenFile: null },
    log: { level: 'info', format: 'auto', audit: null },
    defaults: {
      totp: null,
      ...{ authorizedKeys: [], password: null, permitOpen: ['*:*'], permitListen: ['localhost:1024-65535'] },
      limits: {
        ...{ connections: 10, channels: 1024, forwards: 16, opensPerSecond: 1_000, failedOpensPerMinute: 1_000 },
        ...{ bytesPerSecond: 0, memoryBytes: 0 },
      },
      unnamed: true,
    },
    users: [],
  });
});
