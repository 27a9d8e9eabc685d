/** ALGORITHMS: every key exchange with every cipher, MAC and host key that is offered, each with 20 MB that are hashed at both ends; what
 *  the config leaves out is not to be had; and what an auditor says of the offer. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CIPHERS, DEFAULT_MACS, KEX_ALGORITHMS, MACS, PLAIN_HOST_KEY_ALGORITHMS } from '../../src/shared/algorithms.js';
import { exchange, MIB } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import { mustRun, run } from '../support/process.js';
import { programOfSuite } from '../support/programs.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const TRANSFER_BYTES = 20 * MIB;

interface Suite {
  readonly kex: string;
  readonly cipher: string;
  /** Empty where the cipher brings its own. */
  readonly mac: string;
  readonly hostKey: string;
}

function suites(kexes: readonly string[], macs: readonly string[], hostKeys: readonly string[]): readonly Suite[] {
  const sealed = CIPHERS.flatMap((cipher) =>
    cipher.endsWith('-ctr') ? macs.map((mac) => ({ cipher, mac })) : [{ cipher, mac: '' }],
  );
  return kexes.flatMap((kex) => hostKeys.flatMap((hostKey) => sealed.map((both) => ({ kex, hostKey, ...both }))));
}

function argsFor({ kex, cipher, mac, hostKey }: Suite): readonly string[] {
  const macs = mac === '' ? [] : ['-o', `MACs=${mac}`];
  return ['-o', `KexAlgorithms=${kex}`, '-c', cipher, ...macs, '-o', `HostKeyAlgorithms=${hostKey}`];
}

/** A server with a host key of each type. */
async function withHostKeys(t: Test, options: { readonly workers: number; readonly algorithms?: object }) {
  const dir = tempDir(t);
  const made = [
    ['ed25519', 256],
    ['ecdsa', 256],
    ['ecdsa', 384],
    ['ecdsa', 521],
    ['rsa', 3072],
  ] as const;
  const hostKeys: string[] = [];
  for (const [type, bits] of made) {
    const file = join(dir, `${type}_${bits}`);
    await mustRun(t, 'ssh-keygen', ['-q', '-t', type, '-b', String(bits), '-N', '', '-f', file]);
    hostKeys.push(file);
  }
  const { workers, algorithms = {} } = options;
  return await startSallyport(t, { workers, config: { hostKeys, algorithms } });
}

async function moves(t: Test, ssh: string, server: Sallyport, suite: Suite, echoPort: number): Promise<void> {
  const near = await freePort();
  const specs = [...argsFor(suite), '-L', `${near}:localhost:${echoPort}`];
  const { client } = await tunnel(t, server, server.alice, specs, undefined, ssh);
  const { sent, received } = await exchange(await connect(t, near), 'suite', TRANSFER_BYTES);
  const name = Object.values(suite).join(' ');
  t.same(received, sent, name);
  const { kex, cipher, mac, hostKey } = suite;
  t.match(client.stderr, `kex: algorithm: ${kex}`);
  t.match(client.stderr, `kex: host key algorithm: ${hostKey}`);
  const shown = mac === '' ? '<implicit>' : mac;
  for (const way of ['server->client', 'client->server'])
    t.match(client.stderr, `kex: ${way} cipher: ${cipher} MAC: ${shown} compression: none`);
  await client.stop();
}

/** Signatures of the host keys that a server makes for itself. */
const OWN_HOST_KEYS: readonly string[] = ['ssh-ed25519', 'ecdsa-sha2-nistp256'];
const OTHER_HOST_KEYS = PLAIN_HOST_KEY_ALGORITHMS.filter((name) => !OWN_HOST_KEYS.includes(name));

flow(t, 'everything with everything', { needs: ['ssh-keygen'], timeoutMs: 550_000 }, async (t, workers) => {
  const ssh = programOfSuite(t, 'forky', 'ssh');
  if (ssh === undefined) return;
  const server = await withHostKeys(t, { workers });
  const echo = await startEcho(t);
  const startedMs = performance.now();
  const offered = suites(KEX_ALGORITHMS, DEFAULT_MACS, OWN_HOST_KEYS);
  // Host keys that somebody has brought: each with every exchange, and with every cipher in turn.
  const brought = KEX_ALGORITHMS.flatMap((kex, row) =>
    OTHER_HOST_KEYS.map((hostKey, column) => {
      const cipher = CIPHERS[(row + column) % CIPHERS.length] ?? CIPHERS[0];
      return { kex, hostKey, cipher, mac: cipher.endsWith('-ctr') ? DEFAULT_MACS[0] : '' };
    }),
  );
  const all = [...offered, ...brought];
  for (const suite of all) await moves(t, ssh, server, suite, echo.port);
  t.comment(`${all.length} suites in ${Math.round((performance.now() - startedMs) / 1000)} s`);
});

