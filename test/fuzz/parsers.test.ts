/** PARSERS: what operators and peers write, at random: read without an exception and in bounded time, the same again when it is
 *  written back, and as an independent reader has it where there is one. That each parser is total stands beside it
 *  (test/shared). A failure prints fast-check's seed. */
import fc from 'fast-check';
import t from 'tap';
import { stringify } from 'yaml';
import { normalisePeerAddress, parseHost } from '../../src/shared/address.js';
import { type ConfigResult, configFromObject, formatIssue, parseConfig } from '../../src/shared/config_file.js';
import { parseOtpauth } from '../../src/shared/otpauth.js';
import { costOf, parsePasswordHash, tooDear } from '../../src/shared/password_hash.js';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import { coversListen, mayOpenName } from '../../src/shared/patterns.js';
import { parseAuthorizedKeys } from '../../src/worker/auth/authorized_keys.js';
import { hashOfNothing } from '../../src/worker/auth/no_password.js';
import { readProxyHeader } from '../../src/worker/proxy_header.js';
import { bodyV2, headerV1, headerV2 } from '../support/proxy_header.js';
import { ecdsa, ed25519, KNOWN } from '../worker/auth/keys.js';

const RUNS = { numRuns: 1_000 };
/** For text that a reader with backtracking would take hours for. Far above what a busy machine needs. */
const BOUND_MS = 60_000;

/** But for a bare `0x`, which is 0 there and nothing here. */
t.test('IPv4 as WHATWG reads it: every spelling that a URL takes, and no other', async () => {
  const number = fc.oneof(
    fc.nat(300).map(String),
    fc.nat(0xffff_ffff).map((value) => `0x${value.toString(16)}`),
    fc.nat(0xffff).map((value) => `0${value.toString(8)}`),
    fc.nat(2 ** 32 + 5).map(String),
    fc.constantFrom('', '0', '00', '08', '0xg', '1e3', '4294967295', '4294967296'),
  );
  const text = fc.array(number, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(text, (spelling) => {
      const host = parseHost(spelling);
      const ours = host.kind === 'address' ? host.address.text : null;
      const theirs = URL.canParse(`ws://${spelling}/`) ? new URL(`ws://${spelling}/`).hostname : null;
      const isAddress = theirs !== null && /^\d+\.\d+\.\d+\.\d+$/.test(theirs);
      if (ours !== (isAddress ? theirs : null)) throw new Error(`${spelling}: ${ours} here, ${theirs} in a URL`);
    }),
    RUNS,
  );
});

t.test('names and globs as a regular expression has them', async () => {
  const label = fc.string({ unit: fc.constantFrom('a', 'b', '-', '_'), minLength: 1, maxLength: 4 });
  const part = fc.oneof(label, label, fc.constantFrom('*', 'a*', '*b'));
  const glob = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `${parts.join('.')}.test`);
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => `${labels.join('.')}.test`);
  fc.assert(
    fc.property(glob, name, fc.nat(3), fc.nat(3), (pattern, host, from, port) => {
      const text = `${pattern}:${from + 1}-${from + 2}`;
      const [open, listen] = [parseOpenPattern(text), parseListenPattern(text)];
      if (!open.ok || !listen.ok) throw new Error(`${text} is refused`);
      const model = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
      const covered = model.test(host) && port >= from + 1 && port <= from + 2;
      if (mayOpenName([open.pattern], host, port) !== covered) throw new Error(`${text} open ${host}:${port}`);
      const bindable = model.test(host) && (port === 0 || covered);
      if (coversListen([listen.pattern], host, port) !== bindable) throw new Error(`${text} listen ${host}:${port}`);
    }),
    RUNS,
  );
});

