/** PARITY: the same authorized_keys lines and certificates for OpenSSH's own sshd and for us, the same logins, opens and binds asked of both
 *  by asyncssh. Every answer must be the same, but for the differences that are meant (docs/access.md), and each of those must be
 *  seen. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { fixture } from '../support/paths.js';
import { mustRun, run } from '../support/process.js';
import { need, pythonWith } from '../support/programs.js';
import { makeLogin, type SshEndpoint, startSallyport } from '../support/server.js';
import { startSshd } from '../support/sshd.js';
import { startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { type CertificateSpec, type KeyKind, type ParityCase, parityCases } from './parity_cases.js';

const SEED = 20261128;
/** Beside each other, each with a port of its own. */
const LANES = 4;

type Place = string | readonly [host: string, port: number];

interface Decision {
  readonly name: string;
  readonly login: boolean;
  readonly opens: readonly boolean[];
  readonly listens: readonly boolean[];
}

/** A case with its credential, ready to be asked. */
interface Ready {
  readonly parity: ParityCase;
  /** Of authorized_keys. */
  readonly line: string | null;
  readonly key: string;
  readonly certificate: string | null;
  readonly opens: readonly Place[];
  readonly listens: readonly Place[];
}

/** A name for each difference that is meant. */
type Meant = 'weak RSA' | 'permitopen and sockets' | 'permitlisten and sockets' | 'no principals';

