/** HOOKS: the login half of a server's hooks, and how one is called: with a deadline, and never trusted to behave.
 *  Owns nothing. A hook that throws, hangs or answers nonsense denies. */
import { type AuthFailure, isAuthFailure, reasonAndCause, TunnelError } from '../../shared/errors.js';
import type { AuthChain, AuthMethod, Identity, Peer, PublicKeyInfo } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import { isUserName } from '../../shared/text.js';
import type { After } from '../../shared/timer.js';
import type { Conversation } from './conversation.js';

/** Longest password that a hook is asked about, in bytes of UTF-8. */
export const MAX_PASSWORD_BYTES = 1024;

/** Each hook may answer at once or later. `true` lets in under the user name that was given, an Identity under its own.
 *  `signal` fires when the connection ends or the deadline passes: the answer is then no longer waited for. */
export interface AuthHooks {
  /** The ways in that are offered to this user. The name is not proven, so the list must not tell whether the user exists.
   *  Asked once per connection, and again where a reload has changed them, with '' for a name that nobody can have (empty, over 255 bytes, unprintable, not UTF-8). */
  getAllowedAuths(username: string, signal: AbortSignal): readonly AuthChain[] | Promise<readonly AuthChain[]>;
  /** Never called with an empty password or one over 1024 bytes. `soFar`: what the methods before this one in its chain gave,
   *  or null for the first. */
  checkAuthPassword(
    username: string,
    password: string,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer>;
  /** Called with `verified: false` for a key that is offered, and again with `verified: true` once its signature has
   *  been checked. Only the answer to the second call logs anybody in. */
  checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer>;
  /** keyboard-interactive (RFC 4256): asks what it wants to know by `conversation`. */
  checkAuthInteractive(
    username: string,
    conversation: Conversation,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer>;
  /** Called when one of the ways in is complete, and again for each further try: is it this user still? A hook that asks makes a
   *  second factor of it: the peer is asked by keyboard-interactive. One that does not ask is not noticed. */
  checkSecondFactor(
    identity: Identity,
    conversation: Conversation,
    peer: Peer,
    signal: AbortSignal,
  ): boolean | Promise<boolean>;
}

/** Yes under the name that was given, no, or yes under an identity of the hook's own. A server whose identities carry more
 *  than `Identity` has no plain yes: it would let somebody in without the rest. */
export type LoginAnswer<I extends Identity = Identity> = Identity extends I ? boolean | I : false | I;

/** One method of a login, as the peer went through it. */
export interface LoginStep {
  /** The name that the peer gave, which a hook may have turned into another user's. */
  readonly username: string;
  readonly method: AuthMethod;
  /** `SHA256:…` of the key, for publickey; of a certificate that of the key in it. */
  readonly fingerprint?: string;
  /** What was shown for publickey: the blob of the key, or the whole certificate. */
  readonly key?: Buffer;
  /** How often a security key says that it has signed. */
  readonly counter?: number;
  /** The answer to `checkSecondFactor`. */
  readonly isSecondFactor?: true;
}

/** A no that a login hook throws in place of answering it, for a reason that the log should tell: a key that is known and has
 *  expired, a directory that does not answer. The peer is told what it is told for every no. */
export class LoginRefused extends Error {
  readonly code: AuthFailure;
  readonly detail: string | undefined;

  /** @param detail for the log alone */
  constructor(code: AuthFailure, detail?: string) {
    super(detail === undefined ? code : `${code}: ${detail}`);
    this.name = 'LoginRefused';
    this.code = code;
    this.detail = detail;
  }
}

export type HookFailure = 'HOOK_FAILED' | 'HOOK_TIMEOUT' | 'POOL_BUSY';
export type HookAnswer =
  | { readonly ok: true; readonly value: unknown }
  /** `refused`: the hook's own word, and no fault of it. */
  | { readonly ok: false; readonly refused: true; readonly code: AuthFailure; readonly detail: string | undefined }
  | { readonly ok: false; readonly refused?: never; readonly code: HookFailure; readonly detail: string };

export interface CallOptions {
  readonly timeoutMs: number;
  readonly closing: AbortSignal;
  readonly after: After;
  /** Gets an answer that nobody waits for any more: it may hold something to be closed. */
  readonly onLate?: (value: unknown) => void;
}

/** Calls a hook. Never rejects, and settles no later than the end of `closing` or the deadline, which counts from the promise
 *  that the hook gives. One that answers at once needs no deadline and nobody to listen: most do, several times a login
 *  and once a channel. */
export function callHook(call: (signal: AbortSignal) => unknown, options: CallOptions): Promise<HookAnswer> {
  const { closing, onLate } = options;
  if (closing.aborted) return Promise.resolve(CONNECTION_ENDED);
  const controller = new AbortController();
  let answer: HookAnswer;
  try {
    const value = call(controller.signal);
    if (isThenable(value)) return inTime(adopt(value), controller, options);
    answer = { ok: true, value };
  } catch (thrown) {
    answer = failed(thrown);
  }
  if (!closing.aborted) return Promise.resolve(answer);
  // The hook itself has ended the connection.
  controller.abort();
  if (answer.ok) onLate?.(answer.value);
  return Promise.resolve(CONNECTION_ENDED);
}

/** A promise of ours: the hook's may have a `then` that throws. */
async function adopt(value: PromiseLike<unknown>): Promise<unknown> {
  return await value;
}

function inTime(asked: Promise<unknown>, controller: AbortController, options: CallOptions): Promise<HookAnswer> {
  const { closing, timeoutMs, onLate } = options;
  return new Promise((resolve) => {
    let settled = false;
    const finish = (answer: HookAnswer): void => {
      settled = true;
      cancelTimer();
      closing.removeEventListener('abort', onClosing);
      resolve(answer);
    };
    const giveUp = (answer: HookAnswer): void => {
      finish(answer);
      controller.abort();
    };
    const onClosing = (): void => giveUp(CONNECTION_ENDED);
    const late: HookAnswer = { ok: false, code: 'HOOK_TIMEOUT', detail: `no answer within ${timeoutMs} ms` };
    const cancelTimer = options.after(timeoutMs, () => giveUp(late));
    closing.addEventListener('abort', onClosing, { once: true });
    asked.then(
      (value) => (settled ? onLate?.(value) : finish({ ok: true, value })),
      (thrown: unknown) => finish(failed(thrown)),
    );
    if (closing.aborted) onClosing(); // by the hook itself
  });
}

const CONNECTION_ENDED: HookAnswer = { ok: false, code: 'HOOK_FAILED', detail: 'the connection ended' };

function failed(thrown: unknown): HookAnswer {
  try {
    return refusedBy(thrown) ?? { ok: false, code: failureOf(thrown), detail: safeText(reasonAndCause(thrown)) };
  } catch {
    return { ok: false, code: 'HOOK_FAILED', detail: 'threw what cannot be read' };
  }
}

/** By its shape: it may be the `LoginRefused` of another copy of this package. */
function refusedBy(thrown: unknown): HookAnswer | null {
  if (!(thrown instanceof Error) || thrown.name !== 'LoginRefused') return null;
  if (!('code' in thrown) || !isAuthFailure(thrown.code)) return null;
  const detail = 'detail' in thrown && typeof thrown.detail === 'string' ? safeText(thrown.detail) : undefined;
  return { ok: false, refused: true, code: thrown.code, detail };
}

/** What `await` would wait for: functions too, as stubs of remote calls are.
 *  @throws what a getter named `then` throws */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  return 'then' in value && typeof value.then === 'function';
}

/** What a hook's answer to a login is, or null for one that is none of ours. An identity is handed on as it is. */
export function readLoginAnswer(value: unknown): LoginAnswer | null {
  return typeof value === 'boolean' || isIdentity(value) ? value : null;
}

/** What a hook answered, for the log: never its content, which may be a secret. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function isIdentity(value: unknown): value is Identity {
  if (typeof value !== 'object' || value === null || !('user' in value)) return false;
  if (typeof value.user !== 'string' || !isUserName(value.user)) return false;
  return !('fingerprint' in value) || value.fingerprint === undefined || typeof value.fingerprint === 'string';
}

function failureOf(thrown: unknown): HookFailure {
  const code = thrown instanceof TunnelError ? thrown.code : 'HOOK_FAILED';
  return code === 'POOL_BUSY' || code === 'HOOK_TIMEOUT' ? code : 'HOOK_FAILED';
}
