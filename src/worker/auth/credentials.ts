/** CREDENTIALS: is this password, or this signature, a login? One question to the hooks after the other, in the order
 *  that keeps it safe. Owns nothing but the way; counting, order and answers to the peer are userauth's.
 *  Promises that only the answer to a verified call lets anybody in, and that a name's existence changes no step. */
import type { AuthFailure } from '../../shared/errors.js';
import type { OfCertificate } from '../../shared/events.js';
import type { AuthMethod, Identity, Peer, Presence, PublicKeyInfo } from '../../shared/identity.js';
import { concatFields, MSG, message } from '../../shared/protocol.js';
import type { After } from '../../shared/timer.js';
import { mayBeUntouched } from './grant.js';
import { holdsAllOf } from './hooked.js';
import { type AuthHooks, callHook, type HookAnswer, kindOf, MAX_PASSWORD_BYTES, readLoginAnswer } from './hooks.js';
import type { RevocationList } from './krl.js';
import { type MethodChains, readChains } from './methods.js';
import { type Notes, withNotes } from './notes.js';
import { factsOf, type PresentedKey, readPresentedKey, revocationOf } from './presented_key.js';
import { blobType, line, parsePublicKey } from './public_key.js';
import type { AuthAttempt } from './request.js';
import { algorithmOf, checkSignature } from './signature.js';

export interface Failure {
  readonly kind: 'failure';
  readonly code: AuthFailure;
  readonly fingerprint?: string;
  /** The word of a certificate that nobody need have signed. */
  readonly certificate?: OfCertificate;
  /** What a hook threw. For the log, never for the peer. */
  readonly detail?: string;
}

/** What became of one request. */
export type Outcome =
  | {
      readonly kind: 'success';
      /** Null: the hook said yes to the name that was given. */
      readonly identity: Identity | null;
      /** Names of the config whose credentials were found right. */
      readonly checked: readonly string[];
      readonly method: AuthMethod;
      readonly fingerprint?: string;
      /** What was shown for publickey, in memory of its own, and how often a security key says that it has signed. */
      readonly key?: Buffer;
      readonly counter?: number;
    }
  | Failure
  /** Neither yet: the peer has to say more. */
  | { readonly kind: 'more'; readonly reply: Buffer };

