/** SYSTEMD: what a service of Type=notify says, to a socket that is held as systemd holds it; and the units of contrib/. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { flow } from '../support/flow.js';
import { notifySocket } from '../support/notify_socket.js';
import { projectRoot } from '../support/paths.js';
import { run } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { tempDir } from '../support/temp.js';

const WATCHDOG_MS = 400;

flow(t, 'sd_notify', { needs: ['systemd-notify', 'ssh-keygen', 'python3'] }, async (t, workers) => {
  const systemd = await notifySocket(t);
  const env = { NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };
  const server = await startSallyport(t, { workers, env });
  const ready = await systemd.wait('READY=1');
  t.equal(ready.get('MAINPID'), String(server.pid));
  t.equal(ready.get('STATUS'), `listening on 127.0.0.1:${server.port}`);

  const alive = await systemd.wait('WATCHDOG=1');
  t.match(alive.get('STATUS'), /^0 connections, 0 channels, 2 workers$/);
  await systemd.wait('WATCHDOG=1', systemd.said().length);

  let from = systemd.said().length;
  await server.reload();
  const reloading = await systemd.wait('RELOADING=1', from);
  t.ok(BigInt(reloading.get('MONOTONIC_USEC') ?? '0') > 0n);
  await systemd.wait('READY=1', from);

  from = systemd.said().length;
  await server.reloadText('bogus: 1', 'config.rejected');
  t.equal((await systemd.wait('READY=1', from)).get('STATUS'), 'the reload was rejected: see the log');
  await server.reload();

  from = systemd.said().length;
  const next = await server.takeover();
  const after = await systemd.wait(`MAINPID=${next.pid}`, from);
  t.equal(after.get('READY'), '1', 'whoever takes over is the one');
  await server.ended;

  from = systemd.said().length;
  t.match(await next.stop(), { code: 0 });
  await systemd.wait('STOPPING=1', from);
  t.same(next.events.list('config.rejected'), []);
});

flow(
  t,
  'a watchdog that is meant for another process',
  { needs: ['systemd-notify', 'ssh-keygen', 'python3'] },
  async (t, workers) => {
    const systemd = await notifySocket(t);
    const env = { NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' };
    const server = await startSallyport(t, { workers, env });
    await systemd.wait('READY=1');
    const from = systemd.said().length;
    await server.reload();
    await systemd.wait('READY=1', from);
    await server.stop();
    await systemd.wait('STOPPING=1', from);
    t.same(
      systemd.said().filter((words) => words.has('WATCHDOG')),
      [],
    );
  },
);

flow(t, 'without systemd-notify the server serves, and says so', { needs: ['ssh-keygen'] }, async (t, workers) => {
  const env = { NOTIFY_SOCKET: '/nowhere/notify', PATH: tempDir(t) };
  const server = await startSallyport(t, { workers, env, earns: /there is no systemd-notify/ });
  await server.events.wait('server.listening');
  t.match(await server.stop(), { code: 0 });
});

flow(t, 'the units of contrib/systemd', { needs: ['systemd-analyze'] }, async (t) => {
  const units = join(projectRoot, 'contrib/systemd');
  // Verified is also that programs are there: the one that an operator has installed is put where the unit looks for it.
  const dir = tempDir(t);
  mkdirSync(join(dir, 'units'));
  for (const name of ['sallyport.service', 'sallyport.socket']) {
    const text = readFileSync(join(units, name), 'utf8').replaceAll('/usr/bin/sallyport', process.execPath);
    writeFileSync(join(dir, 'units', name), text);
  }
  for (const name of ['sallyport.service', 'sallyport.socket']) {
    const verified = await run(t, 'systemd-analyze', ['verify', '--man=no', join(dir, 'units', name)]);
    t.same([verified.code, verified.stderr], [0, ''], name);
  }
  const security = await run(t, 'systemd-analyze', [
    'security',
    '--offline=true',
    '--threshold=25',
    join(dir, 'units', 'sallyport.service'),
  ]);
  t.equal(security.code, 0, security.stdout.slice(-600));
});

t.test('the unit makes the folders that the docs name, for the server alone', async (t) => {
  const unit = readFileSync(join(projectRoot, 'contrib/systemd/sallyport.service'), 'utf8');
  const docs = readFileSync(join(projectRoot, 'docs/running.md'), 'utf8');
  const settingOf = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1];
  t.equal(`/var/log/${settingOf('LogsDirectory')}`, /^log: .*audit: (\S+)\/[^/]+ \}$/m.exec(docs)?.[1], 'of the audit');
  t.same([settingOf('LogsDirectoryMode'), settingOf('StateDirectoryMode')], ['0700', '0700']);
});
