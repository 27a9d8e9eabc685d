/** HOST CERTIFICATES: a client that trusts the CA, and has never seen the server, connects without a question; others go on as before. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { cliEntry } from '../support/paths.js';
import { mustRun, run } from '../support/process.js';
import { programOfSuite, pythonWith } from '../support/programs.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const SHELL = /only carries tunnels/;

/** A folder with a CA and host keys. */
class Authority {
  readonly dir: string;
  readonly #t: Test;

  private constructor(t: Test) {
    this.#t = t;
    this.dir = tempDir(t);
  }

  static async create(t: Test): Promise<Authority> {
    const made = new Authority(t);
    await made.key('ca');
    return made;
  }

  path(name: string): string {
    return join(this.dir, name);
  }
  publicKey(name: string): string {
    return readFileSync(this.path(`${name}.pub`), 'utf8')
      .split(' ', 2)
      .join(' ');
  }
  /** @returns its path */
  async key(name: string, type = 'ed25519', ...more: readonly string[]): Promise<string> {
    await mustRun(this.#t, 'ssh-keygen', ['-q', '-t', type, ...more, '-N', '', '-f', this.path(name)]);
    return this.path(name);
  }
  /** @returns the path of the certificate */
  async sign(name: string, more: readonly string[] = [], principal = '127.0.0.1'): Promise<string> {
    const host = ['-s', this.path('ca'), '-h', '-I', name, '-n', principal, ...more];
    await mustRun(this.#t, 'ssh-keygen', ['-q', ...host, this.path(`${name}.pub`)]);
    return this.path(`${name}-cert.pub`);
  }
  /** The lines of a client that knows this CA, or this key, and nothing else. */
  knownHosts(server: Sallyport, line: string): string {
    const file = join(tempDir(this.#t), 'known_hosts');
    const [marker, rest] = line.startsWith('@') ? ['@cert-authority ', line.slice(1)] : ['', line];
    writeFileSync(file, `${marker}[${server.host}]:${server.port} ${rest}\n`);
    return file;
  }
}

async function visit(
  t: Test,
  server: Sallyport,
  knownHosts: string,
  args: readonly string[] = [],
  ssh = 'ssh',
): Promise<string> {
  const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${knownHosts}`, '-v'];
  const { stderr } = await sshRun(t, server, server.alice, [...strict, ...args], ['x'], { program: [ssh] });
  return stderr;
}

async function connects(t: Test, workers: number, ssh: string): Promise<void> {
  const ca = await Authority.create(t);
  const types = [
    ['ed25519', [], ['ssh-ed25519']],
    ['ecdsa', [], ['ecdsa-sha2-nistp256']],
    ['rsa', ['-b', '2048'], ['rsa-sha2-512', 'rsa-sha2-256']],
  ] as const;
  const [hostKeys, hostCertificates]: [string[], string[]] = [[], []];
  for (const [type, more] of types) {
    hostKeys.push(await ca.key(type, type, ...more));
    hostCertificates.push(await ca.sign(type));
  }
  const server = await startSallyport(t, { workers, config: { hostKeys, hostCertificates } });
  const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
  t.match(await visit(t, server, trusting, [], ssh), SHELL, 'by what it prefers');
  for (const [type, , names] of types)
    for (const name of names) {
      const algorithm = `${name}-cert-v01@openssh.com`;
      const said = await visit(t, server, trusting, ['-o', `HostKeyAlgorithms=${algorithm}`], ssh);
      t.match(said, SHELL, algorithm);
      t.match(said, `kex: host key algorithm: ${algorithm}`);
      t.match(said, /Server host certificate: .* CA ssh-ed25519/);
      const plain = await visit(
        t,
        server,
        ca.knownHosts(server, ca.publicKey(type)),
        ['-o', `HostKeyAlgorithms=${name}`],
        ssh,
      );
      t.match(plain, SHELL, `${name} alone is served too`);
    }
  const anyPort = join(tempDir(t), 'known_hosts');
  writeFileSync(anyPort, `@cert-authority 127.0.0.* ${ca.publicKey('ca')}\n`);
  t.match(await visit(t, server, anyPort, [], ssh), SHELL, 'a line without a port is for every port');
  const known = ca.knownHosts(server, ca.publicKey('ed25519'));
  t.match(await visit(t, server, known, [], ssh), SHELL, 'who knows the key and no CA goes by the key');
  await ca.key('stranger');
  const wrong = ca.knownHosts(server, `@${ca.publicKey('stranger')}`);
  t.match(await visit(t, server, wrong, [], ssh), /Host key verification failed/, 'twin: another CA');
}

flow(t, '@cert-authority', { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  await connects(t, workers, 'ssh');
});

flow(t, '@cert-authority, OpenSSH of forky', { needs: ['ssh-keygen'] }, async (t, workers) => {
  const ssh = programOfSuite(t, 'forky', 'ssh');
  if (ssh !== undefined) await connects(t, workers, ssh);
});

flow(t, 'new keys are agreed by the certificate too', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const ca = await Authority.create(t);
  const config = { hostKeys: [await ca.key('host')], hostCertificates: [await ca.sign('host')] };
  const server = await startSallyport(t, { workers, config });
  const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
  const echo = await startEcho(t);
  const near = await freePort();
  const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${trusting}`, '-o', 'RekeyLimit=1M'];
  const { client } = await tunnel(t, server, server.alice, [...strict, '-L', `${near}:localhost:${echo.port}`]);
  const { sent, received } = await exchange(await connect(t, near), 'certificate', 8 * MIB);
  t.same(received, sent);
  await client.stop();
  const exchanges = client.stderr.split('kex: host key algorithm: ssh-ed25519-cert-v01@openssh.com').length - 1;
  t.ok(exchanges >= 5, `${exchanges} exchanges`);
});

flow(
  t,
  'a certificate is renewed',
  { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
  async (t, workers) => {
    const ca = await Authority.create(t);
    const key = await ca.key('host');
    const inUse = ca.path('in-use-cert.pub');
    copyFileSync(await ca.sign('host', ['-V', '20200101:20210101']), inUse);
    const config = { hostKeys: [key], hostCertificates: [inUse], auth: { rereadFiles: 'off' } };
    const server = await startSallyport(t, { workers, config, earns: /hostCertificates: warning: it expired at 2021/ });
    t.ok(
      server.events.otherLines.some((line) => /it expired at 2021/.test(line)),
      'the start says so',
    );
    const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
    t.match(
      await visit(t, server, trusting),
      /Certificate invalid: expired/,
      'as with sshd it is for the client to refuse it',
    );
    copyFileSync(await ca.sign('host', ['-V', '+52w']), inUse);
    await server.reload();
    t.match(await visit(t, server, trusting), SHELL, 'SIGHUP reads it again');
    await t.test('a broken one is not taken, and the old one stays', async (t) => {
      const good = readFileSync(inUse, 'utf8');
      writeFileSync(inUse, good.slice(0, 200));
      const from = server.events.mark();
      server.signal('SIGHUP');
      const rejected = await server.events.wait('config.rejected', {}, from);
      t.match(String(rejected.errors), /in-use-cert\.pub:1:1: hostCertificates: /);
      t.match(await visit(t, server, trusting), SHELL);
      writeFileSync(inUse, good);
    });
    await t.test('without one it goes by the key again', async (t) => {
      await server.reload({ ...server.config, hostCertificates: [] });
      t.match(await visit(t, server, trusting), /Host key verification failed/);
      t.match(await visit(t, server, ca.knownHosts(server, ca.publicKey('host'))), SHELL);
    });
  },
);

flow(t, 'a new certificate in the same file needs no signal', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const ca = await Authority.create(t);
  const config = { hostKeys: [await ca.key('host')], hostCertificates: [await ca.sign('host', [], 'elsewhere')] };
  const server = await startSallyport(t, { workers, config: { ...config, auth: { rereadFiles: '100ms' } } });
  const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
  t.match(await visit(t, server, trusting), /name is not a listed principal/);
  const from = server.events.mark();
  await ca.sign('host');
  await server.events.wait('config.reloaded', {}, from);
  t.match(await visit(t, server, trusting), SHELL);
});

flow(
  t,
  'the next key of a rotation may be the one with the certificate',
  { needs: ['ssh', 'ssh-keygen'] },
  async (t, workers) => {
    const ca = await Authority.create(t);
    const config = { hostKeys: [await ca.key('old'), await ca.key('next')], hostCertificates: [await ca.sign('next')] };
    const server = await startSallyport(t, { workers, config });
    t.match(await visit(t, server, ca.knownHosts(server, `@${ca.publicKey('ca')}`)), SHELL);
    const plain = ['-o', 'HostKeyAlgorithms=ssh-ed25519'];
    t.match(await visit(t, server, ca.knownHosts(server, ca.publicKey('old')), plain), SHELL);
  },
);

flow(t, 'algorithms.hostKeys narrows them', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const ca = await Authority.create(t);
  const keys = { hostKeys: [await ca.key('host')], hostCertificates: [await ca.sign('host')] };
  const algorithms = { hostKeys: ['ssh-ed25519-cert-v01@openssh.com'] };
  const server = await startSallyport(t, { workers, config: { ...keys, algorithms } });
  const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
  t.match(await visit(t, server, trusting), SHELL);
  t.match(await visit(t, server, trusting, ['-o', 'HostKeyAlgorithms=ssh-ed25519']), /no matching host key type found/);
});

flow(
  t,
  'other clients',
  { needs: ['ssh-keygen', 'dbclient', 'dropbearconvert', 'plink', 'puttygen'] },
  async (t, workers) => {
    const ca = await Authority.create(t);
    const config = { hostKeys: [await ca.key('host')], hostCertificates: [await ca.sign('host')] };
    const server = await startSallyport(t, { workers, config });
    const { keyFile } = server.alice;
    const env = { HOME: server.dir };
    await mustRun(t, 'dropbearconvert', ['openssh', 'dropbear', keyFile, `${keyFile}.dropbear`]);
    await mustRun(t, 'puttygen', [keyFile, '-o', `${keyFile}.ppk`]);
    const port = String(server.port);
    const dbclient = await run(
      t,
      'dbclient',
      ['-y', '-y', '-i', `${keyFile}.dropbear`, '-p', port, 'alice@127.0.0.1', 'x'],
      { env },
    );
    t.match(dbclient.stderr, SHELL, 'dbclient');
    const listing = await mustRun(t, 'ssh-keygen', ['-l', '-f', ca.path('host.pub')]);
    const hostKey = listing.match(/SHA256:\S+/)?.[0] ?? '';
    const plink = ['-ssh', '-batch', '-hostkey', hostKey, '-i', `${keyFile}.ppk`, '-P', port, 'alice@127.0.0.1', 'x'];
    t.match((await run(t, 'plink', plink, { env })).stderr, SHELL, 'plink');
    const paramiko = [
      'import paramiko, sys',
      'client = paramiko.SSHClient(); client.set_missing_host_key_policy(paramiko.AutoAddPolicy())',
      'client.connect("127.0.0.1", int(sys.argv[1]), "alice", key_filename=sys.argv[2], allow_agent=False, look_for_keys=False)',
      'print("key", client.get_transport().host_key_type); client.close()',
    ];
    const asyncssh = [
      'import asyncio, asyncssh, sys',
      'async def main():',
      '    async with asyncssh.connect("127.0.0.1", int(sys.argv[1]), username="alice", client_keys=[sys.argv[2]], known_hosts=sys.argv[3], config=None, agent_path=None) as client:',
      '        print("key", client.get_extra_info("server_host_key") is not None or "cert")',
      'asyncio.run(main())',
    ];
    const trusting = ca.knownHosts(server, `@${ca.publicKey('ca')}`);
    for (const [module, lines] of [
      ['paramiko', paramiko],
      ['asyncssh', asyncssh],
    ] as const) {
      const python = pythonWith(module);
      if (python === undefined) continue; // other_clients.test.ts insists on them
      const args = ['-W', 'ignore', '-c', lines.join('\n'), port, keyFile, trusting];
      const { stdout, stderr } = await run(t, python, args, { env });
      t.match(stdout, /^key/, `${module} ${stderr}`);
    }
  },
);

t.test('check names the file and what is wrong', { timeout: 120_000 }, async (t) => {
  const ca = await Authority.create(t);
  await ca.key('host');
  await ca.key('other');
  const sound = await ca.sign('host');
  const foreign = await ca.sign('other');
  const user = join(ca.dir, 'user-cert.pub');
  await mustRun(t, 'ssh-keygen', ['-q', '-s', ca.path('ca'), '-I', 'x', '-n', 'x', ca.path('host.pub')]);
  copyFileSync(sound, user);
  await ca.sign('host');
  copyFileSync(sound, ca.path('again-cert.pub'));
  const late = ca.path('late-cert.pub');
  copyFileSync(await ca.sign('host', ['-V', '20200101:20210101']), late);
  await ca.sign('host');
  const check = async (certificates: readonly string[], more = ''): Promise<string> => {
    const config = ca.path('sallyport.yaml');
    const users = 'users: { alice: { authorizedKeys: ./ca.pub } }';
    writeFileSync(
      config,
      `listen: ["127.0.0.1:2222"]\nhostKeys: [./host]\nhostCertificates: [${certificates.join(', ')}]\n${users}\n${more}`,
    );
    const { code, stdout, stderr } = await run(t, process.execPath, [cliEntry, 'check', '--config', config]);
    return `${code}\n${stdout}${stderr}`.replaceAll(`${ca.dir}/`, '');
  };
  t.match(await check([sound]), /^0\n/);
  t.match(await check([late]), /^0\n[\s\S]*late-cert\.pub:1:1: hostCertificates: warning: it expired at 202/);
  t.match(
    await check([foreign]),
    /^2\nsallyport\.yaml:3:20: hostCertificates\[0\]: host certificate other-cert\.pub is for none of the host keys/,
  );
  t.match(await check([user]), /^2\nuser-cert\.pub:1:1: hostCertificates: a certificate for users/);
  t.match(
    await check([sound, ca.path('again-cert.pub')]),
    /hostCertificates\[1\]: .*again-cert\.pub is for the same key as host-cert\.pub/,
  );
  t.match(
    await check([ca.path('host.pub')]),
    /^2\nhost\.pub:1:1: hostCertificates: a key of type ssh-ed25519 and no certificate/,
  );
  t.match(await check([ca.path('host')]), /^2\n.*hostCertificates\[0\]: .*is a private key file/);
  t.match(await check([ca.path('nowhere')]), /^2\n.*hostCertificates\[0\]: .*is not there/);
  const narrow = 'algorithms: { hostKeys: [ssh-ed25519] }\n';
  t.match(await check([sound], narrow), /needs ssh-ed25519-cert-v01@openssh\.com in algorithms\.hostKeys/);
});
