/** A14: lengths that lie: of packets in the clear and sealed, of padding, of strings, and what is cut short or has more behind it;
 *  and a byte that is changed on the way (RFC 4253 §6, RFC 4251 §5). A length is refused when its four bytes are known, before
 *  anything is kept for it: the peer needs to send no more. */
import t from 'tap';
import { MACS } from '../../src/shared/algorithms.js';
import { DISCONNECT, MSG, message, UINT32_MAX } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { PlainClient, plainPacket } from '../support/plain_client.js';
import { directOpen, openDirectChannel, type RawClientOptions } from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';

const LENGTHS = [0, 1, 4, 7, 35_001, 35_008, 0x7fff_ffff, 0x8000_0000, UINT32_MAX];
/** For the clear: 4 and these are a multiple of 8, so that nothing else is wrong with them. */
const WHOLE_LENGTHS = [4, 35_004, 0x7fff_fffc, 0x8000_0004];

const SUITES: readonly RawClientOptions[] = [
  { cipher: 'aes128-gcm@openssh.com' },
  { cipher: 'chacha20-poly1305@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256' },
];

function lengthOnly(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

/** MACs over the plain text too, which nobody is offered who has not asked for them. */
const options = { config: { algorithms: { macs: MACS } } };

hostile(t, 'A14', 'lengths that lie', options, async (t, { server, tcp, stranger, login, echoPort }) => {
  await t.test('in the clear', async (t) => {
    const from = server.events.mark();
    for (const length of [...LENGTHS, ...WHOLE_LENGTHS]) {
      const client = new PlainClient(await tcp());
      client.socket.write(lengthOnly(length));
      t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, `length ${length}`);
    }
    const packets: ReadonlyArray<readonly [name: string, packet: Buffer]> = [
      ['more padding than packet', plainPacket(Buffer.of(MSG.KEXINIT), { padding: 255 })],
      ['a KEXINIT of nothing', plainPacket(Buffer.of(MSG.KEXINIT))],
      ['a KEXDH_INIT first', plainPacket(Buffer.of(30))],
      ['NEWKEYS first', plainPacket(Buffer.of(MSG.NEWKEYS))],
      ['a service request first', plainPacket(message(MSG.SERVICE_REQUEST, 'ssh-userauth'))],
    ];
    for (const [name, packet] of packets) {
      const client = new PlainClient(await tcp());
      client.socket.write(packet);
      t.match(await client.ended, { reason: Number }, name);
    }
    const count = LENGTHS.length + WHOLE_LENGTHS.length + packets.length;
    await server.events.waitAll(count, 'connection.closed', { reason: 'KEX_FAILED' }, from);
    t.equal(server.events.list('connection.closed', { reason: 'KEX_FAILED' }, from).length, count, 'a line each');
  });

  for (const suite of SUITES)
    await t.test(`sealed, ${suite.cipher} ${suite.mac ?? ''}`, async (t) => {
      const sent = message(MSG.IGNORE, Buffer.alloc(100));
      const spoils: ReadonlyArray<readonly [name: string, spoil: (packet: Buffer) => void]> = [
        ...LENGTHS.map(
          (length) => [`length ${length}`, (packet: Buffer) => void packet.writeUInt32BE(length)] as const,
        ),
        ['more padding than packet', (packet) => void packet.writeUInt8(255, 4)],
      ];
      for (const [name, spoil] of spoils) {
        const client = stranger(suite);
        await client.ready;
        client.sendNow(sent, spoil);
        t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'protocol error' }, name);
      }
      const client = stranger(suite);
      await client.ready;
      const write = client.socket.write.bind(client.socket);
      client.socket.write = (bytes: string | Uint8Array) => {
        const spoilt = Buffer.from(bytes);
        spoilt.writeUInt8(spoilt.readUInt8(spoilt.length - 20) ^ 1, spoilt.length - 20);
        return write(spoilt);
      };
      client.sendNow(sent);
      t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'protocol error' }, 'a byte changed');
    });

  await t.test('a message with more behind it', async (t) => {
    const more: ReadonlyArray<readonly [name: string, make: (peerId: number) => Buffer]> = [
      ['data', (peerId) => message(MSG.CHANNEL_DATA, peerId, 'abc', { byte: 0 })],
      ['stderr data', (peerId) => message(MSG.CHANNEL_EXTENDED_DATA, peerId, 1, 'abc', { byte: 0 })],
      ['a window adjust', (peerId) => message(MSG.CHANNEL_WINDOW_ADJUST, peerId, 1, 1)],
      ['EOF', (peerId) => message(MSG.CHANNEL_EOF, peerId, 1)],
      ['CLOSE', (peerId) => message(MSG.CHANNEL_CLOSE, peerId, 1)],
    ];
    for (const [name, make] of more) {
      const client = await login();
      const { peerId } = await openDirectChannel(client, echoPort);
      client.send(make(peerId));
      t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, name);
    }
  });
});

/** In one process with the server, so that an exception of its own fails the test; and because there are hundreds of them. */
t.test('A14 payloads of every type, cut short at every byte and with lengths that lie', async (t) => {
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
