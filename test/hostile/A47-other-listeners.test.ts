/** A47: doors beside the one that the config opens. The server listens at its addresses, in its primary, and at what tenants
 *  have bound, in the worker of each; nothing else of it can be connected to, by TCP, UDP or a Unix socket. There is no admin
 *  or metrics endpoint yet. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { hostile, processesOf, socketInodesOf } from '../support/hostile.js';
import { asked, bindRequest, bindSocketRequest, cancelRequest, cancelSocketRequest } from '../support/requests.js';

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

hostile(t, 'A47', 'no door beside the front door', {}, async (t, { server, login }) => {
  const [primary = 0, ...workers] = processesOf(server);
  const front = [`tcp ${server.port}`];
  t.same(doorsOf([primary]), front);
  t.same(doorsOf(workers), []);

  const alice = await login();
  t.same([doorsOf([primary]), doorsOf(workers)], [front, []], 'a login opens none');
  const port = await asked(alice, bindRequest('localhost', 0));
  await asked(alice, bindSocketRequest(`${server.dir}/a.sock`));
  const [tcp = '', unix = '', ...more] = new Set(doorsOf(workers)); // a port counts once, whatever its addresses
  t.same([tcp, more], [`tcp ${port}`, []], "a tenant's");
  t.match(unix, /^unix \/.*\/a\.sock$/);
  t.same(doorsOf([primary]), front);
  await asked(alice, cancelRequest('localhost', port ?? 0));
  await asked(alice, cancelSocketRequest(`${server.dir}/a.sock`));
  t.same([doorsOf([primary]), doorsOf(workers)], [front, []], 'and gone with it');
});
