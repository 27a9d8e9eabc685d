/** WEBHOOK DOCS: the example of docs/access.md, with its service, its config and a real client. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { EventLog } from '../support/events.js';
import { cliEntry, projectRoot } from '../support/paths.js';
import { start } from '../support/process.js';
import { need } from '../support/programs.js';
import { endpointOf, makeLogin } from '../support/server.js';
import { HOST, sshConfig } from '../support/ssh.js';
import { connectWhenUp, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const BY_PASSWORD = [
  '-o',
  'BatchMode=no',
  '-o',
  'NumberOfPasswordPrompts=1',
  '-o',
  'PreferredAuthentications=password',
];

t.test('the example of a webhook', { timeout: 100_000 }, async (t) => {
  if (!need(t, ['ssh', 'ssh-keygen', 'sshpass'])) return;
  const text = readFileSync(join(projectRoot, 'docs/access.md'), 'utf8');
  const block = (first: string): string => {
    const found = [...text.matchAll(/^```\w+\n(.*?)^```$/gms)].find(([, inside]) => inside?.startsWith(`${first}\n`));
    if (found?.[1] === undefined) throw new Error(`no ${first}`);
    return found[1];
  };
  const put = (whole: string, what: string, by: string): string => {
    if (!whole.includes(what)) throw new Error(`no ${what}`);
    return whole.replaceAll(what, by);
  };
  const dir = tempDir(t);
  const [servicePort, echo, port] = [await freePort(), await startEcho(t), await freePort()];
  writeFileSync(join(dir, 'token'), 'token-of-the-docs\n', { mode: 0o600 });
  const module = put(
    put(block('// login_service.mjs'), '9000', String(servicePort)),
    'localhost:8080',
    `localhost:${echo.port}`,
  );
  writeFileSync(join(dir, 'login_service.mjs'), module);
  const config = put(put(block('# sallyport.yaml'), '9000', String(servicePort)), '127.0.0.1:2222', '127.0.0.1:0');
  writeFileSync(join(dir, 'sallyport.yaml'), `${put(config, '8000-8999', '*')}workers: 1\nlog: {format: json}\n`);
  const service = start(t, process.execPath, [join(dir, 'login_service.mjs')], { env: { TOKEN: 'token-of-the-docs' } });
  await service.waitFor(/asks me at/);
  const program = start(t, process.execPath, [cliEntry, 'serve'], { cwd: dir });
  const events = new EventLog(program);
  const endpoint = endpointOf(String((await events.wait('server.listening')).address));

  const ann = { ...(await makeLogin(t, dir, 'id')), name: 'ann' };
  const file = sshConfig(t, [{ alias: HOST, endpoint, login: ann }]);
  const ssh = (password: string) =>
    start(
      t,
      'sshpass',
      ['-p', password, 'ssh', '-F', file, ...BY_PASSWORD, '-N', '-L', `${port}:localhost:${echo.port}`, HOST],
      {
        mayMissSignals: true,
      },
    );
  const client = ssh('correct horse');
  const { sent, received } = await exchange(await connectWhenUp(t, port), 'docs', 10_000);
  t.same(received, sent);
  t.match(await events.wait('auth.succeeded'), { user: 'team-red', method: 'password' });
  await client.stop('SIGTERM');
  t.equal((await ssh('guess').exited).code, 255);
  t.match(await events.wait('auth.failed', { reason: 'WEBHOOK_DENIED' }), {
    user: 'ann',
    detail: 'auth.webhook: wrong password',
  });
  await program.stop('SIGTERM');
});
