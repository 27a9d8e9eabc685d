/** HOOKS: the login half of a server's hooks, and how one is called: with a deadline, and never trusted to behave.
 *  Owns nothing. A hook that throws, hangs or answers nonsense denies. */
import { reasonOf, TunnelError } from '../../shared/errors.js';
import type { AuthMethod, Identity, Peer, PublicKeyInfo } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import type { After } from '../../shared/timer.js';

/** Longest password that a hook is asked about, in bytes of UTF-8. */
export const MAX_PASSWORD_BYTES = 1024;

/** Each hook may answer at once or later. `true` lets in under the user name that was given, an Identity under its own.
 *  `signal` fires when the connection ends or the deadline passes: the answer is then no longer waited for. */
export interface AuthHooks {
  /** The methods offered to this user. The name is not proven, so the list must not tell whether the user exists. Asked
   *  with '' for a name that nobody can have (empty, over 255 bytes, control characters, not UTF-8). */
  getAllowedAuths(username: string): readonly AuthMethod[] | Promise<readonly AuthMethod[]>;
  /** Also answers the one prompt of keyboard-interactive. Never called with an empty password or one over 1024 bytes. */
  checkAuthPassword(
    username: string,
    password: string,
    peer: Peer,
    signal: AbortSignal,
  ): boolean | Identity | Promise<boolean | Identity>;
  /** Called with `verified: false` for a key that is offered, and again with `verified: true` once its signature has
   *  been checked. Only the answer to the second call logs anybody in. */
  checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    signal: AbortSignal,
  ): boolean | Identity | Promise<boolean | Identity>;
}

export type HookFailure = 'HOOK_FAILED' | 'HOOK_TIMEOUT' | 'POOL_BUSY';
export type HookAnswer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: HookFailure; readonly detail: string };

/** Calls a hook. Never rejects, and settles no later than the deadline or the end of `closing`, whatever the hook does. */
export function callHook(
  call: (signal: AbortSignal) => unknown,
  options: { readonly timeoutMs: number; readonly closing: AbortSignal; readonly after: After },
): Promise<HookAnswer> {
  const { closing, timeoutMs } = options;
  return new Promise((resolve) => {
    const controller = new AbortController();
    const finish = (answer: HookAnswer): void => {
      cancelTimer();
      closing.removeEventListener('abort', onClosing);
      resolve(answer);
    };
    const giveUp = (code: HookFailure, detail: string): void => {
      finish({ ok: false, code, detail });
      controller.abort();
    };
    const onClosing = (): void => giveUp('HOOK_FAILED', 'the connection ended');
    const cancelTimer = options.after(timeoutMs, () => giveUp('HOOK_TIMEOUT', `no answer within ${timeoutMs} ms`));
    closing.addEventListener('abort', onClosing, { once: true });
    if (closing.aborted) return onClosing();
    // The async function turns a synchronous throw and a rejection into the same thing.
    (async () => call(controller.signal))().then(
      (value) => finish({ ok: true, value }),
      (thrown: unknown) => finish({ ok: false, code: failureOf(thrown), detail: safeText(reasonOf(thrown)) }),
    );
  });
}

/** Who a hook's answer lets in: an identity, `false` for a plain no, or null for an answer that is none of ours.
 *  An identity that the hook made is handed on as it is. */
export function readVerdict(value: unknown, fallback: Identity): Identity | false | null {
  if (value === true) return fallback;
  if (value === false) return false;
  return isIdentity(value) ? value : null;
}

/** The known methods of a hook's answer, each once, or null where it is no list. */
export function readMethods(value: unknown): readonly AuthMethod[] | null {
  return Array.isArray(value) ? AUTH_METHODS.filter((method) => value.includes(method)) : null;
}

/** In the order in which they are offered. */
const AUTH_METHODS: readonly AuthMethod[] = ['publickey', 'password', 'keyboard-interactive'];

function isIdentity(value: unknown): value is Identity {
  if (typeof value !== 'object' || value === null || !('user' in value)) return false;
  if (typeof value.user !== 'string' || value.user === '') return false;
  return !('fingerprint' in value) || value.fingerprint === undefined || typeof value.fingerprint === 'string';
}

function failureOf(thrown: unknown): HookFailure {
  const code = thrown instanceof TunnelError ? thrown.code : 'HOOK_FAILED';
  return code === 'POOL_BUSY' || code === 'HOOK_TIMEOUT' ? code : 'HOOK_FAILED';
}
