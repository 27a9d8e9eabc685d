/** CODES: is this the code of a second factor that nobody has used yet?
 *  Owns nothing: which codes were used is the primary's to know, for all workers. */
import { assertNever, TunnelError } from '../shared/errors.js';
import type { TotpKey } from '../shared/otpauth.js';
import { LoginRefused } from '../worker/auth/hooks.js';
import { keyName, stepOf } from '../worker/auth/totp.js';
import type { Primary } from '../worker/primary_link.js';

/** Who knows which codes were used; null before the server serves. */
export type CodeDesk = Pick<Primary, 'code'> | null;

/** What the peer is asked. */
export const CODE_PROMPT = 'Verification code: ';

/** @param nowMs wall clock
 *  @returns true; every no is thrown: LoginRefused CODE_WRONG, CODE_REPLAYED or CODE_LIMIT; TunnelError HOOK_FAILED where there
 *  is no primary to ask */
export async function requireCode(
  desk: CodeDesk,
  user: string,
  key: TotpKey,
  typed: string,
  nowMs: number = Date.now(),
): Promise<true> {
  const verdict = await desk?.code({ user, key: keyName(key), step: stepOf(key, typed, nowMs) });
  switch (verdict) {
    case 'OK':
      return true;
    case 'WRONG':
      throw new LoginRefused('CODE_WRONG');
    case 'REPLAYED':
      throw new LoginRefused('CODE_REPLAYED', 'the code was used before, or an earlier one after it');
    case 'LIMIT':
      throw new LoginRefused('CODE_LIMIT', 'too many wrong codes of this user: no code counts for some minutes');
    case null:
    case undefined:
      throw new TunnelError('HOOK_FAILED', 'there is no primary that could tell whether the code was used');
    default:
      return assertNever(verdict);
  }
}
