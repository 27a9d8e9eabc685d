/** What is left of a dead worker is removed where it was bound, and nothing else is. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/master/clock.js';
import { removeSockets, tellLost } from '../../src/master/lost_worker.js';
import type { AuditEvent } from '../../src/shared/events.js';
import type { ConnId } from '../../src/shared/ipc.js';
import { tempDir } from '../support/temp.js';

/** Of a process that was killed. */
function leave(path: string): void {
  const crash = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', crash, path]);
}

/** @param asked what the tenant named; @param bound where that led then */
async function lose(asked: string, bound: string): Promise<AuditEvent[]> {
  const told: AuditEvent[] = [];
  const holder = 1 as ConnId;
  const peer = { address: '127.0.0.1', port: 5000 };
  const connection = { id: holder, peer, sinceMs: 0, worker: 1, user: 'alice' };
  const key = { kind: 'unix', path: bound } as const;
  const leases = [{ key, target: { kind: 'unix', path: asked }, holder, user: 'alice' } as const];
  await removeSockets([bound], systemClock);
  tellLost({ connection, leases }, 5, (event) => told.push(event));
  return told;
}

t.test('a socket goes by its real path, whatever a link on the way leads to by now', async (t) => {
  const dir = tempDir(t);
  for (const name of ['mine', 'theirs']) {
    mkdirSync(join(dir, name));
    leave(join(dir, name, 'a.sock'));
  }
  symlinkSync('theirs', join(dir, 'link')); // it led to `mine` once
  const told = await lose(join(dir, 'link', 'a.sock'), join(dir, 'mine', 'a.sock'));
  t.match(told, [
    { event: 'forward.released', destination: join(dir, 'link', 'a.sock'), reason: 'WORKER_LOST' },
    { event: 'connection.closed', durationMs: 5 },
  ]);
  t.notOk(existsSync(join(dir, 'mine', 'a.sock')), 'it is gone before anybody can have the path');
  t.ok(existsSync(join(dir, 'theirs', 'a.sock')), "another's stays");
});

t.test('a link in the place of the folder leads to nothing', async (t) => {
  const dir = tempDir(t);
  for (const name of ['mine', 'theirs']) mkdirSync(join(dir, name));
  leave(join(dir, 'theirs', 'a.sock'));
  renameSync(join(dir, 'mine'), join(dir, 'gone'));
  symlinkSync('theirs', join(dir, 'mine'));
  await lose(join(dir, 'mine', 'a.sock'), join(dir, 'mine', 'a.sock'));
  t.ok(existsSync(join(dir, 'theirs', 'a.sock')));
});
