/** A47: doors beside the one that the config opens. The server listens at its addresses, in its primary, and at what tenants
 *  have bound, in the worker of each; and its primary in stateDir, for processes of the same user. Nothing else of it can be
 *  connected to, by TCP, UDP or a Unix socket; nor listened at, while it does not. The admin API is one of these sockets; by TCP it is held
 *  to the same in admin/tcp.test. */
import { readdirSync, readFileSync, realpathSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hostile, processesOf, socketInodesOf } from '../support/hostile.js';
import { openRefusal } from '../support/raw_client.js';
import {
  asked,
  bindRequest,
  bindSocketRequest,
  cancelRequest,
  cancelSocketRequest,
  socketOpen,
} from '../support/requests.js';
import { tempDir } from '../support/temp.js';

/** `tcp PORT` or `unix PATH` of each socket of these processes that somebody could connect or send to (proc(5)). */
function doorsOf(pids: readonly number[]): string[] {
  const own = new Set(pids.flatMap(socketInodesOf));
  const rows = (file: string): string[][] =>
    readFileSync(`/proc/net/${file}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  const port = (address = ''): number => Number.parseInt(address.split(':')[1] ?? '', 16);
  return [
    ...['tcp', 'tcp6'].flatMap((file) =>
      rows(file)
        .filter(([, , , state, , , , , , inode]) => state === LISTENING && own.has(inode ?? ''))
        .map(([, local]) => `tcp ${port(local)}`),
    ),
    ...['udp', 'udp6', 'raw', 'raw6'].flatMap((file) =>
      rows(file)
        .filter(([, , , , , , , , , inode]) => own.has(inode ?? ''))
        .map(([, local]) => `${file} ${port(local)}`),
    ),
    // A socket pair, such as the channel to a worker, has no name and accepts nobody.
    ...rows('unix')
      .filter(([, , , , , , inode, path]) => own.has(inode ?? '') && path !== undefined)
      .map(([, , , flags, , , , path]) => `unix ${flags === ACCEPTING ? '' : 'not listening '}${path}`),
  ].sort();
}

const LISTENING = '0A';
const ACCEPTING = '00010000';

const base = realpathSync(tempDir(t));
const stateDir = join(base, 'state');
const LINK = join(base, 'link');
symlinkSync(stateDir, LINK);
const options = {
  config: { stateDir },
  users: { alice: { permitOpen: [`${stateDir}/*`], permitListen: ['localhost:*', `${stateDir}/*`, `${LINK}/*`] } },
};

hostile(t, 'A47', 'no door beside the front door', options, async (t, { server, login }) => {
  const [primary = 0, ...workers] = processesOf(server);
  const doors = (): string[][] => [
    doorsOf([primary]).filter((door) => !door.startsWith(`unix ${stateDir}/`)),
    [...new Set(doorsOf(workers))], // a port counts once, whatever its addresses
  ];
  const front = [`tcp ${server.port}`];
  t.same(doors(), [front, []]);

  const alice = await login();
  t.same(doors(), [front, []], 'a login opens none');
  const port = await asked(alice, bindRequest('localhost', 0));
  t.same(doors(), [front, [`tcp ${port}`]], "a tenant's");
  await asked(alice, cancelRequest('localhost', port ?? 0));
  t.same(doors(), [front, []], 'and gone with it');

  // Whoever could speak to the primary could take its ports.
  t.equal(statSync(stateDir).mode & 0o777, 0o700);
  const sockets = readdirSync(stateDir).filter((name) => statSync(join(stateDir, name)).isSocket());
  for (const name of ['admin.sock', 'primary.sock']) t.ok(sockets.includes(name), sockets.join());
  for (const [id, name] of sockets.entries()) {
    const path = join(stateDir, name);
    const from = server.events.mark();
    t.equal(statSync(path).mode & 0o777, 0o600, name);
    alice.send(socketOpen(path, id));
    t.match(
      await openRefusal(alice, id),
      { text: 'not permitted' },
      'no tunnel leads to it, whatever the patterns say',
    );
    await server.events.wait('channel.refused', { user: 'alice', reason: 'OWN_LISTENER' }, from);
    t.equal(await asked(alice, bindSocketRequest(path)), null, 'and nobody takes its place');
  }

  // The same while nobody listens there: in a take-over, or where it could not.
  for (const name of sockets) unlinkSync(join(stateDir, name));
  // Nor under the names by which the next primary makes its own, before they have theirs.
  const names = sockets.flatMap((name) => [name, `${name}.12345`]);
  for (const path of [stateDir, LINK].flatMap((dir) => names.map((name) => join(dir, name)))) {
    const from = server.events.mark();
    t.equal(await asked(alice, bindSocketRequest(path)), null, path);
    await server.events.wait('forward.refused', { user: 'alice', reason: 'PORT_TAKEN' }, from);
  }
  for (const dir of [stateDir, LINK]) {
    t.equal(await asked(alice, bindSocketRequest(join(dir, 'a.sock'))), 0, 'twin: another name there');
    t.equal(await asked(alice, cancelSocketRequest(join(dir, 'a.sock'))), 0);
  }
});
