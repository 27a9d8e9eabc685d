/** CREDENTIALS: is this password, or this signature, a login? One question to the hooks after the other, in the order
 *  that keeps it safe. Owns nothing but the way; counting, order and answers to the peer are userauth's.
 *  Promises that only the answer to a verified call lets anybody in, and that a name's existence changes no step. */
import type { AuthFailure } from '../../shared/errors.js';
import type { AuthMethod, Identity, Peer, PublicKeyInfo } from '../../shared/identity.js';
import { concatFields, MSG, message } from '../../shared/protocol.js';
import type { After } from '../../shared/timer.js';
import { type AuthHooks, callHook, type HookAnswer, MAX_PASSWORD_BYTES, readMethods, readVerdict } from './hooks.js';
import { blobType, fingerprint, line, parsePublicKey } from './public_key.js';
import type { AuthAttempt } from './request.js';
import { keyTypeOf, verify } from './signature.js';

export interface Failure {
  readonly kind: 'failure';
  readonly code: AuthFailure;
  readonly fingerprint?: string;
  /** What a hook threw. For the log, never for the peer. */
  readonly detail?: string;
}

/** What became of one request. A login in several steps (RFC 4252 §5.1, partial success) becomes one more kind. */
export type Outcome =
  | {
      readonly kind: 'success';
      readonly identity: Identity;
      readonly method: AuthMethod;
      readonly fingerprint?: string;
    }
  | Failure
  /** Neither yet: the peer has to say more. */
  | { readonly kind: 'more'; readonly reply: Buffer };

export interface CredentialOptions {
  readonly hooks: AuthHooks;
  readonly peer: Peer;
  /** Session identifier of the first key exchange (RFC 4253 §7.2): a signature counts for this connection alone. */
  readonly sessionId: Buffer;
  readonly hookTimeoutMs: number;
  readonly after: After;
  /** Fires when the connection ends; running hooks are aborted with it. */
  readonly closing: AbortSignal;
}

export function failure(code: AuthFailure, detail?: string): Failure {
  return detail === undefined ? { kind: 'failure', code } : { kind: 'failure', code, detail };
}

export class Credentials {
  readonly #options: CredentialOptions;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** What the hook allows to this name; null (a name that nobody can have) is asked as ''. */
  async allowedMethods(name: string | null): Promise<readonly AuthMethod[] | Failure> {
    const answer = await this.#ask(() => this.#options.hooks.getAllowedAuths(name ?? ''));
    if (!answer.ok) return failure(answer.code, answer.detail);
    return readMethods(answer.value) ?? failure('HOOK_FAILED', 'getAllowedAuths answered no list');
  }

  /** `password` null stands for what is refused unseen: a change request, text that is not UTF-8. So are an empty one
   *  (with some directories behind a hook it means anonymous, hence yes) and an overlong one. None of this depends on
   *  the user. */
  async password(name: string | null, password: string | null, method: AuthMethod): Promise<Outcome> {
    if (name === null) return failure('UNKNOWN_USER');
    if (!password || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return failure('WRONG_PASSWORD');
    const { hooks, peer } = this.#options;
    const answer = await this.#ask((signal) => hooks.checkAuthPassword(name, password, peer, signal));
    const verdict = readLogin(answer, { user: name }, 'WRONG_PASSWORD');
    return 'code' in verdict ? verdict : { kind: 'success', identity: verdict.identity, method };
  }

  /** RFC 4252 §7. First the hook knows the blob, then it is parsed, then the signature is checked, then the hook is asked
   *  again with `verified`: only that last answer counts, so no right can come from a key that did not sign
   *  (CVE-2024-45337). */
  async publicKey(name: string | null, attempt: AuthAttempt & { readonly kind: 'publickey' }): Promise<Outcome> {
    const { algorithm, blob, signature } = attempt;
    const type = keyTypeOf(algorithm);
    if (type === null || blobType(blob) !== type) return failure('UNSUPPORTED_KEY');
    const print = fingerprint(blob);
    const no = (why: Failure): Failure => ({ ...why, fingerprint: print });
    if (name === null) return no(failure('UNKNOWN_USER'));

    const shown = { type, algorithm, fingerprint: print, line: line(blob) };
    const offer = await this.#checkKey(name, { ...shown, blob: Buffer.from(blob), verified: false });
    if ('code' in offer) return no(offer);
    const parsed = parsePublicKey(blob);
    if (!parsed.ok) return no(failure(parsed.code, parsed.why));
    // The name asked for comes back, `rsa-sha2-512` and not `ssh-rsa`: Go and JSch compare it.
    if (signature === null) return { kind: 'more', reply: message(MSG.USERAUTH_PK_OK, algorithm, blob) };
    const signedData = concatFields([this.#options.sessionId, { raw: signature.signedPart }]);
    if (!verify(parsed.key, algorithm, signedData, signature.blob)) return no(failure('BAD_SIGNATURE'));
    const proven = await this.#checkKey(name, { ...shown, blob: Buffer.from(blob), verified: true });
    if ('code' in proven) return no(proven);
    return { kind: 'success', identity: proven.identity, method: 'publickey', fingerprint: print };
  }

  /** `key.blob` is a copy for this call: what a hook does to it must not reach the signature check. */
  async #checkKey(name: string, key: PublicKeyInfo): Promise<Login | Failure> {
    const { hooks, peer } = this.#options;
    const answer = await this.#ask((signal) => hooks.checkAuthPublicKey(name, key, peer, signal));
    return readLogin(answer, { user: name, fingerprint: key.fingerprint }, 'KEY_NOT_ACCEPTED');
  }

  #ask(call: (signal: AbortSignal) => unknown): Promise<HookAnswer> {
    const { hookTimeoutMs: timeoutMs, after, closing } = this.#options;
    return callHook(call, { timeoutMs, after, closing });
  }
}

interface Login {
  readonly identity: Identity;
}

function readLogin(answer: HookAnswer, fallback: Identity, no: AuthFailure): Login | Failure {
  if (!answer.ok) return failure(answer.code, answer.detail);
  const identity = readVerdict(answer.value, fallback);
  if (identity === null) return failure('HOOK_FAILED', 'the hook answered neither a boolean nor an identity');
  return identity === false ? failure(no) : { identity };
}
