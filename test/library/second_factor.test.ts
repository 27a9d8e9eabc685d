/** SECOND FACTOR of a program's own, in one process and in a cluster: verifyCode means the same in both. */
import { chmodSync } from 'node:fs';
import root from 'tap';
import { type Loaded, loadObject } from '../../src/library/load_config.js';
import { hashOfNothing } from '../../src/worker/auth/no_password.js';
import { ASK_BY_PROGRAM, askpass } from '../support/askpass.js';
import { handlerUrl, logins, MODES, serveIn } from '../support/library.js';
import { start } from '../support/process.js';
import { need } from '../support/programs.js';
import { HOST, spoken, sshConfig, sshRun } from '../support/ssh.js';
import { tempDir } from '../support/temp.js';
import { codeNow, keyOf, URI, writeTotp, wrongCode } from '../support/totp.js';

const HASH = hashOfNothing();

root.test('the file of a second factor is a secret, and is looked at again when it changes', async (t) => {
  const totp = writeTotp(`${tempDir(t)}/alice.totp`);
  const load = (): Loaded => loadObject({ users: { alice: { password: HASH, totp } } }, 'options');
  const { config, errors, files } = load();
  t.same(errors, []);
  t.match(config?.users, [{ totp: { ...keyOf(URI), file: totp } }]);
  t.ok([...files.keys()].includes(totp), 'it is among the files that are watched');
  for (const mode of [0o644, 0o640, 0o604, 0o660]) {
    chmodSync(totp, mode);
    t.match(load(), {
      config: null,
      errors: [`users.alice.totp: (${totp}) may be read by others (mode ${mode.toString(8)})`],
    });
  }
  chmodSync(totp, 0o400);
  t.same(load().errors, []);
});

for (const mode of MODES)
  root.test(`verifyCode, ${mode}`, { timeout: 120_000 }, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    const server = await serveIn(t, mode, handlerUrl('codes'));
    const { alice, broken } = await logins(t, 'alice', 'broken');
    const { env } = askpass(t, { code: codeNow() });

    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: alice }]);
    const first = start(t, 'ssh', ['-F', config, '-v', '-N', ...ASK_BY_PROGRAM, HOST], { env, mayMissSignals: true });
    await first.waitFor(/Entering interactive session/);
    const again = await sshRun(t, server, alice, ASK_BY_PROGRAM, [], { env });
    t.equal(again.code, 255, spoken(again));
    await server.wait('auth.failed', ({ reason }) => reason === 'CODE_REPLAYED');
    await first.stop();

    const wrong = askpass(t, { code: wrongCode() });
    t.equal((await sshRun(t, server, alice, ASK_BY_PROGRAM, [], { env: wrong.env })).code, 255);
    await server.wait('auth.failed', ({ reason }) => reason === 'CODE_WRONG');
    const next = askpass(t, { code: codeNow(undefined, 1) });
    t.equal((await sshRun(t, server, alice, ASK_BY_PROGRAM, [], { env: next.env })).code, 1, 'the next code');

    t.equal((await sshRun(t, server, broken, ASK_BY_PROGRAM, [], { env })).code, 255);
    const event = await server.wait('auth.failed', ({ reason }) => reason === 'HOOK_FAILED');
    t.match(event.detail, /^checkSecondFactor: verifyCode: the URI is no otpauth/);
  });