flow(
  t,
  'MACs over the plain text, where a config asks for them',
  { needs: ['ssh-keygen', 'ssh'] },
  async (t, workers) => {
    const server = await withHostKeys(t, { workers, algorithms: { macs: MACS } });
    const echo = await startEcho(t);
    const [kex, hostKey] = ['curve25519-sha256', 'ssh-ed25519'];
    for (const mac of MACS.slice(DEFAULT_MACS.length))
      await moves(t, 'ssh', server, { kex, cipher: 'aes128-ctr', mac, hostKey }, echo.port);
  },
);

flow(t, 'what the config leaves out is not to be had', { needs: ['ssh-keygen', 'ssh'] }, async (t, workers) => {
  const algorithms = {
    kex: ['curve25519-sha256'],
    ciphers: ['aes256-gcm@openssh.com', 'aes256-ctr'],
    macs: ['hmac-sha2-512-etm@openssh.com'],
    hostKeys: ['ssh-ed25519', 'rsa-sha2-512'],
  };
  const server = await withHostKeys(t, { workers, algorithms });
  const asked: ReadonlyArray<readonly [args: readonly string[], said: RegExp | null]> = [
    [['-o', 'KexAlgorithms=ecdh-sha2-nistp256'], /no matching key exchange method found/],
    [['-c', 'chacha20-poly1305@openssh.com'], /no matching cipher found/],
    [['-c', 'aes256-ctr', '-o', 'MACs=hmac-sha2-256-etm@openssh.com'], /no matching MAC found/],
    [['-o', 'HostKeyAlgorithms=ecdsa-sha2-nistp256,rsa-sha2-256'], /no matching host key type found/],
    [[], null],
    [['-c', 'aes256-ctr', '-o', 'HostKeyAlgorithms=rsa-sha2-512'], null],
  ];
  for (const [args, said] of asked) {
    const { stderr } = await sshRun(t, server, server.alice, args, ['x']);
    if (said === null) t.match(stderr, /only carries tunnels/, `twin: ${args.join(' ')}`);
    else t.match(stderr, said);
  }
});

/** What ssh-audit finds fault with in a default offer, and we keep (docs/crypto.md). */
const KEPT = [
  /^\(kex\) ecdh-sha2-nistp256 .*\[fail\] using elliptic curves that are suspected as being backdoored/,
  /^\(key\) ecdsa-sha2-nistp256 .*\[fail\] using elliptic curves that are suspected as being backdoored/,
  /^ +`- \[warn\] using weak random number generator could reveal the key/,
];

async function audited(t: Test, config: object, workers: number): Promise<readonly string[] | undefined> {
  const audit = programOfSuite(t, 'forky', 'ssh-audit');
  if (audit === undefined) return undefined;
  const server = await startSallyport(t, { workers, config: { ...config } });
  const { stdout } = await run(t, audit, ['-n', '--skip-rate-test', '-p', String(server.port), server.host]);
  t.match(stdout, /\(kex\) mlkem768x25519-sha256/, 'it has seen the offer');
  return stdout.split('\n').filter((line) => /\[(fail|warn)\]|unknown algorithm/.test(line));
}

flow(t, 'ssh-audit', { needs: [] }, async (t, workers) => {
  await t.test('of the default offer: P-256, and nothing else', async (t) => {
    const found = await audited(t, {}, workers);
    if (found === undefined) return;
    t.equal(found.length, KEPT.length, found.join('\n'));
    for (const [index, pattern] of KEPT.entries()) t.match(found[index], pattern);
  });
  await t.test('without P-256 it finds nothing', async (t) => {
    const kex = KEX_ALGORITHMS.filter((name) => name !== 'ecdh-sha2-nistp256');
    const found = await audited(t, { algorithms: { kex, hostKeys: ['ssh-ed25519'] } }, workers);
    if (found !== undefined) t.same(found, []);
  });
});
