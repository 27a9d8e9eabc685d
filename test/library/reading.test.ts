/** READING: what a reload brings is what was looked at, whatever becomes of the files meanwhile. */
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/library/load_config.js';
import { readAgain } from '../../src/library/reading.js';
import { readHostCertificates } from '../../src/worker/auth/host_certificates.js';
import { parseHostKeys } from '../../src/worker/transport/host_key.js';
import { loadSsh2 } from '../../src/worker/transport/ssh2.js';
import { mustRun } from '../support/process.js';
import { need } from '../support/programs.js';
import { tempDir } from '../support/temp.js';

/** Turns of the event loop that a reading takes, and more. */
const TURNS = 40;

t.test(
  'a host key that is replaced while it is read: the old one or the new one, and none that does not fit',
  async (t) => {
    if (!need(t, ['ssh-keygen'])) return;
    const dir = tempDir(t);
    const at = (name: string): string => join(dir, name);
    for (const name of ['ca', 'old', 'new'])
      await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
    await mustRun(t, 'ssh-keygen', ['-q', '-s', at('ca'), '-I', 'host', '-h', '-n', 'host', at('old.pub')]);
    const file = at('sallyport.yaml');
    writeFileSync(
      file,
      `hostKeys: [key]\nhostCertificates: [old-cert.pub]\nusers: { alice: { authorizedKeys: ca.pub } }\n`,
    );
    const outcomes = new Set<string>();
    for (let turns = 0; turns < TURNS; turns++) {
      copyFileSync(at('old'), at('key'));
      const reading = readAgain(loadConfig(file), file);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      copyFileSync(at('new'), at('aside'));
      renameSync(at('aside'), at('key'));
      const read = await reading;
      outcomes.add(read.ok ? 'good' : read.reason);
      if (!read.ok) continue;
      const { config, hostKeys } = read.settings;
      const { certificates } = readHostCertificates(config.hostCertificates);
      parseHostKeys(loadSsh2(), hostKeys, { allowed: config.algorithms.hostKeys, certificates }); // as every worker does
    }
    for (const outcome of outcomes) t.match(outcome, /^(good|HOST_KEY_INVALID)$/);
    t.ok(outcomes.has('HOST_KEY_INVALID'), 'a new key to which the certificate does not belong');
  },
);

t.test('a reload that is rejected tells every mistake, as check does', async (t) => {
  const dir = tempDir(t);
  const file = join(dir, 'sallyport.yaml');
  writeFileSync(join(dir, 'ca.pub'), 'junk\n');
  writeFileSync(file, 'workers: 0\nauth: {trustedUserCAKeys: ca.pub}\nhostKeys: [none]\n');
  const read = await readAgain(loadConfig(file), file);
  if (read.ok) throw new Error('it was taken');
  t.match(
    read.errors.map((line) => line.replaceAll(`${dir}/`, '')),
    [
      /^sallyport\.yaml:1:10: workers: 0/,
      /^ca\.pub:1:1: auth\./,
      /^sallyport\.yaml:3:12: hostKeys\[0\]: none: no such/,
    ],
  );
});