t.test('what sshd grants we grant, and what it refuses we refuse', { timeout: 550_000 }, async (t) => {
  if (!need(t, ['sshd', 'ssh-keygen', 'asyncssh'])) return;
  const dir = tempDir(t);
  const echo = await startEcho(t);
  const socket = join(dir, 'target.sock');
  await startEcho(t, socket);
  const cas = {
    trusted: (await makeLogin(t, dir, 'ca', 'trusted_ca')).keyFile,
    line: '',
    stranger: (await makeLogin(t, dir, 'ca', 'stranger_ca')).keyFile,
  };
  const [other = 0, ...ports] = await quietPorts(LANES + 1);
  const all: Ready[] = [];
  for (const [at, parity] of parityCases(SEED).entries()) {
    const port = ports[at % LANES] ?? 0;
    const fill = (text: string, own: number): string =>
      text.replaceAll('PORT', String(own)).replaceAll('OTHER', String(other));
    const options = parity.options
      .split(/(permitlisten="[^"]*")/)
      .map((part) => fill(part, part.startsWith('permitlisten') ? port : echo.port))
      .join('');
    const file = join(dir, `key_${at}`);
    const { privateKey: key, publicLine } = await makeKey(t, file, parity.kind);
    let certificate: string | null = null;
    let line: string | null = `${options} ${publicLine}`.trim();
    if (parity.certificate !== null) {
      const ownCa = parity.certificate.ca === 'line' ? (await makeLogin(t, dir, 'ca', `ca_${at}`)).keyFile : null;
      certificate = await certify(t, file, publicLine, parity.certificate, ownCa ?? cas[parity.certificate.ca]);
      line = ownCa === null ? null : `${options} ${(await mustRun(t, 'ssh-keygen', ['-y', '-f', ownCa])).trim()}`;
    }
    all.push({
      parity,
      line,
      key,
      certificate,
      opens: [['127.0.0.1', echo.port], ['localhost', echo.port], ['LOCALHOST', echo.port], socket],
      listens: [
        ['localhost', port],
        ['127.0.0.1', port],
        ['', port],
        ['localhost', 0],
        join(dir, `bound_${at % LANES}.sock`),
      ],
    });
  }
  t.ok(all.length >= 300, `${all.length} combinations`);

  const lines = all.flatMap(({ line }) => (line === null ? [] : [line]));
  const authorizedKeysFile = join(dir, 'authorized_keys');
  writeFileSync(authorizedKeysFile, `${lines.join('\n')}\n`);
  const sshd = await startSshd(t, {
    authorizedKeysFile,
    lines: [`TrustedUserCAKeys ${cas.trusted}.pub`, 'GatewayPorts clientspecified'],
  });
  const sallyport = await startSallyport(t, {
    workers: 2,
    earns: /: users\.(alice|bob)\.authorizedKeys: warning: /,
    users: {
      alice: {
        authorizedKeys: lines,
        permitOpen: ['*:*', 'localhost:*', `${dir}/*.sock`],
        permitListen: ['*:*', `${dir}/*.sock`],
        limits: { connections: 1000, forwards: 1000 }, // as many binds as come here in one go are too many by default (FORWARD_RATE)
      },
      bob: { authorizedKeys: lines, permitOpen: ['*:*'] },
    },
    config: { auth: { trustedUserCAKeys: `${cas.trusted}.pub` } },
  });
  const theirs = await decisions(t, sshd, sshd.login.name, all);
  const ours = await decisions(t, sallyport, 'alice', all);

  const seen = new Set<Meant>();
  const wrong: string[] = [];
  for (const { parity, opens, listens } of all) {
    const [they, we] = [theirs.get(parity.name), ours.get(parity.name)];
    if (they === undefined || we === undefined) {
      wrong.push(`${parity.name}: not answered`);
      continue;
    }
    const compare = (what: string, their: boolean | undefined, our: boolean | undefined, meant: Meant | null): void => {
      if (their === our) return;
      if (meant !== null && their === true && our !== true) seen.add(meant);
      else wrong.push(`${parity.name} from ${parity.source}: ${what}: sshd ${String(their)}, we ${String(our)}`);
    };
    const noLogin = meantLogin(parity);
    compare('login', they.login, we.login, noLogin);
    if (!we.login && noLogin !== null) continue;
    for (const [at, place] of opens.entries())
      compare(`open ${place}`, they.opens[at], we.opens[at], meantFor(parity, place, 'permitopen'));
    for (const [at, place] of listens.entries())
      compare(`bind ${place}`, they.listens[at], we.listens[at], meantFor(parity, place, 'permitlisten'));
  }
  t.same(wrong, [], 'no difference but those that are meant');
  t.same(
    [...seen].sort(),
    ['no principals', 'permitlisten and sockets', 'permitopen and sockets', 'weak RSA'],
    'each of those is there',
  );
  t.comment(summary([...theirs.values()]));

  // What `*` of the config covers is no matter of the key's, and sshd knows no destination that is protected.
  const plain = all.filter(({ parity }) => parity.name === 'key: ed25519');
  const [protectedAnswers] = (await decisions(t, sallyport, 'bob', plain)).values();
  t.same(theirs.get('key: ed25519')?.opens.slice(0, 3), [true, true, true], 'sshd opens the loopback');
  t.same(
    protectedAnswers?.opens.slice(0, 3),
    [false, false, false],
    'to us it is protected, until the config names it',
  );
});

function meantLogin({ kind, certificate }: ParityCase): Meant | null {
  if (kind === 'rsa1024') return 'weak RSA';
  return certificate !== null && certificate.principals.length === 0 ? 'no principals' : null;
}

function meantFor({ options }: ParityCase, place: Place, option: 'permitopen' | 'permitlisten'): Meant | null {
  return typeof place === 'string' && options.toLowerCase().includes(option) ? `${option} and sockets` : null;
}

/** Says whether the cases tried both answers often enough. */
function summary(decisions: readonly Decision[]): string {
  const share = (answers: readonly boolean[]): string => `${answers.filter(Boolean).length} of ${answers.length}`;
  const logins = share(decisions.map(({ login }) => login));
  const opens = share(decisions.flatMap((decision) => decision.opens));
  return `sshd granted ${logins} logins, ${opens} opens, ${share(decisions.flatMap(({ listens }) => listens))} binds`;
}

/** Free, and below those that the kernel gives out: hundreds of times they are bound and let go again, and nobody who asks for any
 *  port may have one meanwhile. */
async function quietPorts(count: number): Promise<readonly number[]> {
  const [lowest = ''] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t');
  const ports: number[] = [];
  for (let port = Number(lowest) - 1 - Math.floor(Math.random() * 10_000); ports.length < count; port--) {
    const server = createServer().listen(port, '0.0.0.0');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.close();
    if (isFree) ports.push(port);
  }
  return ports;
}

async function decisions(
  t: Test,
  { host, port }: SshEndpoint,
  user: string,
  all: readonly Ready[],
): Promise<ReadonlyMap<string, Decision>> {
  const lanes: object[][] = Array.from({ length: LANES }, () => []);
  for (const [at, { parity, key, certificate, opens, listens }] of all.entries())
    lanes[at % LANES]?.push({ name: parity.name, source: parity.source, key, certificate, opens, listens });
  const python = pythonWith('asyncssh') ?? 'python3';
  const outcome = await run(t, python, [fixture('decisions_client.py')], {
    input: JSON.stringify({ host, port, user, lanes }),
    deadlineMs: 250_000,
  });
  if (outcome.code !== 0) throw new Error(`asyncssh: ${outcome.stderr.slice(-2_000)}`);
  const answers = outcome.stdout
    .trim()
    .split('\n')
    .map((text): Decision => JSON.parse(text));
  return new Map(answers.map((answer) => [answer.name, answer]));
}

const SSH_KEYGEN: { readonly [kind in Exclude<KeyKind, 'ed25519' | 'ecdsa256'>]: readonly string[] } = {
  ecdsa384: ['-t', 'ecdsa', '-b', '384'],
  ecdsa521: ['-t', 'ecdsa', '-b', '521'],
  rsa2048: ['-t', 'rsa', '-b', '2048'],
  rsa1024: ['-t', 'rsa', '-b', '1024'],
};

interface KeyText {
  readonly privateKey: string;
  readonly publicLine: string;
}

/** The common kinds are made here: ssh-keygen is a process for each. */
async function makeKey(t: Test, file: string, kind: KeyKind): Promise<KeyText> {
  if (kind === 'ed25519' || kind === 'ecdsa256') {
    const { privateKey, publicKey } = newKeyPair(kind === 'ed25519' ? 'ed25519' : 'ecdsa', 'parity');
    return { privateKey, publicLine: publicKey.trim() };
  }
  await mustRun(t, 'ssh-keygen', ['-q', ...SSH_KEYGEN[kind], '-N', '', '-C', 'parity', '-f', file]);
  return { privateKey: readFileSync(file, 'utf8'), publicLine: readFileSync(`${file}.pub`, 'utf8').trim() };
}

/** The certificate's line. */
async function certify(t: Test, file: string, publicLine: string, spec: CertificateSpec, ca: string): Promise<string> {
  writeFileSync(`${file}.pub`, `${publicLine}\n`);
  const principals = spec.principals.map((name) => (name === 'NAME' ? `alice,${userInfo().username}` : name));
  const args = [
    ...(principals.length === 0 ? [] : ['-n', principals.join(',')]),
    ...(spec.validity === null ? [] : ['-V', spec.validity]),
    ...(spec.isHost === true ? ['-h'] : spec.options.flatMap((option) => ['-O', option])),
  ];
  await mustRun(t, 'ssh-keygen', ['-q', '-s', ca, '-I', 'parity', ...args, `${file}.pub`]);
  return readFileSync(`${file}-cert.pub`, 'utf8').trim();
}
