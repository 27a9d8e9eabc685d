/** PACKETS: a peer that agrees on keys, may log in, and then says what no client says. Its own connection may end of it, and
 *  nothing else. Owns its socket. */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { MSG, message, UINT32_MAX } from '../src/shared/protocol.js';
import { directOpen, RawClient } from '../test/support/raw_client.js';
import type { SshEndpoint } from '../test/support/server.js';
import type { Dice } from './dice.js';
import { type Setting, USERS } from './setting.js';

const MOST_PACKETS = 60;
/** For the server to answer, or to end it. */
const STAY_MS = 1_500;
/** Nothing of this machine that is not ours is to be dialled. */
const NOBODYS_PORTS = [0, 1, 65_536, 70_000, UINT32_MAX] as const;

export async function strangePackets(endpoint: SshEndpoint, setting: Setting, dice: Dice): Promise<void> {
  const socket = connect({ host: endpoint.host, port: endpoint.port, localAddress: '127.0.3.1', noDelay: true });
  const client = new RawClient(socket, {});
  try {
    await client.ready;
    const user = dice.pick(USERS) ?? 'alice';
    if (dice.chance(0.8)) await client.login(user, { keyFile: setting.keyFile(user) });
    for (let left = dice.between(1, MOST_PACKETS); left > 0 && !client.hasEnded; left--) client.send(strange(dice));
    await Promise.race([client.ended, delay(STAY_MS, null, { ref: false })]);
  } catch {
    // ended before it came to that, which is the server's right
  } finally {
    socket.destroy();
  }
}

function strange(dice: Dice): Buffer {
  const number = (): number => dice.pick([0, 1, dice.between(0, 100), UINT32_MAX]) ?? 0;
  const text = (): Buffer => dice.bytes(dice.magnitude(1, 300));
  const made = dice.pick<() => Buffer>([
    () => Buffer.concat([Buffer.of(dice.between(0, 255)), dice.bytes(dice.magnitude(1, 1_000))]),
    () => directOpen(dice.pick(NOBODYS_PORTS) ?? 0, { id: number(), windowBytes: number(), maxPacketBytes: number() }),
    () => message(MSG.CHANNEL_OPEN, 'session', number(), number(), number()),
    () => message(MSG.CHANNEL_DATA, number(), text()),
    () => message(MSG.CHANNEL_WINDOW_ADJUST, number(), number()),
    () => message(dice.chance(0.5) ? MSG.CHANNEL_EOF : MSG.CHANNEL_CLOSE, number()),
    () => message(MSG.CHANNEL_OPEN_CONFIRMATION, number(), number(), number(), number()),
    () => message(MSG.GLOBAL_REQUEST, 'tcpip-forward', dice.chance(0.5), text(), number()),
    () => message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', dice.chance(0.5), text(), number()),
    () => message(MSG.CHANNEL_REQUEST, number(), text(), dice.chance(0.5)),
    () => message(MSG.USERAUTH_REQUEST, text(), 'ssh-connection', 'none'),
    () => message(MSG.IGNORE, text()),
  ]);
  return made?.() ?? Buffer.of(MSG.IGNORE);
}
