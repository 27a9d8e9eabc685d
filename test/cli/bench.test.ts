/** BENCH: the command against a Sallyport and OpenSSH's sshd; what it says when it is refused; tunnels that harm what goes
 *  through them get no figure. The figures themselves are nobody's matter here. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Report, SCENARIOS } from '../../src/load/report.js';
import { flow } from '../support/flow.js';
import { handlerUrl, serveIn } from '../support/library.js';
import { cliEntry } from '../support/paths.js';
import { mustRun, type Outcome, run, start } from '../support/process.js';
import { hostKeyFingerprint, type Login, type SshEndpoint, startSallyport } from '../support/server.js';
import { startSshd } from '../support/sshd.js';
import { freePort } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const SHORT = ['--seconds', '0.5', '--connections', '2'];
const LONG_MS = 120_000;

function bench(t: Test, args: readonly string[], input = ''): Promise<Outcome> {
  return run(t, process.execPath, [cliEntry, 'bench', ...args], { input, deadlineMs: LONG_MS });
}

function at(server: SshEndpoint, login: Pick<Login, 'name'>): string {
  return `${login.name}@${server.host}:${server.port}`;
}

function reportOf(outcome: Outcome): Report {
  return JSON.parse(outcome.stdout);
}

flow(t, 'a Sallyport, from login to HTTP', { needs: ['ssh-keygen', 'ssh-keyscan'], workers: [1] }, async (t) => {
  const server = await startSallyport(t, { workers: 1, withPassword: true, users: { bob: { permitOpen: [] } } });
  const { alice, bob } = server;
  const fingerprint = await hostKeyFingerprint(t, server);
  const trusted = ['--host-key-fingerprint', fingerprint];

  await t.test('--json: one object and nothing else, of the documented shape', async (t) => {
    const args = [at(server, alice), '-i', alice.keyFile, ...trusted, '--json', ...SHORT];
    const outcome = await bench(t, args);
    t.equal(outcome.code, 0, outcome.stderr);
    const report = reportOf(outcome);
    t.match(report, {
      schemaVersion: 1,
      ok: true,
      interrupted: false,
      startedAt: /^\d{4}-\d\d-\d\dT/,
      target: { host: server.host, port: server.port, user: 'alice' },
      server: { software: 'Sallyport', cipher: 'aes128-gcm@openssh.com', hostKey: 'ssh-ed25519', onThisMachine: true },
      options: { scenarios: SCENARIOS, connections: 2, seconds: 0.5, destination: '127.0.0.1' },
      client: { node: process.version, cores: Number },
      failures: [],
    });
    t.same(
      report.results.map(({ scenario, cell }) => `${scenario}: ${cell}`),
      [
        'login: 2 connections',
        'open: 2 connections',
        'echo: alone',
        'echo: beside a download',
        'bulk: up, 1 connection',
        'bulk: down, 1 connection',
        'bulk: up, 2 connections',
        'bulk: down, 2 connections',
        'http: 2 connections x 8 tunnels',
      ],
    );
    for (const result of report.results) {
      t.ok(result.clientCpuShare > 0, result.cell);
      if (result.scenario === 'bulk') t.ok((result.megabytesPerSecond ?? 0) > 0, result.cell);
      else t.ok((result.perSecond ?? 0) > 0 && (result.p50Ms ?? 0) > 0 && (result.p99Ms ?? 0) > 0, result.cell);
    }
    t.match(report.notes[0], /share the \d+ cores of this machine/);
    t.match(
      outcome.stderr,
      /^login \(2 connections\): .* per second, p50 .* ms, p99 .* ms\n/,
      'progress, line by line',
    );
    t.notMatch(outcome.stderr, /warning/i);
  });

  await t.test('the table; a password from stdin; one scenario, one cipher', async (t) => {
    const some = ['--scenarios', 'bulk,login', '--cipher', 'chacha20-poly1305@openssh.com', ...SHORT];
    const { code, stdout, stderr } = await bench(
      t,
      [at(server, bob), '--password-stdin', ...trusted, ...some],
      'wrong\n',
    );
    t.equal(code, 1);
    t.equal(stdout, '');
    t.match(stderr, /^error: 127\.0\.0\.1:\d+ refused every login as bob.*\n {2}tried the password\n/);
    const key = [at(server, alice), '-i', alice.keyFile, ...trusted, ...some];
    const good = await bench(t, key);
    t.equal(good.code, 0, good.stderr);
    t.match(
      good.stdout,
      /^alice@127\.0\.0\.1:\d+: Sallyport, chacha20-poly1305@openssh\.com, .*, ssh-ed25519\n\nscenario /,
    );
    t.match(good.stdout, /\nlogin {5}2 connections +\d.* ms .* %\nbulk {6}up, 1 connection +\d/);
    t.match(good.stdout, /\nnote: client and server share/);
    const one = [at(server, bob), '--password-stdin', ...trusted, '--scenarios', 'login', ...SHORT];
    t.match(await bench(t, one, 'correct horse battery staple\n'), { code: 0, stdout: /^bob@/ });
  });

  await t.test('host keys: known, unknown, another', async (t) => {
    const dir = tempDir(t);
    const [known, changed, empty] = [join(dir, 'known'), join(dir, 'changed'), join(dir, 'empty')];
    const line = await mustRun(t, 'ssh-keyscan', ['-t', 'ed25519', '-p', String(server.port), server.host]);
    writeFileSync(known, line);
    writeFileSync(changed, `# one line before\n${line.replace(/IN?[A-Za-z0-9+/]{42,}/, `I${'A'.repeat(43)}`)}`);
    writeFileSync(empty, '');
    await mustRun(t, 'ssh-keygen', ['-q', '-H', '-f', known]);
    const login = [at(server, alice), '-i', alice.keyFile, '--scenarios', 'login', ...SHORT];
    t.match(await bench(t, [...login, '--known-hosts', known]), { code: 0 });
    t.match(await bench(t, [...login, '--known-hosts', empty, '--accept-new-host-key']), { code: 0 });
    const unknown = await bench(t, [...login, '--known-hosts', empty]);
    t.equal(unknown.code, 1);
    t.match(unknown.stderr, /has no key for \[127\.0\.0\.1\]:\d+; it shows SHA256:\S+ \(ssh-ed25519\)\n/);
    t.ok(unknown.stderr.includes(`--host-key-fingerprint ${fingerprint}`), unknown.stderr);
    const another = await bench(t, [...login, '--known-hosts', changed, '--accept-new-host-key']);
    t.equal(another.code, 1);
    t.match(another.stderr, /changed:2 has another key for/);
    const wrong = await bench(t, [...login, '--host-key-fingerprint', `SHA256:${'A'.repeat(43)}`]);
    t.equal(wrong.code, 1);
    t.match(wrong.stderr, /--host-key-fingerprint says SHA256:AAAA/);
  });

  await t.test('refusals say what was tried and what would be right; --json has them too', async (t) => {
    const refusedKey = await bench(t, [at(server, alice), '-i', bob.keyFile, ...trusted, ...SHORT]);
    t.equal(refusedKey.code, 1);
    t.match(refusedKey.stderr, /refused every login as alice; it would still take: .*publickey/);
    t.ok(refusedKey.stderr.includes(`tried ${bob.keyFile} (SHA256:`), refusedKey.stderr);
    t.match(refusedKey.stderr, /users\.alice\.authorizedKeys/);

    const closed = await bench(t, [at(server, bob), '-i', bob.keyFile, ...trusted, '--json', ...SHORT]);
    t.equal(closed.code, 1);
    const { ok, results, failures } = reportOf(closed);
    t.same({ ok, results }, { ok: false, results: [] });
    t.match(failures, [
      { scenario: null, code: 'OPEN_REFUSED', message: /ADMINISTRATIVELY_PROHIBITED \(not permitted\)/ },
    ]);
    t.match(closed.stderr, /users\.bob\.permitOpen must cover it: permitOpen: \["127\.0\.0\.1:\*"\]\n/);
    t.match(closed.stderr, /AllowTcpForwarding/);
    t.match(await bench(t, [at(server, bob), '-i', bob.keyFile, ...trusted, '--scenarios', 'login', ...SHORT]), {
      code: 0,
    });

    const port = await freePort();
    const nobody = await bench(t, [`alice@127.0.0.1:${port}`, '-i', alice.keyFile]);
    t.match(nobody, { code: 1, stderr: /^error: nothing listens at 127\.0\.0\.1:\d+ \(connection refused\)\n/ });
    const nowhere = await bench(t, ['alice@nowhere.invalid', '-i', alice.keyFile]);
    t.match(nowhere, { code: 1, stderr: /^error: the name nowhere\.invalid has no address/ });
    const away = await bench(t, [at(server, alice), '-i', alice.keyFile, ...trusted, '--destination', '192.0.2.1']);
    t.match(away, { code: 2, stderr: /^error: --destination 192\.0\.2\.1 is no address of this machine/ });
  });

  await t.test('Ctrl-C: what has ended is shown, the rest is let go', async (t) => {
    const args = [at(server, alice), '-i', alice.keyFile, ...trusted, '--seconds', '1', '--json'];
    const running = start(t, process.execPath, [cliEntry, 'bench', ...args]);
    await running.waitFor(/^login \(8 connections\): /, LONG_MS);
    t.same(await running.stop('SIGINT', LONG_MS), { code: 130, signal: null });
    t.match(running.stderr, /\ninterrupted: /);
    const report: Report = JSON.parse(running.stdout);
    t.match(report, { ok: false, interrupted: true, failures: [] });
    t.equal(report.results[0]?.scenario, 'login');
  });
});

flow(t, "OpenSSH's sshd", { needs: ['sshd', 'ssh-keygen'], workers: [1] }, async (t) => {
  const sshd = await startSshd(t);
  const args = [at(sshd, sshd.login), '-i', sshd.login.keyFile, '--accept-new-host-key', '--json', ...SHORT];
  const outcome = await bench(t, [...args, '--known-hosts', '/dev/null']);
  t.equal(outcome.code, 0, outcome.stderr);
  const report = reportOf(outcome);
  t.match(report.server?.software, /^OpenSSH_/);
  t.equal(report.results.length, 9);
});

t.test('a server that harms what goes through it gets no figure', { timeout: LONG_MS }, async (t) => {
  const server = await serveIn(t, 'single', handlerUrl('harmful'));
  const short = ['--accept-new-host-key', '--known-hosts', '/dev/null', '--password-stdin', '--json', ...SHORT];
  const load = async (user: string, scenarios: string): Promise<Report> => {
    const outcome = await bench(t, [at(server, { name: user }), '--scenarios', scenarios, ...short], 'foo\n');
    t.equal(outcome.code, user === 'honest' ? 0 : 1, `${user}: ${outcome.stderr}`);
    return reportOf(outcome);
  };
  t.equal((await load('honest', 'bulk')).failures.length, 0);
  const changed = await load('change', 'echo,bulk,http');
  t.same(
    changed.failures.map(({ scenario, code }) => `${scenario} ${code}`),
    [...Array(2).fill('echo'), ...Array(4).fill('bulk'), 'http'].map((name) => `${name} VERIFICATION_FAILED`),
  );
  t.same(changed.results, []);
  t.match(changed.failures[2]?.message, /^up: sent (\d+) bytes \(CRC-32 [0-9a-f]{8}\), received \1 \(/);
  const lost = await load('lose', 'bulk');
  t.same(lost.results, []);
  t.match(lost.failures[1], { code: 'VERIFICATION_FAILED', message: /^down: sent \d+ bytes/ });
  const swallowed = await load('swallow', 'open');
  t.match(swallowed.failures, [{ scenario: null, code: 'VERIFICATION_FAILED', message: /came out 0 times/ }]);
});

t.test('bad usage: exit code 2 and what would be right', async (t) => {
  const dir = tempDir(t);
  const cases: ReadonlyArray<readonly [readonly string[], RegExp]> = [
    [[], /^error: missing required argument 'target'/],
    [['a b'], /^error: target 'a b': expected \[user@\]host\[:port\]\n$/],
    [['host', '--connections', '0'], /^error: --connections '0': expected a whole number, 1 to 1000\n$/],
    [['host', '--seconds', 'x'], /^error: --seconds 'x': expected a number/],
    [['host', '--scenarios', 'login,eccho'], /^error: --scenarios: there is no 'eccho' \(did you mean echo\?\)/],
    [['host', '--cipher', 'rot13'], /^error: --cipher 'rot13': this client has aes128-gcm@openssh\.com/],
    [['host', '--destination', 'a:b:c'], /^error: --destination 'a:b:c'/],
    [['host', '--host-key-fingerprint', 'MD5:00'], /^error: --host-key-fingerprint 'MD5:00': expected SHA256:/],
    [['host', '--known-hosts', join(dir, 'none')], /^error: --known-hosts: ENOENT/],
    [['host', '--password-stdin'], /^error: no password was given\n$/],
    [['host'], /^error: no key to log in with: none in \/nonexistent\/\.ssh, no agent; name one with -i FILE/],
    [['host', '-i', join(dir, 'none')], /^error: no key .*\n {2}did not try .*none: ENOENT/],
  ];
  for (const [args, message] of cases)
    t.match(await bench(t, args), { code: 2, stdout: '', stderr: message }, args.join(' '));
});

t.test('`serve` carries none of it', async (t) => {
  const dir = tempDir(t);
  const config = join(dir, 'sallyport.yaml');
  writeFileSync(
    config,
    `{listen: ["127.0.0.1:0"], workers: 1, stateDir: ${dir}/state, log: {format: json}, users: {}}`,
  );
  const program = `
    import { createRequire } from 'node:module';
    process.argv = [process.argv[0], 'sallyport', 'serve', '--config', '${config}'];
    process.on('exit', () => {
      const files = Object.keys(createRequire('${import.meta.filename}').cache);
      console.log('loaded ' + files.filter((file) => file.endsWith('/ssh2/lib/client.js')).length);
      console.log('of ' + files.filter((file) => file.endsWith('/commander/index.js')).length);
    });
    await import('${new URL('../../src/cli/main.js', import.meta.url).href}');`;
  const running = start(t, process.execPath, ['--input-type=module', '-e', program]);
  await running.waitFor(/server\.listening/);
  await running.stop('SIGTERM');
  t.equal(running.stdout, 'loaded 0\nof 1\n', running.stderr);
});
