/** A36: a config with a fault, at a reload, at `check` and at the start: the same verdict in the same words, with file and
 *  line where there is one; the reload is rejected as a whole, and what was in force stays. A file of another owner is not
 *  among them: a config may be root's and be read by another user, as all of /etc is; one that everybody may write is. */
import { chmodSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { hostile } from '../support/hostile.js';
import { cliEntry } from '../support/paths.js';
import { type Outcome, run } from '../support/process.js';
import { replaceFile, type Sallyport } from '../support/server.js';

interface Fault {
  readonly name: string;
  /** The file's new text. */
  readonly text: (good: string, server: Sallyport) => string | Buffer;
  /** In one of the errors. */
  readonly says: RegExp;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'a typo in a key',
    text: (good) => good.replace('workers:', 'wrokers:'),
    says: /yaml:\d+:\d+: wrokers: .*workers/,
  },
  {
    name: 'an unknown key below',
    text: (good) => `${good}rekey:\n  rounds: 3\n`,
    says: /yaml:\d+:\d+: rekey\.rounds: /,
  },
  { name: 'a key twice', text: (good) => `${good}noShell: a\nnoShell: b\n`, says: /yaml:\d+:\d+: / },
  {
    name: 'a network with bits beyond its prefix',
    text: (good) => good.replaceAll('localhost:*', '10.0.0.5/8:*'),
    says: /yaml:\d+:\d+: users\.alice\.permitOpen.*10\.0\.0\.5\/8/,
  },
  {
    name: 'a key file that is not there',
    text: (good) => good.replace('alice.pub', 'nobody.pub'),
    says: /yaml:\d+:\d+: users\.alice\.authorizedKeys: .*nobody\.pub\) is not there/,
  },
  { name: 'nothing at all', text: () => '', says: /yaml:/ },
  {
    name: 'more than a config can be',
    text: (good) => Buffer.alloc(100 * 1024 * 1024, good),
    says: /is larger than 1MiB/,
  },
  {
    name: 'cut off in the middle of a line',
    text: (good) => good.slice(0, good.indexOf('authorizedKeys') + 8),
    says: /yaml:\d+:\d+: /,
  },
  { name: 'no text', text: () => Buffer.from([0xff, 0xfe, 0x00, 0x80]), says: /is not UTF-8 text/ },
  {
    name: 'a host key that is none',
    text: (good, { dir }) => `${good}hostKeys: [${join(dir, 'damaged')}]\n`,
    says: /yaml:\d+:\d+: hostKeys\[0\]: .*damaged/,
  },
  {
    name: 'a host key that others may read',
    text: (good, { dir }) => `${good}hostKeys: [${join(dir, 'open')}]\n`,
    says: /yaml:\d+:\d+: hostKeys\[0\]: .*others may read/,
  },
];

// The raw client answers no keepalive, and on a slow machine the row may last longer than a silent peer.
const config = { timeouts: { drain: '2s', keepalive: 'off' } };

hostile(t, 'A36', 'a config with a fault changes nothing', { config }, async (t, { server, login, workers }) => {
  const rejected = (name: string, says: RegExp): Promise<void> => verdict(t, server, name, says, workers === 1);
  const good = stringify(server.config);
  cpSync(join(server.dir, 'state', 'ssh_host_ed25519_key'), join(server.dir, 'open'));
  chmodSync(join(server.dir, 'open'), 0o644);
  const damaged =
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n';
  writeFileSync(join(server.dir, 'damaged'), damaged, { mode: 0o600 });
  const before = await login();
  for (const { name, text, says } of FAULTS) {
    replaceFile(server.configFile, text(good, server));
    await rejected(name, says);
  }
  replaceFile(server.configFile, good);
  chmodSync(server.configFile, 0o666);
  await rejected('a file that everybody may write', /may be written by everybody/);
  rmSync(server.configFile);
  await rejected('no file', /is not there/);
  mkdirSync(server.configFile);
  await rejected('a folder', /is a folder/);
  rmSync(server.configFile, { recursive: true });

  await before.roundTrip();
  await (await login()).roundTrip();
  t.match(await server.reloadText(good, 'config.reloaded'), { changed: [] }, 'after all that, nothing has changed');
});

const STARTS = /^(nothing at all|a host key that is none)$/;

/** What a reload says of the file as it is, and, where they are asked (once is enough), `check` and `serve`. */
async function verdict(t: Test, server: Sallyport, name: string, says: RegExp, askAll: boolean): Promise<void> {
  const from = server.events.mark();
  server.signal('SIGHUP');
  const { errors } = await server.events.wait('config.rejected', {}, from);
  const lines: readonly unknown[] = Array.isArray(errors) ? errors : [];
  t.ok(
    lines.some((line) => says.test(String(line))),
    `${name}: ${JSON.stringify(lines)}`,
  );
  if (!askAll) return;
  const ask = (command: 'check' | 'serve'): Promise<Outcome> =>
    run(t, process.execPath, [cliEntry, command, '--config', server.configFile], { cwd: server.dir });
  const check = await ask('check');
  t.equal(check.code, 2, name);
  t.same(check.stdout.trim().split('\n'), lines, `${name}: check says the same`);
  // The start reads with the same code; two are enough, one whose fault a worker finds.
  if (STARTS.test(name)) t.equal((await ask('serve')).code, 2, `${name}: no start`);
}