t.test('authorized_keys: each line is a key, a problem or nothing', async () => {
  const lines = [ed25519(), ecdsa(256)].map(({ type, blob }) => `${type} ${blob.toString('base64')}`);
  const sound = [...lines, ...KNOWN.map(({ line }) => line)];
  const options = fc.constantFrom('', '', 'restrict ', 'from="10.0.0.0/8" ', 'command="a \\" b",no-pty ', '"', 'x="');
  const changed = fc
    .tuple(fc.constantFrom(...sound), fc.nat(400), fc.nat(400), fc.string({ maxLength: 3 }))
    .map(([line, at, end, text]) => line.slice(0, at) + text + line.slice(Math.max(at, end)));
  const line = fc.oneof(
    fc.tuple(options, fc.oneof(fc.constantFrom(...sound), changed), fc.string()).map((parts) => parts.join(' ')),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', '# a comment', '  ', 'ssh-ed25519', 'cert-authority '),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (texts) => {
      const read = parseAuthorizedKeys(texts.map((text, at) => ({ text, file: 'f', line: at + 1 })));
      const told = [...read.keys, ...read.problems].map(({ line: at }) => at);
      if (new Set(told).size !== told.length) throw new Error('a line is told twice');
      for (const [at, text] of texts.entries()) {
        const isEmpty = /^[ \t\r\n]*(#|$)/.test(text);
        if (told.includes(at + 1) === isEmpty) throw new Error(`line ${JSON.stringify(text)}`);
      }
      for (const { type, blob, line: at } of read.keys) {
        const base64 = blob.toString('base64');
        if (texts[at - 1]?.includes(`${base64}`) !== true) throw new Error('a key that nobody wrote');
        const again = parseAuthorizedKeys([{ text: `${type} ${base64}`, file: 'f', line: 1 }]);
        if (again.keys[0]?.blob.equals(blob) !== true) throw new Error('another key when it is written back');
      }
      for (const { why } of read.problems) if (/\p{Cc}/u.test(why)) throw new Error(JSON.stringify(why));
    }),
    RUNS,
  );
});

/** A text with a piece of it exchanged. */
function changedFrom(sound: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...sound), fc.nat(130), fc.nat(3), fc.string({ maxLength: 3 }))
    .map(([text, at, length, put]) => text.slice(0, at) + put + text.slice(at + length));
}

t.test('otpauth: what a changed URI means, a reader of URLs has as well', async () => {
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  const sound = ['', '&period=60&digits=8', '&algorithm=SHA512&issuer=A%20B'].map(
    (more) => `otpauth://totp/A%20B:alice?secret=${secret}${more}`,
  );
  fc.assert(
    fc.property(changedFrom(sound), (text) => {
      const read = parseOtpauth(text);
      if (!read.ok) {
        if (/\p{Cc}/u.test(read.error)) throw new Error(JSON.stringify(read.error));
        return;
      }
      const { searchParams } = new URL(text);
      const value = (name: string, otherwise: string): string => searchParams.get(name) ?? otherwise;
      if (new Set(searchParams.keys()).size !== searchParams.size) throw new Error(`twice: ${text}`);
      const { algorithm, digits, periodSeconds } = read.value;
      const theirs = [value('algorithm', 'SHA1'), value('digits', '6'), value('period', '30')];
      if ([algorithm, digits, periodSeconds].join() !== theirs.join()) throw new Error(text);
      const isSame = read.value.secret === Buffer.from('12345678901234567890').toString('base64');
      if (isSame !== (value('secret', '') === secret)) throw new Error(`another secret: ${text}`);
    }),
    RUNS,
  );
});

t.test('hashes of passwords: a changed one is refused, or is a whole one of the cost that it says', async () => {
  const sound = ['$argon2id$v=19$m=19456,t=2,p=1$', '$scrypt$ln=15,r=8,p=3$', '$2b$12$'].map(hashOfNothing);
  fc.assert(
    fc.property(fc.oneof(changedFrom(sound), fc.string({ unit: 'binary' })), (text) => {
      const read = parsePasswordHash(text);
      const cost = costOf(text);
      if (!read.ok) {
        if (/\p{Cc}/u.test(read.error)) throw new Error(JSON.stringify(read.error));
      } else if (cost === undefined || !parsePasswordHash(hashOfNothing(cost)).ok) throw new Error(text);
      else tooDear(read.value);
    }),
    RUNS,
  );
});

const WORLD = {
  parallelism: 2,
  resolvePath: (path: string) => path,
  readFile: () => ({ ok: false, error: 'is not there' }) as const,
  readBytes: () => ({ ok: false, error: 'is not there' }) as const,
};

const CONFIG = `listen: ["127.0.0.1:2222", "[::]:2222"]
workers: auto
auth:
  methods: [publickey, password]
  maxTries: 6
  loginGraceTime: 30s
defaults:
  permitOpen: ["*:443", "10.0.0.0/8:22,80-90"]
  permitListen: ["localhost:1024-65535"]
users:
  alice:
    authorizedKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"]
    limits: { connections: 10, channels: 1024 }
limits: { connections: 20000, memoryPerConnection: 16MiB }
timeouts: { connect: 10s, idleChannel: off }
rekey: { bytes: 1GiB, time: 1h }
log: { level: info }
`;

