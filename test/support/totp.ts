/** TOTP: a second factor for tests: its file, and the codes that an app would show.
 *  Owns nothing. The codes are our own: RFC 6238's vectors hold the code that makes them (test/worker/auth/totp.test.ts). */
import { writeFileSync } from 'node:fs';
import { parseOtpauth, type TotpKey } from '../../src/shared/otpauth.js';
import { codeAt } from '../../src/worker/auth/totp.js';

/** Five minutes: a test that stands still for a while stays within one step. */
export const PERIOD_SECONDS = 300;

/** Secrets of RFC 6238, Appendix B, and another one. */
export const URI = `otpauth://totp/test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=${PERIOD_SECONDS}`;
export const OTHER_URI = `otpauth://totp/test?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&period=${PERIOD_SECONDS}`;

export function keyOf(uri: string): TotpKey {
  const parsed = parseOtpauth(uri);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

export function stepNow(periodSeconds: number = PERIOD_SECONDS): number {
  return Math.floor(Date.now() / 1_000 / periodSeconds);
}

/** @param skew in steps */
export function codeNow(uri: string = URI, skew = 0): string {
  const key = keyOf(uri);
  return codeAt(key, stepNow(key.periodSeconds) + skew);
}

/** Of the right form, and right at no time near now. */
export function wrongCode(uri: string = URI): string {
  const near = [-2, -1, 0, 1, 2, 3].map((skew) => codeNow(uri, skew));
  for (let number = 0; ; number++) {
    const code = String(number).padStart(6, '0');
    if (!near.includes(code)) return code;
  }
}

export function writeTotp(file: string, uri: string = URI): string {
  writeFileSync(file, `${uri}\n`, { mode: 0o600 });
  return file;
}

/** What depends on the step of now, done anew where the step has changed meanwhile. */
export async function withinOneStep<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const before = stepNow();
    const answer = await ask();
    if (stepNow() === before) return answer;
  }
}
