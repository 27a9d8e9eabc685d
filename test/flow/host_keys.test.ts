/** HOST KEYS: one key takes the place of another, and OpenSSH's client, which asks for the strictest check all the while, notices
 *  nothing but the lines in its known_hosts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { mustRun } from '../support/process.js';
import { programOfSuite } from '../support/programs.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { sshRun } from '../support/ssh.js';
import { tempDir } from '../support/temp.js';

const SHELL = /only carries tunnels/;

interface MadeKey {
  readonly file: string;
  /** Type and blob, as known_hosts has them. */
  readonly known: string;
}

async function makeKey(
  t: Test,
  dir: string,
  name: string,
  type = 'ed25519',
  more: readonly string[] = [],
): Promise<MadeKey> {
  const file = join(dir, name);
  await mustRun(t, 'ssh-keygen', ['-q', '-t', type, ...more, '-N', '', '-f', file]);
  return { file, known: publicOf(file) };
}

function publicOf(file: string): string {
  return readFileSync(`${file}.pub`, 'utf8').split(' ', 2).join(' ');
}

/** A client's known_hosts, with what it holds of one server. */
class KnownHosts {
  readonly file: string;
  readonly #server: Sallyport;

  constructor(t: Test, server: Sallyport, keys: readonly string[]) {
    this.file = join(tempDir(t), 'known_hosts');
    this.#server = server;
    writeFileSync(this.file, keys.map((key) => `[${server.host}]:${server.port} ${key}\n`).join(''));
  }

  get keys(): readonly string[] {
    const name = `[${this.#server.host}]:${this.#server.port} `;
    const lines = readFileSync(this.file, 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length).trimEnd());
  }
}

/** Logs in, and lets OpenSSH learn what it wants to. @returns what it said */
async function visit(
  t: Test,
  server: Sallyport,
  known: KnownHosts,
  ssh = 'ssh',
  args: readonly string[] = [],
): Promise<string> {
  const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${known.file}`];
  const options = [...strict, '-o', 'UpdateHostKeys=yes', '-v', ...args];
  const { stderr } = await sshRun(t, server, server.alice, options, ['x'], { program: [ssh] });
  return stderr;
}

async function reloadWith(server: Sallyport, hostKeys: readonly MadeKey[]): Promise<void> {
  await server.reload({ ...server.config, hostKeys: hostKeys.map(({ file }) => file) });
}

/** The whole of docs/running.md, "A new host key". */
async function rotates(
  t: Test,
  workers: number,
  ssh: string,
  type: string,
  more: readonly string[] = [],
): Promise<void> {
  const dir = tempDir(t);
  const [old, next] = [await makeKey(t, dir, 'old', type, more), await makeKey(t, dir, 'next', type, more)];
  const server = await startSallyport(t, { workers, config: { hostKeys: [old.file] } });
  const known = new KnownHosts(t, server, [old.known]);
  t.match(await visit(t, server, known, ssh), SHELL);
  t.same(known.keys, [old.known], 'nothing to learn');
  await reloadWith(server, [old, next]);
  t.match(await visit(t, server, known, ssh), SHELL);
  t.same([...known.keys].sort(), [old.known, next.known].sort(), 'the next one is learned');
  await reloadWith(server, [next, old]);
  t.match(await visit(t, server, known, ssh), SHELL, 'and serves');
  const late = new KnownHosts(t, server, [old.known]);
  t.match(
    await visit(t, server, late, ssh),
    /Host key verification failed/,
    'who has not learned it is not let in the dark',
  );
  await reloadWith(server, [next]);
  t.match(await visit(t, server, known, ssh), SHELL);
  t.same(known.keys, [next.known], 'the old one is forgotten');
  t.match(await visit(t, server, known, ssh), SHELL, 'and nobody misses it');
}

flow(t, 'rotation', { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  await rotates(t, workers, 'ssh', 'ed25519');
});

flow(t, 'rotation of the other types', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  await t.test('ecdsa', async (t) => await rotates(t, workers, 'ssh', 'ecdsa'));
  await t.test('rsa', async (t) => await rotates(t, workers, 'ssh', 'rsa', ['-b', '2048']));
});

for (const suite of ['trixie', 'forky'] as const)
  flow(t, `rotation, OpenSSH of ${suite}`, { needs: ['ssh-keygen'] }, async (t, workers) => {
    const ssh = programOfSuite(t, suite, 'ssh');
    if (ssh !== undefined) await rotates(t, workers, ssh, 'ed25519');
  });

flow(t, 'what OpenSSH has learned of keys of other types', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const dir = tempDir(t);
  const ed25519 = await makeKey(t, dir, 'ed25519');
  const rsa = await makeKey(t, dir, 'rsa', 'rsa', ['-b', '2048']);
  const ecdsa = await makeKey(t, dir, 'ecdsa', 'ecdsa');
  const all = [ed25519, rsa, ecdsa].map(({ known }) => known).sort();
  // However the keys were exchanged, an RSA key is proven by what the client takes.
  for (const algorithms of ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256']) {
    const server = await startSallyport(t, {
      workers,
      config: { hostKeys: [ed25519, rsa, ecdsa].map(({ file }) => file) },
    });
    const first = algorithms === 'ssh-ed25519' ? ed25519 : rsa;
    const known = new KnownHosts(t, server, [first.known]);
    const rest = algorithms === 'ssh-ed25519' ? 'rsa-sha2-256' : 'ssh-ed25519';
    const offer = ['-o', `HostKeyAlgorithms=${algorithms},${rest},ecdsa-sha2-nistp256`];
    const said = await visit(t, server, known, 'ssh', offer);
    t.match(said, SHELL);
    t.match(said, `kex: host key algorithm: ${algorithms}`);
    t.same([...known.keys].sort(), all, algorithms);
  }
  await t.test('a type that algorithms.hostKeys leaves out is not told of', async (t) => {
    const hostKeys = [ed25519, rsa, ecdsa].map(({ file }) => file);
    const config = { hostKeys, algorithms: { hostKeys: ['ssh-ed25519', 'rsa-sha2-256'] } };
    const server = await startSallyport(t, { workers, config });
    const known = new KnownHosts(t, server, [ed25519.known]);
    t.match(await visit(t, server, known), SHELL);
    t.same([...known.keys].sort(), [ed25519.known, rsa.known].sort());
  });
});