function told(result: ConfigResult): void {
  if (!result.ok && result.errors.length === 0) throw new Error('refused, and nobody knows why');
  for (const issue of [...(result.ok ? [] : result.errors), ...result.warnings])
    if (!/^c\.yaml[^\p{Cc}]*$/u.test(formatIssue(issue))) throw new Error(JSON.stringify(formatIssue(issue)));
}

t.test('config: a file with anything wrong in it is read or refused with its reasons', async () => {
  const lines = CONFIG.split('\n');
  const scalar = fc.oneof(
    fc.string({ maxLength: 10 }),
    fc.constantFrom('-1', '1e9', '~', '{}', '[]', '&a', '*a', '!!binary x', '<<: 1', '"\\0"', '0x10', '99999999999d'),
  );
  const step = fc.oneof(
    fc.tuple(fc.constant('drop' as const), fc.nat(lines.length), fc.constant('')),
    fc.tuple(fc.constant('double' as const), fc.nat(lines.length), fc.constant('')),
    fc.tuple(fc.constant('value' as const), fc.nat(lines.length), scalar),
    fc.tuple(fc.constant('indent' as const), fc.nat(lines.length), fc.constantFrom('', ' ', '\t', '      ')),
    fc.tuple(fc.constant('cut' as const), fc.nat(CONFIG.length), fc.constant('')),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 4 }), (steps) => {
      let text = CONFIG;
      for (const [kind, at, put] of steps) {
        const now = text.split('\n');
        const line = now[at] ?? '';
        if (kind === 'cut') text = text.slice(0, at);
        else {
          if (kind === 'drop') now.splice(at, 1);
          else if (kind === 'double') now.splice(at, 0, line);
          else if (kind === 'value') now[at] = line.replace(/:.*$/, `: ${put}`);
          else now[at] = put + line.trimStart();
          text = now.join('\n');
        }
      }
      told(parseConfig(text, 'c.yaml', WORLD));
    }),
    RUNS,
  );
});

t.test('config: an object and its YAML are the same config', async () => {
  const value = fc.oneof(
    fc.constantFrom('auto', 'off', '10s', '1GiB', '*:443', 'localhost:*', 'publickey', 'info', '10:30:100'),
    fc.integer({ min: -1, max: 100_000 }),
    fc.boolean(),
    fc.string({ maxLength: 5 }),
  );
  const keys = ['listen', 'workers', 'limits', 'timeouts', 'rekey', 'log', 'auth', 'defaults', 'users', 'noShell'];
  const within = ['connections', 'connect', 'bytes', 'time', 'level', 'methods', 'maxTries', 'permitOpen', 'alice'];
  const inner = fc.oneof(value, fc.array(value, { maxLength: 3 }));
  const outer = fc.oneof(inner, fc.dictionary(fc.constantFrom(...within), inner, { maxKeys: 3 }));
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...keys, '__proto__', 'x'), outer, { maxKeys: 4 }), (options) => {
      const asObject = configFromObject(options, 'c.yaml', WORLD);
      const asText = parseConfig(stringify(options), 'c.yaml', WORLD);
      told(asObject);
      told(asText);
      if (asObject.ok !== asText.ok) throw new Error(stringify(options));
      if (asObject.ok && asText.ok && JSON.stringify(asObject.config) !== JSON.stringify(asText.config))
        throw new Error(`not the same: ${stringify(options)}`);
    }),
    RUNS,
  );
});

t.test('text that is made to be slow', async (t) => {
  const long = 100_000;
  const startedMs = performance.now();
  for (const unit of ['"', '\\"', 'a="', '" ', 'a,', '\t', 'ssh-rsa ', 'A']) {
    const text = unit.repeat(long / unit.length);
    parseAuthorizedKeys([
      { text, file: 'f', line: 1 },
      { text: `from="${text} ssh-ed25519 x`, file: 'f', line: 2 },
    ]);
  }
  for (const unit of ['*', '*a', 'a.', '[', ':', '1,', '1-', '0.', '::', 'ü.']) {
    const text = unit.repeat(long / unit.length);
    for (const spelling of [text, `${text}:*`, `a:${text}`]) {
      parseOpenPattern(spelling);
      parseListenPattern(spelling);
      parseHost(spelling);
    }
  }
  for (const unit of ['[', '{', '- ', 'a: ', '&a [*a,', '? ', '# ', '"', '!', '|\n'])
    told(parseConfig(unit.repeat(20_000 / unit.length), 'c.yaml', WORLD));
  const glob = parseOpenPattern(`${'*a'.repeat(60)}.test:1`);
  if (glob.ok) mayOpenName([glob.pattern], `${'a'.repeat(60)}.${'a'.repeat(60)}.b`, 1);
  const tookMs = performance.now() - startedMs;
  t.ok(tookMs < BOUND_MS, `${Math.round(tookMs)} ms`);
});

