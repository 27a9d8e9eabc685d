/** CONNECTION SHAPES: the messages of RFC 4254 that a peer may send after its login, as an honest one would write them.
 *  Owns nothing. Channels are meant by small numbers, which the server gives first. */
import { MSG, UINT32_MAX } from '../../src/shared/protocol.js';
import { type Draft, draft, type Field, flag, raw, string, uint32 } from './grammar.js';
import type { Random } from './random.js';
import type { Shape } from './script.js';

/** Where the server under test lets tunnels lead (fuzz_server.ts). */
export interface Places {
  /** Folder in which Unix sockets may be bound. */
  readonly folder: string;
  /** A Unix socket that echoes. */
  readonly echoPath: string;
}

const WINDOWS = [0, 1, 100, 32_768, 1 << 20, 1 << 20, 0x7fff_ffff, UINT32_MAX];
const PACKET_SIZES = [32_768, 32_768, 32_768, 256, 255, 0, 1, 35_000, UINT32_MAX];
/** Each leads to something else that can happen to a tunnel. */
const HOSTS = [
  'echo',
  'echo',
  'echo',
  'echo',
  'echo',
  'echo',
  'sink',
  'stuck',
  'gone',
  'late',
  'throws',
  'breaks',
  'denied',
  '127.0.0.1',
];
const COMMANDS = ['cat', 'cat', 'fail', 'late', 'leave', 'no'];

/** Mostly one that is open: the lowest are given first. */
function channel(random: Random): Field {
  return uint32(random.below(random.pick([1, 1, 1, 2, 2, 3, 9])));
}

/** Data for no channel ends the connection: seldom so. */
function dataChannel(random: Random): Field {
  return uint32(random.chance(0.97) ? 0 : random.below(9));
}

/** A number of the peer's own, seldom in use already. */
function ownNumber(random: Random): Field {
  return uint32(random.chance(0.1) ? random.below(3) : random.below(UINT32_MAX));
}

function open(random: Random, type: string, ...details: Field[]): Draft {
  const [windowBytes, packetBytes] = random.chance(0.6)
    ? [1 << 20, 32_768]
    : [random.pick(WINDOWS), random.pick(PACKET_SIZES)];
  return draft(MSG.CHANNEL_OPEN, string(type), ownNumber(random), uint32(windowBytes), uint32(packetBytes), ...details);
}

function request(random: Random, name: string, ...details: Field[]): Draft {
  return draft(MSG.CHANNEL_REQUEST, channel(random), string(name), flag(random.chance(0.7)), ...details);
}

function global(random: Random, name: string, ...details: Field[]): Draft {
  return draft(MSG.GLOBAL_REQUEST, string(name), flag(random.chance(0.7)), ...details);
}

function data(random: Random): Field {
  const bytes = random.chance(0.88)
    ? random.below(300)
    : random.chance(0.9)
      ? random.below(32_768)
      : 32_767 + random.below(3);
  return string(random.bytes(bytes));
}

function port(random: Random): Field {
  return uint32(random.pick([0, 1, 22, 80, 8080, 65_535]));
}

