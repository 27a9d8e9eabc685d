/** TOTP: codes that depend on a shared secret and the time (RFC 6238, on RFC 4226).
 *  Owns nothing. Pure: the time is an argument. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { TotpKey } from '../../shared/otpauth.js';

/** Steps before and after the present one whose code counts too: clocks differ, and people type slowly (RFC 6238 §5.2). */
const SKEW_STEPS = 1;

/** The code of one step, with its leading zeros. */
export function codeAt(key: TotpKey, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac(key.algorithm, Buffer.from(key.secret, 'base64')).update(counter).digest();
  // RFC 4226 §5.3: 31 bits from where the last half byte points; RFC 6238 §1.2 keeps that for longer hashes.
  const at = (mac[mac.length - 1] ?? 0) & 0xf;
  const number = mac.readUInt32BE(at) & 0x7fff_ffff;
  return String(number % 10 ** key.digits).padStart(key.digits, '0');
}

/** The latest step near `nowMs` (wall clock) whose code this is; null: none. All of them are looked at in any case. Blanks, as
 *  apps show them, do not count. */
export function stepOf(key: TotpKey, typed: string, nowMs: number): number | null {
  const code = Buffer.from(typed.replaceAll(' ', ''));
  const now = Math.floor(nowMs / 1_000 / key.periodSeconds);
  let found: number | null = null;
  for (let step = Math.max(0, now - SKEW_STEPS); step <= now + SKEW_STEPS; step++) {
    const expected = Buffer.from(codeAt(key, step));
    if (code.length === expected.length && timingSafeEqual(code, expected)) found = step;
  }
  return found;
}

/** A name for the secret that tells nothing of it: steps of one are not those of another. */
export function keyName(key: TotpKey): string {
  const parts = [key.algorithm, key.digits, key.periodSeconds, key.secret];
  return createHash('sha256')
    .update(`sallyport totp\0${parts.join('\0')}`)
    .digest('base64url')
    .slice(0, 22);
}
