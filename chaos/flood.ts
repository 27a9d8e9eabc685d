/** FLOOD: connections that are no SSH clients, all at once, as any public server gets them.
 *  Owns its sockets; all are closed when it is over. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { resetSocket } from '../src/shared/handles.js';
import type { Dice } from './dice.js';

const CONNECTIONS = 150;
const OVER_MS = 2_000;
const STAY_MS = 1_000;

export async function flood(port: number, dice: Dice): Promise<void> {
  const sockets: Socket[] = [];
  for (let count = 0; count < CONNECTIONS; count++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.2.${dice.between(1, 250)}` });
    socket.on('error', ignore).resume();
    const words = garbage(dice);
    if (words !== null) socket.write(words);
    if (dice.chance(0.3)) socket.end();
    sockets.push(socket);
    await delay(OVER_MS / CONNECTIONS);
  }
  await delay(STAY_MS);
  await Promise.all(
    sockets.map(async (socket) => {
      if (socket.closed) return;
      const closed = once(socket, 'close');
      if (dice.chance(0.5)) resetSocket(socket);
      else socket.destroy();
      await closed;
    }),
  );
}

function garbage(dice: Dice): Buffer | string | null {
  return (
    dice.pick<() => Buffer | string | null>([
      () => null,
      () => dice.bytes(dice.magnitude(1, 2_000)),
      () => 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
      () => 'SSH-2.0-OpenSSH_9.2',
      () => Buffer.concat([Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), dice.bytes(dice.magnitude(1, 4_000))]),
    ])?.() ?? null
  );
}

function ignore(): void {}
