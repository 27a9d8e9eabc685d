/** KEYS: key pairs for the tests of auth: made anew in each run, blobs and signatures written by hand from the RFCs, so that
 *  they do not share a mistake with the code under test. Also public keys printed by ssh-keygen, as known answers. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign as nodeSign } from 'node:crypto';
import { concatFields, WireReader } from '../../../src/shared/protocol.js';

export interface TestKey {
  readonly type: string;
  readonly blob: Buffer;
  /** Signature blob: the format name (default: the algorithm), then the signature. */
  sign(data: Buffer, algorithm?: string, format?: string): Buffer;
}

/** A magnitude as an mpint's bytes (RFC 4251 §5). */
export function mpint(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length && bytes[start] === 0) start += 1;
  const rest = bytes.subarray(start);
  return (rest[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), rest]) : rest;
}

export function ed25519(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const type = 'ssh-ed25519';
  return {
    type,
    blob: concatFields([type, field(publicKey, 'x')]),
    sign: (data, _algorithm, format = type) => concatFields([format, nodeSign(null, data, privateKey)]),
  };
}

export function ecdsa(bits: 256 | 384 | 521): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: `P-${bits}` });
  const type = `ecdsa-sha2-nistp${bits}`;
  const hash = { 256: 'sha256', 384: 'sha384', 521: 'sha512' }[bits];
  const point = Buffer.concat([Buffer.from([4]), field(publicKey, 'x'), field(publicKey, 'y')]);
  return {
    type,
    blob: concatFields([type, `nistp${bits}`, point]),
    sign(data, _algorithm, format = type) {
      const raw = nodeSign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      const half = raw.length / 2;
      return concatFields([format, concatFields([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))])]);
    },
  };
}

export function rsa(bits = 2048): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const hashes = new Map([
    ['rsa-sha2-256', 'sha256'],
    ['rsa-sha2-512', 'sha512'],
    ['ssh-rsa', 'sha1'],
  ]);
  return {
    type: 'ssh-rsa',
    blob: concatFields(['ssh-rsa', mpint(field(publicKey, 'e')), mpint(field(publicKey, 'n'))]),
    sign: (data, algorithm = 'rsa-sha2-512', format = algorithm) =>
      concatFields([format, nodeSign(hashes.get(algorithm), data, privateKey)]),
  };
}

/** By way of DER: a key just generated must not be exported as a JWK (new_key.ts). */
function field(key: KeyObject, name: 'x' | 'y' | 'n' | 'e'): Buffer {
  const der = key.export({ type: 'spki', format: 'der' });
  const copy = createPublicKey({ key: der, type: 'spki', format: 'der' });
  return Buffer.from(copy.export({ format: 'jwk' })[name] ?? '', 'base64url');
}

/** What ssh-keygen printed for keys made for this table; their private halves were thrown away. */
export const KNOWN: ReadonlyArray<{ readonly line: string; readonly fingerprint: string }> = [
  {
    line: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILmDiTtQuvawQ25xIbBlw9Vd3n29wU7pKg0fuidKfPzv',
    fingerprint: 'SHA256:HetKycVhxK2do8m4LH0B2mGvRQ4s2LNU6LFuvsnUVqc',
  },
  {
    line: 'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBtJojdjRHfMaQ8a/4a7vP1AlYircBl/WJpn3Kd4k3WYoiktTbpwZOAhNSdG021rYaIh2BeIKthtsK3VKej/F2o=',
    fingerprint: 'SHA256:9vKJIlPbfEkA15QWbfFOYkr5QQpnKcxVW3fEQoRD0bQ',
  },
  {
    line: 'ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBEtfPu4gHTst7vs1cBC5TsW+MAgsoGBQpHubUKVWcCsY4olPO5iGkYVHeJhUkaavSp+oF7idF7ChNTr6TFs6C6pnjKm7rwV42K/e5N3EUWXC7ce9zllWVGxTjB7gMcJ6dA==',
    fingerprint: 'SHA256:bFxMrlwjO7QFDAoAh9FUerKY4FhGibWJwLJLxvzdAh8',
  },
  {
    line: 'ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAEXqntQjP9fDviZtv8/eXHXxWvm2xdlFzaIdSDEdUA8dQ5uT8G8CccQrvTPlw4i3qTfRl4dVU76lgWf4y+054c2vQDbPzMGpq0MmSVi931gejrw/XL4EKaHYjzg9BPRGLOzNI9jGgbx13II1+Gvhm5NivNX+jUSFW+EFroEimGWdotNMQ==',
    fingerprint: 'SHA256:PI7J841lojVf/7dTRSN49F5prJi8ipnWVrZnk/LUeCw',
  },
  {
    line: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQD2dPkdxDox50dBAKYjp1TYER8h4AxlQuUmjORQAxlhFphn+4KvUSNV75N7WkCsHiYK0MHfVmFX2+wQ+cS+Y9XXu9rk9lenFtbEMDLBMmyJ0fJJ7xM40gbqEj7Mzrxr/KBNTug9Rf2Iis8PVZe61ewXiAqiYfxnL+C11ZvIkiWvwsQG/dlyXRRKAMkQjypj+n8owoRSUMyPqxN+wSCgbatF7SdzIffS6sn9+9o6XdxHQaZjBUOpVUNFa2QvL6JLeeXbn6rZdLH6q5RngV67TnKtulVaMLHGE7wip5M/neppjLk5O4SaLyKosDjfFMiLsZ0pH3Rq6auxUI36VfQj0FDd',
    fingerprint: 'SHA256:5x0bbQeTIJGeLAahnfptWUQ5oTO0iyqW1pPJZ1wOvCg',
  },
];

export const RSA_1024 =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCkLGDp1xhC0BvqcjYuJ/Oh75tzRS5DUJQCdyKptxbjxu1BPWZgQmZA2E4FxXU2MFgdmjeA3Xn/GFKW4McsReJEhE8nwuUi1sj1tm3GrmYNE/QPu8S/ostAfq9FZ7DRa0iepFGYTUZQcu/Zm9d0Glb8V6b/rDhHzTkcZLGkhkUK7Q==';

/** A security key, made of a plain one and what the token adds (PROTOCOL.u2f). `sign` is with a touch. */
export interface TokenKey extends TestKey {
  signBy(data: Buffer, token: { readonly flags?: number; readonly counter?: number; readonly format?: string }): Buffer;
}

export function skEd25519(application = 'ssh:'): TokenKey {
  return tokenKey('sk-ssh-ed25519@openssh.com', ed25519(), application);
}

export function skEcdsa(application = 'ssh:'): TokenKey {
  return tokenKey('sk-ecdsa-sha2-nistp256@openssh.com', ecdsa(256), application);
}

function tokenKey(type: string, plain: TestKey, application: string): TokenKey {
  const signBy: TokenKey['signBy'] = (data, { flags = 0x01, counter = 7, format = type }) => {
    const sha256 = (bytes: Buffer | string): Buffer => createHash('sha256').update(bytes).digest();
    const message = concatFields([{ raw: sha256(application) }, { byte: flags }, counter, { raw: sha256(data) }]);
    const reader = new WireReader(plain.sign(message));
    reader.bytes();
    return concatFields([format, reader.bytes(), { byte: flags }, counter]);
  };
  const reader = new WireReader(plain.blob);
  reader.bytes();
  return {
    type,
    blob: concatFields([type, { raw: reader.rest() }, application]),
    sign: (data, _algorithm, format) => signBy(data, format === undefined ? {} : { format }),
    signBy,
  };
}