export function connectionShapes({ folder, echoPath }: Places): readonly Shape[] {
  const path = (random: Random): Field =>
    string(random.pick([`${folder}/a.sock`, `${folder}/b.sock`, `${folder}/no/c.sock`, 'd.sock']));
  const bindHost = (random: Random): Field => string(random.pick(['localhost', '', '0.0.0.0', '::', '192.0.2.1']));
  const shapes: readonly (readonly [name: string, weight: number, make: (random: Random) => Draft])[] = [
    ['direct-tcpip', 14, (random) => tunnel(random, random.pick(HOSTS))],
    ['direct-streamlocal', 1, (random) => open(random, 'direct-streamlocal@openssh.com', string(echoPath), raw(ZEROS))],
    ['session', 8, (random) => open(random, 'session')],
    [
      'open of a kind that we do not serve',
      3,
      (random) =>
        open(random, random.pick(['x11', 'forwarded-tcpip', 'auth-agent@openssh.com', 'tun@openssh.com', ''])),
    ],
    ['data', 16, (random) => draft(MSG.CHANNEL_DATA, dataChannel(random), data(random))],
    ['extended data', 3, (random) => draft(MSG.CHANNEL_EXTENDED_DATA, dataChannel(random), uint32(1), data(random))],
    [
      'window adjust',
      8,
      (random) => draft(MSG.CHANNEL_WINDOW_ADJUST, channel(random), uint32(random.below(random.pick([2, 1 << 20])))),
    ],
    ['EOF', 4, (random) => draft(MSG.CHANNEL_EOF, channel(random))],
    ['CLOSE', 5, (random) => draft(MSG.CHANNEL_CLOSE, channel(random))],
    [
      'pty-req',
      2,
      (random) =>
        request(random, 'pty-req', string('xterm'), uint32(80), uint32(24), uint32(0), uint32(0), string(MODES)),
    ],
    ['env', 2, (random) => request(random, 'env', string('LANG'), string('C'))],
    ['shell', 2, (random) => request(random, 'shell')],
    ['exec', 5, (random) => request(random, 'exec', string(random.pick(COMMANDS)))],
    ['subsystem', 1, (random) => request(random, 'subsystem', string('sftp'))],
    [
      'window-change',
      2,
      (random) => request(random, 'window-change', uint32(80), uint32(24), uint32(640), uint32(480)),
    ],
    ['signal', 1, (random) => request(random, 'signal', string('TERM'))],
    [
      'another channel request',
      3,
      (random) =>
        request(random, random.pick(['x11-req', 'auth-agent-req@openssh.com', 'exit-status', 'eow@openssh.com', ''])),
    ],
    ['CHANNEL_SUCCESS', 1, (random) => draft(MSG.CHANNEL_SUCCESS, channel(random))],
    ['CHANNEL_FAILURE', 1, (random) => draft(MSG.CHANNEL_FAILURE, channel(random))],
    [
      'open confirmation',
      4,
      (random) =>
        draft(
          MSG.CHANNEL_OPEN_CONFIRMATION,
          channel(random),
          ownNumber(random),
          uint32(random.pick(WINDOWS)),
          uint32(random.pick(PACKET_SIZES)),
        ),
    ],
    [
      'open failure',
      2,
      (random) =>
        draft(MSG.CHANNEL_OPEN_FAILURE, channel(random), uint32(1 + random.below(4)), string('no'), string('')),
    ],
    ['tcpip-forward', 2, (random) => global(random, 'tcpip-forward', bindHost(random), port(random))],
    ['cancel-tcpip-forward', 2, (random) => global(random, 'cancel-tcpip-forward', bindHost(random), port(random))],
    ['streamlocal-forward', 1, (random) => global(random, 'streamlocal-forward@openssh.com', path(random))],
    [
      'cancel-streamlocal-forward',
      1,
      (random) => global(random, 'cancel-streamlocal-forward@openssh.com', path(random)),
    ],
    ['another global request', 4, (random) => global(random, random.pick(['keepalive@openssh.com', '']))],
    [
      'hostkeys-prove',
      1,
      (random) => {
        const asked = Array.from({ length: random.below(3) }, () =>
          string(random.pick([...HOST_KEY_BLOBS, 'unknown'])),
        );
        return global(random, 'hostkeys-prove-00@openssh.com', ...asked);
      },
    ],
    ['no-more-sessions', 1, (random) => global(random, 'no-more-sessions@openssh.com')],
    ['REQUEST_SUCCESS', 1, () => draft(MSG.REQUEST_SUCCESS)],
    ['REQUEST_FAILURE', 1, () => draft(MSG.REQUEST_FAILURE)],
    ['a message that nobody knows', 1, (random) => draft(101 + random.below(155), raw(random.bytes(random.below(40))))],
  ];
  return shapes.map(([name, weight, make]) => ({ name, weight, draft: make }));
}

/** Of the server's host keys: what they are is nobody's business there. */
export const HOST_KEY_BLOBS = ['the first host key', 'the second host key'] as const;

/** What opens a channel, honestly. */
export const OPENS: readonly Shape[] = [
  { name: 'tunnel to an echo', weight: 4, draft: (random) => tunnel(random, 'echo') },
  { name: 'session', weight: 1, draft: (random) => open(random, 'session') },
];

function tunnel(random: Random, host: string): Draft {
  return open(random, 'direct-tcpip', string(host), uint32(80), string('127.0.0.1'), port(random));
}

/** OpenSSH PROTOCOL 2.4: a reserved string and a reserved number. */
const ZEROS = Buffer.alloc(8);
/** RFC 4254 §8: ECHO on, then the end. */
const MODES = Buffer.from([53, 0, 0, 0, 1, 0]);