const port = fc.nat(65_535);
const v4Bytes = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
const v6Bytes = fc.array(fc.nat(255), { minLength: 16, maxLength: 16 });
const tlvs = fc.uint8Array({ maxLength: 400 });
/** A header and whom it names, by either version and family. */
const proxyHeader = fc.oneof(
  fc.tuple(fc.ipV4(), port).map(([address, from]) => {
    const source = { address, port: from };
    return { header: headerV1(source, { address: '192.0.2.9', port: 22 }), source };
  }),
  fc.tuple(v4Bytes, v4Bytes, port, port, tlvs).map(([from, to, fromPort, toPort, rest]) => ({
    header: headerV2(Buffer.concat([bodyV2(from, to, [fromPort, toPort]), rest])),
    source: { address: from.join('.'), port: fromPort },
  })),
  fc.tuple(v6Bytes, v6Bytes, port, port, fc.boolean()).map(([from, to, fromPort, toPort, asText]) => {
    const text = from.flatMap((byte, at) => (at % 2 === 0 ? [((byte << 8) | (from[at + 1] ?? 0)).toString(16)] : []));
    const host = parseHost(text.join(':'));
    const source = { address: host.kind === 'address' ? normalisePeerAddress(host.address.text) : '', port: fromPort };
    const destination = { address: '2001:db8::1', port: toPort };
    const written = { address: text.join(':'), port: fromPort };
    const binary = headerV2(bodyV2(from, to, [fromPort, toPort]), 0x21, 0x21);
    return { header: asText ? headerV1(written, destination) : binary, source };
  }),
);

t.test('PROXY headers: read as they were written, wherever they are cut, whatever follows', async () => {
  fc.assert(
    fc.property(proxyHeader, fc.uint8Array({ maxLength: 40 }), fc.nat(600), ({ header, source }, rest, cut) => {
      const read = readProxyHeader(Buffer.concat([header, rest]));
      if (read.kind !== 'whole' || read.bytes !== header.length) throw new Error(JSON.stringify(read));
      if (JSON.stringify(read.source) !== JSON.stringify(source)) throw new Error(JSON.stringify([read, source]));
      const part = header.subarray(0, Math.min(cut, header.length - 1));
      if (readProxyHeader(part).kind !== 'incomplete') throw new Error(`a verdict after ${part.length} bytes`);
    }),
    RUNS,
  );
});

t.test(
  'PROXY headers, changed: an answer to everything, the same however it comes, and never more than 552 bytes',
  async () => {
    const change = fc.tuple(fc.nat(560), fc.nat(3), fc.uint8Array({ maxLength: 3 }));
    fc.assert(
      fc.property(
        proxyHeader,
        fc.array(change, { maxLength: 4 }),
        fc.uint8Array({ maxLength: 600 }),
        (sound, changes, rest) => {
          let bytes = Buffer.concat([sound.header, rest]);
          for (const [at, length, put] of changes)
            bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + length)]);
          const whole = readProxyHeader(bytes);
          if (whole.kind === 'incomplete' && bytes.length >= 552)
            throw new Error('it wants more than a header may have');
          if (whole.kind === 'whole' && whole.bytes > bytes.length) throw new Error('it has read beyond its end');
          // Byte by byte there is one moment at which the verdict falls, and it is the same.
          let at = 0;
          while (at < bytes.length && readProxyHeader(bytes.subarray(0, at)).kind === 'incomplete') at++;
          const early = readProxyHeader(bytes.subarray(0, at));
          if (JSON.stringify(early) !== JSON.stringify(whole)) throw new Error(JSON.stringify([at, early, whole]));
          if (whole.kind === 'whole' && at !== whole.bytes) throw new Error(`a verdict at ${at} of ${whole.bytes}`);
        },
      ),
      RUNS,
    );
  },
);
