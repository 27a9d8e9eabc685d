/** CHECK of a webhook: the file with its token, and a handler that would never ask; and the schema, by the command line. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { webhookSchema } from '../../src/shared/webhook_schema.js';
import { handlerUrl } from '../support/library.js';
import { cliEntry } from '../support/paths.js';
import { type Outcome, run } from '../support/process.js';
import { tempDir } from '../support/temp.js';

function sallyport(t: Test, cwd: string, args: readonly string[]): Promise<Outcome> {
  return run(t, process.execPath, [cliEntry, ...args], { cwd, env: { HOME: cwd } });
}

t.test('the token is a secret', async (t) => {
  const dir = tempDir(t);
  const [config, token] = [join(dir, 'c.yaml'), join(dir, 'token')];
  writeFileSync(
    config,
    'workers: 1\nlisten: ["127.0.0.1:0"]\nauth: {webhook: {url: "http://127.0.0.1:1/", tokenFile: token}}\n',
  );
  writeFileSync(token, 'hunter2\n');
  for (const [mode, wrong] of [
    [0o644, 'may be read by others (mode 644): chmod 600 it'],
    [0o640, 'may be read by others (mode 640): chmod 600 it'],
    [0o602, 'may be written by everybody on this machine: chmod o-w it'],
  ] as const) {
    chmodSync(token, mode);
    const { code, stdout, stderr } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
    t.equal(code, 2);
    t.match(stdout, /^c\.yaml:3:57: auth\.webhook\.tokenFile: "token" \(.*\/token\) /);
    t.ok(stdout.includes(wrong), stdout);
    t.notMatch(stdout + stderr, /hunter2/);
  }
  chmodSync(token, 0o600);
  const { code, stdout, stderr } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.same({ code, stderr }, { code: 0, stderr: '' });
  t.match(stdout, /good: 0 users/);
});

t.test('a handler whose hooks decide would never ask', async (t) => {
  const dir = tempDir(t);
  const handler = fileURLToPath(handlerUrl('shell'));
  writeFileSync(join(dir, 'c.yaml'), `handler: ${handler}\nauth: {webhook: {url: "http://127.0.0.1:1/"}}\n`);
  t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), {
    code: 2,
    stdout: /^c\.yaml:1:10: handler: .*: auth\.webhook: here the hooks decide, and nobody would ask it/,
  });
});

t.test('the schema', async (t) => {
  const { code, stdout } = await sallyport(t, tempDir(t), ['schema', '--webhook']);
  t.equal(code, 0);
  t.same(JSON.parse(stdout), JSON.parse(JSON.stringify(webhookSchema())));
});
