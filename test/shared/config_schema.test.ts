/** CONFIG SCHEMA: what editors are told agrees with what the reader takes. zod reads the schema as an outsider would. */
import t from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseConfig } from '../../src/shared/config_file.js';
import { configMarkdown, configSchema } from '../../src/shared/config_schema.js';

const world = {
  parallelism: 1,
  resolvePath: (path: string) => path,
  readFile: () => ({ ok: true, value: 'ssh-ed25519 AAAA' }) as const,
  readBytes: () => ({ ok: true, value: Buffer.from('ssh-ed25519 AAAA') }) as const,
};

/** Every key that stands in the file, as people write it. */
const EXAMPLE = `
listen: ["0.0.0.0:2222", "[::]:2222"]
workers: auto
stateDir: ./state
hostKeys: []
hostCertificates: []
noShell: "This server only carries tunnels: use ssh -N with -L, -R, -D or -J."
handler: ./handler.js
auth:
  methods: [publickey, password, keyboard-interactive]
  maxTries: 6
  loginGraceTime: 30s
  trustedUserCAKeys: ./ca.pub
  revokedKeys: ./revoked
  endExpired: false
defaults:
  permitOpen: ["*:*"]
  permitListen: ["localhost:1024-65535"]
users:
  alice:
    authorizedKeys: ./alice.pub
    password: "$argon2id$v=19$m=19456,t=2,p=1$b6MDQhlJVMk+7PH3EYs31g$mqpTBbZ6B58dK15Evkzt/zG92Aw3IZVwGJy8LFhFcVI"
    permitOpen: ["10.0.0.0/8:*", "*.db.internal:5432,5433", "localhost:8000-8999", "/run/app/*.sock"]
    permitListen: ["localhost:*", "*:9000-9099", "/run/tunnels/alice/*.sock"]
    limits: { connections: 10, channels: 1024, forwards: 16 }
limits:
  startups: "10:30:100"
  startupsPerSource: 10
  connections: 20000
  channelsPerConnection: 1024
  forwardsPerConnection: 64
  memoryPerConnection: 16MiB
penalties: { authFail: 5s, noAuth: 1s, graceExceeded: 10s, min: 15s, max: 10m, exempt: ["127.0.0.0/8"] }
timeouts: { connect: 10s, hook: 10s, keepalive: 15s, keepaliveCount: 3, halfClose: 10m, idleChannel: off, stalledWrite: 60s, drain: 30s }
rekey: { bytes: 1GiB, time: 1h }
log: { level: info, format: auto }
`;

function schemaTakes(text: string): boolean {
  return z.fromJSONSchema({ ...configSchema() }).safeParse(parse(text)).success;
}

function readerTakes(text: string): boolean {
  return parseConfig(text, 'c.yaml', world).ok;
}

t.test('both take the example', async (t) => {
  t.ok(schemaTakes(EXAMPLE));
  t.ok(readerTakes(EXAMPLE));
});

t.test('both take or refuse the same', async (t) => {
  const cases: ReadonlyArray<readonly [string, boolean]> = [
    ['{}', true],
    ['timeouts:', true],
    ['users:', true],
    ['users: {a: }', true],
    ['users: {a: {authorizedKeys: [x y]}}', true],
    ['timeouts: {keepalive: off}', true],
    ['timeouts: {connect: off}', false],
    ['timeouts: {connect: 10}', false],
    ['timeouts: {hook: off}', false],
    ['timeouts: false', false],
    ['penalties: false', true],
    ['penalties: true', false],
    ['penalties:', true],
    ['penalties: {enabled: false}', true],
    ['penalties: {enabled: 0}', false],
    ['penalties: {exempt: ["::1", 192.0.2.0/24]}', true],
    ['penalties: {exempt: [localhost]}', false],
    ['limits: {startupsPerSource: 0}', true],
    ['limits: {startupsPerSource: none}', false],
    ['handler: ""', false],
    ['handler: [./handler.js]', false],
    ['rekey: {bytes: 16MB}', false],
    ['workers: 0', false],
    ['workers: two', false],
    ['auth: {maxTries: 101}', false],
    ['auth: {methods: []}', false],
    ['auth: {methods: [none]}', false],
    ['auth: {trustedUserCAKeys: ["ssh-ed25519 AAAA"]}', true],
    ['auth: {revokedKeys: [x]}', false],
    ['auth: {revokedKeys: ""}', false],
    ['auth: {endExpired: 1}', false],
    ['log: {level: loud}', false],
    ['listen: []', false],
    ['listen: x', false],
    ['listen: [{address: "a:1"}]', true],
    ['listen: [{address: "a:1", proxyProtocol: {from: [10.0.0.0/8]}}]', true],
    ['listen: [{address: "a:1", proxyProtocol: {from: []}}]', false],
    ['listen: [{address: "a:1", proxyProtocol: {}}]', false],
    ['listen: [{proxyProtocol: {from: ["::1"]}}]', false],
    ['listen: [{address: "a:1", proxy: 1}]', false],
    ['bogus: 1', false],
    ['admin: {}', true],
    ['admin: false', true],
    ['admin: {listen: auto}', true],
    ['admin: {listen: "unix:/a.sock"}', true],
    ['admin: {listen: 9090}', false],
    ['admin: {tokenFile: ""}', false],
    ['users: {a: {password: hunter2}}', false],
  ];
  for (const [text, taken] of cases) {
    t.equal(schemaTakes(text), taken, `schema: ${text}`);
    t.equal(readerTakes(text), taken, `reader: ${text}`);
  }
});

t.test('the table for the README has a row for each key, and rows keep their columns', async (t) => {
  const lines = configMarkdown().trimEnd().split('\n');
  for (const line of lines) t.equal(line.split(/(?<!\\)\|/).length, 6, line);
  for (const key of ['listen', 'timeouts.drain', 'users.NAME.limits.forwards', 'rekey.bytes'])
    t.ok(
      lines.some((line) => line.startsWith(`| \`${key}\` |`)),
      key,
    );
});
