/** QUICK START TEXT: lines that a shell and ssh read as they are meant, for awkward names too. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { quickStartSshConfig, quickStartText, shellQuote, sshConfigFile } from '../../src/cli/quick_start_text.js';
import type { ListenerAddress } from '../../src/shared/ipc.js';
import { mustRun } from '../support/process.js';
import { need } from '../support/programs.js';
import { tempDir } from '../support/temp.js';

const FACTS = {
  user: 'me',
  password: null,
  keyFiles: ['/home/me/.ssh/id_ed25519.pub'],
  identityFile: null,
  stateDir: '/home/me/.sallyport',
};

function tcp(address: string, port: number): ListenerAddress {
  return { kind: 'tcp', address, port };
}

t.test('the lines', async (t) => {
  const text = quickStartText(FACTS, [tcp('127.0.0.1', 40_123)]);
  const commands = text.split('\n').filter((line) => line.startsWith('    ssh'));
  t.same(commands, [
    '    ssh -F /home/me/.sallyport/ssh_config -N -L 8080:localhost:80 sallyport',
    '    ssh -F /home/me/.sallyport/ssh_config -N -R 9000:localhost:3000 sallyport',
    '    ssh -F /home/me/.sallyport/ssh_config -N -D 1080 sallyport',
    '    ssh -F /home/me/.sallyport/ssh_config -J sallyport me@localhost',
  ]);
  t.notMatch(text, /password/);
});

t.test('the password stands there once', async (t) => {
  const text = quickStartText({ ...FACTS, password: 'abc23', keyFiles: [] }, [tcp('127.0.0.1', 2222)]);
  t.equal(text.split('abc23').length, 2);
});

t.test('a listener on all addresses is reached by the loopback', async (t) => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['::1', '::1'],
    ['192.0.2.7', '192.0.2.7'],
  ];
  for (const [address, host] of cases)
    t.ok(quickStartSshConfig(FACTS, [tcp(address, 22)]).includes(`  HostName ${host}\n  Port 22\n`), address);
});

t.test('words for a shell', async (t) => {
  for (const word of ['plain', "o'clock", 'a b', '$HOME', '`id`', '', '~x', 'a\\b', '*', 'ü'])
    t.equal(await mustRun(t, 'sh', ['-c', `printf %s ${shellQuote(word)}`]), word, JSON.stringify(word));
});

t.test('ssh reads them, folders with blanks and percent signs too', async (t) => {
  if (!need(t, ['ssh'])) return;
  const dir = tempDir(t);
  mkdirSync(join(dir, 'my keys'));
  const identityFile = join(dir, 'my keys', 'work');
  writeFileSync(identityFile, '', { mode: 0o600 });
  const stateDir = join(dir, 'a b', '50%h');
  mkdirSync(stateDir, { recursive: true });
  const facts = { ...FACTS, stateDir, identityFile };
  const listeners = [tcp('127.0.0.1', 40_123)];
  const file = sshConfigFile(stateDir);
  writeFileSync(file, quickStartSshConfig(facts, listeners));
  const lines = quickStartText(facts, listeners)
    .split('\n')
    .filter((line) => line.endsWith(' sallyport'));
  t.equal(lines.length, 3);
  for (const line of lines) {
    const seen = await mustRun(t, 'sh', ['-c', line.replace('ssh ', 'ssh -G ')]);
    t.match(seen, /^user me$/m);
    t.match(seen, /^hostname 127\.0\.0\.1$/m);
    t.match(seen, /^port 40123$/m);
    t.match(seen, /^userknownhostsfile .*\/a b\/50%+h\/known_hosts/m);
    t.ok(seen.includes(`\nidentityfile ${identityFile}\n`));
    t.match(seen, /^stricthostkeychecking accept-new$/m);
  }
  const jump = await mustRun(t, 'ssh', ['-F', file, '-G', 'sallyport']);
  t.match(jump, /^user me$/m);
  t.match(jump, /^port 40123$/m);
  t.match(jump, /^userknownhostsfile .*50%+h\/known_hosts/m);
  const behind = await mustRun(t, 'ssh', ['-F', file, '-J', 'sallyport', '-G', 'me@localhost']);
  t.match(behind, /^proxyjump sallyport$/m);
  t.match(behind, /^port 22$/m);
  t.match(behind, /^userknownhostsfile .*50%+h\/known_hosts/m);
});
