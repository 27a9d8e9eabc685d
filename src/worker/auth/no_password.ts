/** NO PASSWORD: the hash that is checked for a user who has none, or who is not there: it takes as long as a real one.
 *  Owns nothing. Users whose hash has another cost can be told apart by time: one cost for all is the operator's part. */
import { randomBytes } from 'node:crypto';
import { withoutPadding } from '../../shared/base64.js';
import { costOf, DEFAULT_COST } from '../../shared/password_hash.js';

/** The cost that most of these hashes have; with none of them, that of `hash-password`. */
export function commonestCost(hashes: readonly (string | null)[]): string {
  const counts = new Map<string, number>();
  let commonest = DEFAULT_COST;
  for (const hash of hashes) {
    const cost = costOf(hash ?? '');
    if (cost === undefined) continue;
    const count = (counts.get(cost) ?? 0) + 1;
    counts.set(cost, count);
    if (count > (counts.get(commonest) ?? 0)) commonest = cost;
  }
  return commonest;
}

/** A hash of this cost, as `costOf` gives it, that no password fits. */
export function hashOfNothing(cost: string = DEFAULT_COST): string {
  // The last character carries bits beyond the 16 and 23 bytes: zero.
  if (cost.startsWith('$2b$')) return `${cost}${bcryptText(21)}O${bcryptText(30)}u`;
  return `${cost}${base64(16)}$${base64(32)}`;
}

function base64(bytes: number): string {
  return withoutPadding(randomBytes(bytes).toString('base64'));
}

const BCRYPT_ALPHABET = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function bcryptText(characters: number): string {
  return Array.from(randomBytes(characters), (byte) => BCRYPT_ALPHABET[byte % 64]).join('');
}