export interface CredentialOptions {
  readonly hooks: Pick<AuthHooks, 'getAllowedAuths' | 'checkAuthPassword' | 'checkAuthPublicKey'>;
  /** What is revoked now: a reload may have changed it since the connection began. */
  readonly revoked: () => RevocationList;
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
  /** The key that the hook knew last: its signature, which mostly follows, needs no second look at the offer. */
  #offered: { readonly algorithm: string; readonly blob: Buffer } | null = null;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** What the hook allows to this name; null (a name that nobody can have) is asked as ''. */
  async allowedMethods(name: string | null): Promise<MethodChains | Failure> {
    const answer = await this.#ask('getAllowedAuths', (signal) =>
      this.#options.hooks.getAllowedAuths(name ?? '', signal),
    );
    if (!answer.ok) return failure(answer.code, answer.detail);
    return (
      readChains(answer.value) ??
      failure(
        'HOOK_FAILED',
        `getAllowedAuths: answered ${kindOf(answer.value)}; wanted a list such as ['publickey', 'password'] or ['publickey,password']`,
      )
    );
  }

  /** `password` null stands for what is refused unseen: a change request, text that is not UTF-8. So are an empty one
   *  (with some directories behind a hook it means anonymous, hence yes) and an overlong one. None of this depends on
   *  the user. `soFar` is for the hook. */
  async password(name: string | null, password: string | null, soFar: Identity | null): Promise<Outcome> {
    if (name === null) return failure('UNKNOWN_USER');
    if (!password || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return failure('WRONG_PASSWORD');
    const { peer, notes } = withNotes(this.#options.peer);
    const answer = await this.#ask('checkAuthPassword', (signal) =>
      this.#options.hooks.checkAuthPassword(name, password, peer, signal, soFar),
    );
    const login = readLogin('checkAuthPassword', answer, 'WRONG_PASSWORD', notes);
    return 'code' in login ? login : { kind: 'success', ...login, method: 'password' };
  }

  /** RFC 4252 §7. First nothing may be revoked, then the hook knows the key, then it is parsed, then the signature is checked,
   *  then the hook is asked again with `verified`: only that last answer counts, so no right can come from a key that did
   *  not sign (CVE-2024-45337). */
  async publicKey(
    name: string | null,
    attempt: AuthAttempt & { readonly kind: 'publickey' },
    soFar: Identity | null,
  ): Promise<Outcome> {
    const { algorithm, blob, signature } = attempt;
    const asked = algorithmOf(algorithm);
    if (asked === null || blobType(blob) !== asked.blobType) return failure('UNSUPPORTED_KEY');
    const read = readPresentedKey(blob);
    if (!read.ok) return failure(read.code, read.why);
    const { key: shown } = read;
    const no = (why: Failure): Failure => ({ ...why, ...namesOf(shown) });
    if (name === null) return no(failure('UNKNOWN_USER'));
    const revocation = revocationOf(shown, this.#options.revoked());
    if (revocation !== null) return no(failure('KEY_REVOKED', revocation));

    if (this.#offered?.algorithm !== algorithm || !this.#offered.blob.equals(blob)) {
      const offer = await this.#checkKey(name, infoOf(shown, algorithm), soFar);
      if ('code' in offer) return no(offer);
      this.#offered = { algorithm, blob: Buffer.from(blob) };
    }
    const parsed = parsePublicKey(shown.keyBlob);
    if (!parsed.ok) return no(failure(parsed.code, parsed.why));
    // The name asked for comes back, `rsa-sha2-512` and not `ssh-rsa`: Go and JSch compare it.
    if (signature === null) return { kind: 'more', reply: message(MSG.USERAUTH_PK_OK, algorithm, blob) };
    const signedData = concatFields([this.#options.sessionId, { raw: signature.signedPart }]);
    const checked = checkSignature(parsed.key, asked.scheme, signedData, signature.blob);
    if (!checked.ok) return no(failure('BAD_SIGNATURE'));
    const { presence } = checked;
    const proven = await this.#checkKey(name, { ...infoOf(shown, algorithm, presence), verified: true }, soFar);
    if ('code' in proven) return no(proven);
    // As sshd has it: without a touch a security key is a file like any other, unless its line says that this will do.
    if (presence?.touched === false && !mayBeUntouched(proven.identity))
      return no(failure('KEY_OPTION', 'the security key was not touched'));
    return {
      kind: 'success',
      ...proven,
      method: 'publickey',
      fingerprint: shown.fingerprint,
      key: keptAlone(blob),
      ...(presence === null ? {} : { counter: presence.counter }),
    };
  }

  async #checkKey(name: string, key: PublicKeyInfo, soFar: Identity | null): Promise<Login | Failure> {
    const { peer, notes } = withNotes(this.#options.peer);
    const answer = await this.#ask('checkAuthPublicKey', (signal) =>
      this.#options.hooks.checkAuthPublicKey(name, key, peer, signal, soFar),
    );
    return readLogin('checkAuthPublicKey', answer, 'KEY_NOT_ACCEPTED', notes);
  }

  async #ask(hook: string, call: (signal: AbortSignal) => unknown): Promise<HookAnswer> {
    const { hookTimeoutMs: timeoutMs, after, closing } = this.#options;
    const answer = await callHook(call, { timeoutMs, after, closing });
    return answer.ok || answer.refused ? answer : { ...answer, detail: `${hook}: ${answer.detail}` };
  }
}

/** What the hook is told. Copies: what it does to them must not reach the signature check. */
function infoOf(shown: PresentedKey, algorithm: string, presence: Presence | null = null): PublicKeyInfo {
  const { keyBlob, certificate, fingerprint } = shown;
  return {
    type: blobType(keyBlob) ?? '',
    algorithm,
    fingerprint,
    line: line(keyBlob),
    blob: Buffer.from(keyBlob),
    verified: false,
    ...(certificate === null ? {} : { certificate: Buffer.from(shown.blob) }),
    ...(presence === null ? {} : { presence }),
  };
}

/** Not a view of a request or of a pool: it is kept for as long as the connection lives. */
function keptAlone(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

function namesOf(shown: PresentedKey): Pick<Failure, 'fingerprint' | 'certificate'> {
  const certificate = factsOf(shown);
  return { fingerprint: shown.fingerprint, ...(certificate === undefined ? {} : { certificate }) };
}

export interface Login {
  /** Null: under the name that was given. */
  readonly identity: Identity | null;
  /** Names of the config whose credentials were found right. */
  readonly checked: readonly string[];
}

/** @param no what a plain no of this hook means
 *  @param notes of the very call. An override that makes a plain yes of what is noted gets that; one that makes an identity of its own has
 *  lost what the key's line, its certificate or a webhook leaves of the user's rights, and lets nobody in */
export function readLogin(hook: string, answer: HookAnswer, no: AuthFailure, notes: Notes): Login | Failure {
  if (!answer.ok) return failure(answer.code, answer.detail);
  const value = readLoginAnswer(answer.value);
  if (value === null)
    return failure(
      'HOOK_FAILED',
      `${hook}: answered ${kindOf(answer.value)}; wanted true, false or an identity with a printable user`,
    );
  if (value === false) return failure(no);
  const identity = value === true ? notes.identity : value;
  if (identity !== null && notes.identity !== null && !holdsAllOf(identity, notes.identity))
    return failure('HOOK_FAILED', `${hook}: lost what the credential permits: answer { ...what super says }`);
  return { identity, checked: [...notes.checked] };
}
