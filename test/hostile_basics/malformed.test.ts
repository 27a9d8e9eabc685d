/** MALFORMED: every message of the connection protocol, cut short and with lengths that lie: the connection ends, and no
 *  other. In one process with the server, so that an exception of its own fails the test. */
import t from 'tap';
import { DISCONNECT, MSG, message, UINT32_MAX } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { directOpen, openDirectChannel } from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';

t.test('malformed payloads of every type end the connection', async (t) => {
  const server = await startEndpoint(t);
  const { port } = await startEcho(t);
  const bystander = await server.login(t);
  const { CHANNEL_OPEN, GLOBAL_REQUEST } = MSG;
  /** `lengthAt`: where the length of a string stands. */
  const whole: ReadonlyArray<readonly [name: string, make: (peerId: number) => Buffer, lengthAt?: number]> = [
    ['direct-tcpip', () => directOpen(port), 1],
    ['direct-streamlocal', () => message(CHANNEL_OPEN, 'direct-streamlocal@openssh.com', 0, 1000, 1000, '/tmp/x'), 1],
    ['a session', () => message(CHANNEL_OPEN, 'session', 0, 1000, 1000), 1],
    ['tcpip-forward', () => message(GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0), 1],
    ['cancel-tcpip-forward', () => message(GLOBAL_REQUEST, 'cancel-tcpip-forward', true, 'localhost', 0), 1],
    ['streamlocal-forward', () => message(GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, '/tmp/x'), 1],
    ['data', (peerId) => message(MSG.CHANNEL_DATA, peerId, 'abc'), 5],
    ['stderr data', (peerId) => message(MSG.CHANNEL_EXTENDED_DATA, peerId, 1, 'abc'), 9],
    ['a window adjust', (peerId) => message(MSG.CHANNEL_WINDOW_ADJUST, peerId, 1)],
    ['EOF', (peerId) => message(MSG.CHANNEL_EOF, peerId)],
    ['CLOSE', (peerId) => message(MSG.CHANNEL_CLOSE, peerId)],
    ['a channel request', (peerId) => message(MSG.CHANNEL_REQUEST, peerId, 'exec', true), 5],
    ['an open confirmation', (peerId) => message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, 0, 1000, 1000)],
    ['an open failure', (peerId) => message(MSG.CHANNEL_OPEN_FAILURE, peerId)],
  ];
  for (const [name, make, lengthAt] of whole)
    await t.test(`${name}, cut short at every byte${lengthAt === undefined ? '' : ', and too long'}`, async (t) => {
      const broken = (peerId: number): Buffer[] => {
        const payload = make(peerId);
        const cuts = Array.from({ length: payload.length - 1 }, (_, at) => payload.subarray(0, at + 1));
        if (lengthAt === undefined) return cuts;
        const long = Buffer.from(payload);
        long.writeUInt32BE(UINT32_MAX, lengthAt);
        return [...cuts, long];
      };
      const count = broken(0).length;
      const reasons = new Set<number | null>();
      for (let at = 0; at < count; at++) {
        const client = await server.login(t);
        const channel = await openDirectChannel(client, port);
        client.send(broken(channel.peerId)[at] ?? Buffer.alloc(0));
        reasons.add((await client.ended).reason);
      }
      t.same([...reasons], [DISCONNECT.PROTOCOL_ERROR]);
    });
  await t.resolves(bystander.roundTrip(), 'and nobody else noticed');
});
