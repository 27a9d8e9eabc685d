/** PASSWORD TASK: runs in a thread of the pool: one password against one hash of it.
 *  Owns nothing. Throws on a hash that it cannot read or that would take too long; the pool turns that into no verdict. */
import { scryptSync, timingSafeEqual } from 'node:crypto';
import { parsePasswordHash, tooDear } from '../../shared/password_hash.js';
import type { VerifyPasswordTask } from './task.js';

/** Synchronous on purpose: the thread exists for this one task, and a second pool of threads behind it would hide the load
 *  from the queue's bound. Each library is loaded by the first hash of its kind, so that an addon which cannot be loaded
 *  shuts out nobody but its own users. */
export async function verifyPassword({ phc, password }: VerifyPasswordTask): Promise<boolean> {
  const parsed = parsePasswordHash(phc);
  if (!parsed.ok) throw new Error(`the hash ${parsed.error}`);
  const hash = parsed.value;
  const dear = tooDear(hash);
  if (dear !== null) throw new Error(`the hash ${dear}`);
  switch (hash.scheme) {
    case 'argon2id': {
      const { verifySync } = await import('@node-rs/argon2');
      return verifySync(phc, password);
    }
    case 'scrypt': {
      const { logN, r, p, salt, hash: expected } = hash;
      // OpenSSL counts a little more than N blocks; its own limit is 32 MiB.
      const maxmem = 128 * r * (2 ** logN + p + 2) + 2 ** 20;
      return timingSafeEqual(scryptSync(password, salt, expected.length, { N: 2 ** logN, r, p, maxmem }), expected);
    }
    case 'bcrypt': {
      const { compareSync } = await import('bcryptjs');
      // In C a password ends at its first NUL, and bcrypt repeats what it gets: `a` and `a\0a` would be one password.
      return compareSync(password, phc) && !password.includes('\0');
    }
  }
}
