/** LOGIN SHAPES: the messages between the keys and the login (RFC 4252, RFC 4256), right ones and wrong ones.
 *  Owns the keys that sign them. */
import { concatFields, MSG } from '../../src/shared/protocol.js';
import { ecdsa, ed25519, type TestKey } from '../worker/auth/keys.js';
import { PASSWORD, USER } from './fuzz_server.js';
import { type Draft, draft, encode, type Field, flag, string, uint32 } from './grammar.js';
import type { Random } from './random.js';
import type { Shape } from './script.js';

/** Algorithms by which a key may be offered, fitting or not. */
const ALGORITHMS = [
  'ssh-ed25519',
  'ssh-ed25519',
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ssh-rsa',
  'rsa-sha2-256',
  'ssh-dss',
  'sk-ssh-ed25519@openssh.com',
  'ssh-ed25519-cert-v01@openssh.com',
];

export interface LoginKeys {
  /** The one that lets USER in, and two that do not. */
  readonly right: TestKey;
  readonly wrong: readonly TestKey[];
}

export function loginKeys(): LoginKeys {
  return { right: ed25519(), wrong: [ed25519(), ecdsa(256)] };
}

/** @param sessionId what signatures count for */
export function loginShapes({ right, wrong }: LoginKeys, sessionId: Buffer): readonly Shape[] {
  const keys = [right, right, ...wrong];
  const request = (random: Random, method: string, ...details: Field[]): Draft =>
    draft(
      MSG.USERAUTH_REQUEST,
      string(random.chance(0.95) ? USER : random.pick(['bob', '', '__proto__', 'a'.repeat(300)])),
      string('ssh-connection'),
      string(method),
      ...details,
    );
  const signatures = new Map<string, Buffer>();
  /** A signature costs as much as all the rest of a case: most are made once. */
  const signed = (random: Random, shown: TestKey, signer: TestKey, session: Buffer): Draft => {
    const message = request(random, 'publickey', flag(true), string(shown.type), string(shown.blob));
    const name = [keys.indexOf(signer), session.toString('latin1'), encode(message).toString('latin1')].join();
    const signature = signatures.get(name) ?? signatureOf(signer, message, shown, session);
    signatures.set(name, signature);
    return { ...message, fields: [...message.fields, string(signature)] };
  };
  const shapes: readonly (readonly [name: string, weight: number, make: (random: Random) => Draft])[] = [
    ['service request', 4, () => draft(MSG.SERVICE_REQUEST, string('ssh-userauth'))],
    ['service request of another', 1, () => draft(MSG.SERVICE_REQUEST, string('ssh-connection'))],
    ['none', 3, (random) => request(random, 'none')],
    ['password', 1, (random) => request(random, 'password', flag(false), string(PASSWORD))],
    [
      'wrong password',
      5,
      (random) => request(random, 'password', flag(false), string(random.pick(['x', '', 'x'.repeat(2_000)]))),
    ],
    ['password change', 1, (random) => request(random, 'password', flag(true), string(PASSWORD), string('new'))],
    [
      'key offer',
      6,
      (random) =>
        request(random, 'publickey', flag(false), string(random.pick(ALGORITHMS)), string(random.pick(keys).blob)),
    ],
    ['signature', 2, (random) => signed(random, right, right, sessionId)],
    ['signature by another key', 2, (random) => signed(random, right, random.pick(wrong), sessionId)],
    [
      'signature of a key that is not let in',
      1,
      (random) => {
        const key = random.pick(wrong);
        return signed(random, key, key, sessionId);
      },
    ],
    ['signature for another session', 2, (random) => signed(random, right, right, OTHER_SESSION)],
    ['keyboard-interactive', 5, (random) => request(random, 'keyboard-interactive', string(''), string(''))],
    ['answer', 1, () => draft(MSG.USERAUTH_INFO_RESPONSE, uint32(1), string(PASSWORD))],
    ['wrong answer', 4, () => draft(MSG.USERAUTH_INFO_RESPONSE, uint32(1), string('x'))],
    ['no answer', 1, () => draft(MSG.USERAUTH_INFO_RESPONSE, uint32(0))],
    [
      'another method',
      2,
      (random) => request(random, random.pick(['hostbased', 'gssapi-with-mic', '']), string('x'), string('y')),
    ],
    [
      'what only a server says',
      1,
      (random) => draft(random.pick([51, 52, 53, 60, 62, 79, 80, 90, 94, 98]), string('x'), flag(true)),
    ],
  ];
  return shapes.map(([name, weight, make]) => ({ name, weight, draft: make }));
}

/** The one signature that lets USER in. */
export function rightSignature(key: TestKey, sessionId: Buffer): Buffer {
  const fields = [string(USER), string('ssh-connection'), string('publickey'), flag(true)];
  const message = draft(MSG.USERAUTH_REQUEST, ...fields, string(key.type), string(key.blob));
  const signature = string(signatureOf(key, message, key, sessionId));
  return encode({ ...message, fields: [...message.fields, signature] });
}

/** RFC 4252 §7: of the request as far as the signature, behind the session identifier. */
function signatureOf(signer: TestKey, message: Draft, shown: TestKey, sessionId: Buffer): Buffer {
  return signer.sign(concatFields([sessionId, { raw: encode(message) }]), shown.type);
}

const OTHER_SESSION = Buffer.alloc(32, 1);
