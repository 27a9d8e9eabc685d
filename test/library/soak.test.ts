/** SOAK: 100,000 channels opened and closed through a server that hooks drive. The Python original kept a thread for each
 *  forward, a Cleaner that ended them, and its session channels from the garbage collector by hand; here there is nothing to
 *  do for it, and nothing grows.
 *  The server is a process of its own, so that what is measured is the server; half of the channels end at a TCP target, half
 *  inside the program. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { handlerUrl } from '../support/library.js';
import { start } from '../support/process.js';
import { rawClient } from '../support/raw_client.js';
import { endpointOf } from '../support/server.js';
import { tempDir } from '../support/temp.js';

const CHANNELS = 100_000;
/** Channels under way at a time. */
const AT_ONCE = 64;
/** What a swept heap may grow after the warm-up: 22 bytes a channel would be seen. */
const HEAP_SLACK_KIB = 2 * 1024;
/** The same for the whole process, whose pages the runtime gives back when it likes: 11 to 18 MiB on a quiet machine, 35 on a
 *  busy one, where more garbage waits for its collection. 700 bytes a channel would be seen. */
const RESIDENT_SLACK_KIB = 64 * 1024;

interface Footprint {
  readonly heapKib: number;
  readonly residentKib: number;
  readonly descriptors: number;
}

function footprintOf(pid: number, heapBytes: number): Footprint {
  const residentKib = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return { heapKib: Math.round(heapBytes / 1024), residentKib, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

const SWEPT = /swept (\d+)\n/g;

t.test('100,000 channels', { timeout: 280_000 }, async (t) => {
  const target = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
  target.listen(0, '127.0.0.1', 1024);
  await once(target, 'listening');
  t.teardown(() => target.close());
  const bound = target.address();
  const targetPort = bound !== null && typeof bound === 'object' ? bound.port : 0;

  const program = `
    import Soak from '${handlerUrl('soak').href}';
    const server = new Soak({ listen: ['127.0.0.1:0'], stateDir: '${tempDir(t)}/state', log: { level: 'error' } });
    const [address] = await server.listen();
    console.log('at ' + address.address + ':' + address.port);
    process.on('SIGUSR2', () => { gc(); console.log('swept ' + process.memoryUsage().heapUsed); });
  `;
  const server = start(t, process.execPath, ['--expose-gc', '--input-type=module', '-e', program]);
  const [, address = ''] = await server.waitFor(/at (\S+)/);
  const client = rawClient(t, endpointOf(address));
  await client.login('alice', { password: 'foo' });
  const lost = once(client.socket, 'close').then(() => {
    throw new Error('the server ended the connection');
  });
  lost.catch(() => {}); // at the end of the test it may

  let opened = 0;
  let echoed = 0;
  let refused = 0;
  let closed = 0;
  let goal = 0;
  let reached: () => void = () => {};
  const open = (): void => {
    const id = opened++;
    const host = id % 2 === 0 ? 'localhost' : 'inside';
    client.send(message(MSG.CHANNEL_OPEN, 'direct-tcpip', id, 65_536, 32_768, host, targetPort, '127.0.0.1', 1));
  };
  /** The server's number by ours. */
  const peers = new Map<number, number>();
  client.intercept = (payload) => {
    const id = payload.length >= 5 ? payload.readUInt32BE(1) : -1;
    switch (payload[0]) {
      case MSG.CHANNEL_OPEN_CONFIRMATION: {
        const peer = payload.readUInt32BE(5);
        peers.set(id, peer);
        client.send(message(MSG.CHANNEL_DATA, peer, `hello ${id}`));
        client.send(message(MSG.CHANNEL_EOF, peer));
        return true;
      }
      case MSG.CHANNEL_DATA:
        if (payload.subarray(9).toString() === `hello ${id}`) echoed++;
        return true;
      case MSG.CHANNEL_OPEN_FAILURE:
        refused++;
        return true;
      case MSG.CHANNEL_CLOSE:
        client.send(message(MSG.CHANNEL_CLOSE, peers.get(id) ?? 0));
        peers.delete(id);
        closed++;
        if (opened < goal) open();
        else if (closed === goal) reached();
        return true;
      case MSG.CHANNEL_EOF:
      case MSG.CHANNEL_WINDOW_ADJUST:
        return true;
      default:
        return false;
    }
  };
  const until = async (count: number): Promise<void> => {
    goal = count;
    const done = new Promise<void>((resolve) => {
      reached = resolve;
    });
    for (let started = 0; started < AT_ONCE; started++) open();
    await Promise.race([done, lost]);
  };
  const swept = async (): Promise<Footprint> => {
    const times = [...server.stdout.matchAll(SWEPT)].length;
    process.kill(server.pid, 'SIGUSR2');
    const heap = await server.waitUntil(() => [...server.stdout.matchAll(SWEPT)][times]?.[1], 'a swept heap');
    return footprintOf(server.pid, Number(heap));
  };

  await until(CHANNELS / 10);
  const before = await swept();
  await until(CHANNELS);
  const after = await swept();
  t.same({ opened, echoed, closed, refused }, { opened: CHANNELS, echoed: CHANNELS, closed: CHANNELS, refused: 0 });
  t.comment(`after ${CHANNELS / 10} channels ${JSON.stringify(before)}, after ${CHANNELS} ${JSON.stringify(after)}`);
  t.ok(after.descriptors <= before.descriptors, `descriptors: ${before.descriptors}, then ${after.descriptors}`);
  t.ok(after.heapKib - before.heapKib < HEAP_SLACK_KIB, `heap, KiB: ${before.heapKib}, then ${after.heapKib}`);
  const [early, late] = [before.residentKib, after.residentKib];
  t.ok(late - early < RESIDENT_SLACK_KIB, `resident, KiB: ${early}, then ${late}`);
  client.socket.destroy();
});
