/** KEX SHAPES: what a peer says before there are keys: its ident, KEXINIT, the key exchange, NEWKEYS (RFC 4253 §4.2, §6, §7), and
 *  the packets around them, in the clear. Owns nothing. */

import { CIPHERS, KEX_ALGORITHMS } from '../../src/shared/algorithms.js';
import { MSG } from '../../src/shared/protocol.js';
import { draft, type Field, flag, raw, string, uint32 } from './grammar.js';
import { EDGES, mutateBytes } from './mutate.js';
import type { Random } from './random.js';
import { type Packet, type Shape, script } from './script.js';

const KEXDH_INIT = 30;
/** C_INIT of mlkem768x25519-sha256: an ML-KEM-768 public key and a point. */
const HYBRID_BYTES = 1184 + 32;
const STRICT = 'kex-strict-c-v00@openssh.com';
const IDENT = 'SSH-2.0-Fuzzer\r\n';

const NAME_LISTS = {
  kex: [...KEX_ALGORITHMS, 'diffie-hellman-group14-sha256', 'kex-strict-s-v00@openssh.com', 'ext-info-c', ''],
  hostKey: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa', ''],
  cipher: [...CIPHERS, '3des-cbc', 'none', ''],
  mac: ['hmac-sha2-256', 'hmac-sha2-256-etm@openssh.com', 'hmac-md5', 'none', ''],
  compression: ['none', 'zlib', 'zlib@openssh.com', ''],
};

function names(random: Random, known: readonly string[], more: readonly string[] = []): Field {
  const [first = ''] = known;
  const list = random.chance(0.7) ? [first] : [random.pick(known), random.pick(known), random.pick(known)];
  return string([...list, ...more].join(','));
}

/** SEC 2 §2.4.2: a point that is on the curve, for whoever comes that far. */
const P256_BASE = Buffer.from(
  '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
  'hex',
);

/** Keys of Curve25519 as a peer may send them, those of low order among them, of P-256, and hybrid ones: zeros are numbers below
 *  the modulus, random ones hardly ever. */
function point(random: Random): Field {
  const made = random.bytes(32);
  switch (random.below(11)) {
    case 0:
      return string(Buffer.alloc(32));
    case 1:
      return string(Buffer.alloc(32, 0xff));
    case 2:
      return string(random.bytes(random.below(40)));
    case 3:
      return string(Buffer.concat([Buffer.of(4), random.bytes(64)])); // hardly ever on the curve
    case 4:
      return string(P256_BASE);
    case 5:
      return string(Buffer.concat([Buffer.alloc(HYBRID_BYTES - 32), made]));
    case 6:
      return string(random.bytes(HYBRID_BYTES));
    case 7:
      return string(Buffer.alloc(HYBRID_BYTES + random.below(3) - 1));
    default:
      return string(made);
  }
}

export const KEX_SHAPES: readonly Shape[] = [
  {
    name: 'KEXINIT',
    weight: 6,
    draft(random) {
      const { kex, hostKey, cipher, mac, compression } = NAME_LISTS;
      return draft(
        MSG.KEXINIT,
        raw(random.bytes(16)),
        names(random, kex, random.chance(0.5) ? [STRICT] : []),
        names(random, hostKey),
        names(random, cipher),
        names(random, cipher),
        names(random, mac),
        names(random, mac),
        names(random, compression),
        names(random, compression),
        string(''),
        string(''),
        flag(random.chance(0.1)),
        uint32(0),
      );
    },
  },
  { name: 'ECDH_INIT', weight: 6, draft: (random) => draft(KEXDH_INIT, point(random)) },
  { name: 'NEWKEYS', weight: 4, draft: () => draft(MSG.NEWKEYS) },
  { name: 'IGNORE', weight: 2, draft: (random) => draft(MSG.IGNORE, string(random.bytes(random.below(100)))) },
  { name: 'DEBUG', weight: 1, draft: () => draft(MSG.DEBUG, flag(true), string('x'), string('')) },
  { name: 'UNIMPLEMENTED', weight: 1, draft: () => draft(MSG.UNIMPLEMENTED, uint32(0)) },
  { name: 'DISCONNECT', weight: 1, draft: () => draft(MSG.DISCONNECT, uint32(11), string('bye'), string('')) },
  { name: 'another of the exchange', weight: 2, draft: (random) => draft(31 + random.below(19), string('x')) },
  { name: 'service request', weight: 1, draft: () => draft(MSG.SERVICE_REQUEST, string('ssh-userauth')) },
  { name: 'what belongs behind a login', weight: 1, draft: (random) => draft(50 + random.below(206), string('x')) },
];

/** An ident and the packets behind it, each with the frame of RFC 4253 §6. */
export function kexScript(random: Random): { readonly ident: Buffer; readonly packets: readonly Packet[] } {
  const sound = Buffer.from(IDENT);
  const ident = random.chance(0.9) ? sound : mutateBytes(sound, random);
  const options = { strays: [], most: 6, mutated: random.pick([0.1, 0.5]) };
  // Half of them go the way of an honest exchange for as long as they can.
  const [kexInit, ecdhInit, newKeys] = KEX_SHAPES;
  const way = [kexInit, ecdhInit, newKeys].filter((shape) => shape !== undefined);
  const steps = random.chance(0.5)
    ? way.flatMap((shape) => script(random, { ...options, shapes: [shape], most: 1 }))
    : script(random, { ...options, shapes: KEX_SHAPES });
  return { ident, packets: steps.map((packet) => framed(packet, random)) };
}

const HEADER_BYTES = 5;
const BLOCK_BYTES = 8;

function framed(packet: Packet, random: Random): Packet {
  const { payload } = packet;
  let padding = BLOCK_BYTES - ((HEADER_BYTES + payload.length) % BLOCK_BYTES);
  if (padding < 4) padding += BLOCK_BYTES;
  const bytes = Buffer.concat([Buffer.alloc(HEADER_BYTES), payload, Buffer.alloc(padding)]);
  bytes.writeUInt32BE(bytes.length - 4);
  bytes.writeUInt8(padding, 4);
  if (!random.chance(0.1)) return { ...packet, payload: bytes };
  // A frame that lies.
  if (random.chance(0.5)) bytes.writeUInt32BE(random.pick(EDGES));
  else bytes.writeUInt8(random.below(256), 4);
  return { ...packet, payload: bytes, mutated: true };
}
