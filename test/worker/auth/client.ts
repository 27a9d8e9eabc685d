/** CLIENT: the peer of a UserAuth without a socket: what the server said is read as text, one message after the other.
 *  Owns the UserAuth and what its owner was told. */
import { EventEmitter, once } from 'node:events';
import type { AuthMethod, Identity, PublicKeyInfo } from '../../../src/shared/identity.js';
import { concatFields, MSG, message, type WireField, WireReader } from '../../../src/shared/protocol.js';
import { askPassword } from '../../../src/worker/auth/dialogue.js';
import type { AuthHooks, LoginStep } from '../../../src/worker/auth/hooks.js';
import type { AuthStep } from '../../../src/worker/auth/login.js';
import { type AuthFailureEvent, UserAuth } from '../../../src/worker/auth/userauth.js';
import { ed25519, type TestKey } from './keys.js';

export const SESSION_ID = Buffer.from('the exchange hash of this very connection');
export const ALL: readonly AuthMethod[] = ['publickey', 'password', 'keyboard-interactive'];
export const LIST = ALL.join(',');
export const KEY = ed25519();

export type Offer = { readonly key: TestKey; readonly algorithm?: string };

/** A connection before its login: the messages that the server sent are read one after the other as text. */
export class Client {
  readonly sent: string[] = [];
  readonly failures: AuthFailureEvent[] = [];
  readonly offers: PublicKeyInfo[] = [];
  readonly passwords: string[] = [];
  /** What each call of a credential hook was told of the methods before. */
  readonly soFars: (Identity | null)[] = [];
  readonly steps: AuthStep[] = [];
  login: { identity: Identity; method: string; fingerprint: string | undefined } | null = null;
  loginSteps: readonly LoginStep[] = [];
  readonly ends: string[] = [];
  readonly auth: UserAuth;
  readonly #events = new EventEmitter();
  readonly #checkPassword: AuthHooks['checkAuthPassword'];

  constructor(
    hooks: Partial<AuthHooks> = {},
    options: { maxTries?: number; sessionId?: Buffer; onPartial?: (client: Client) => void } = {},
  ) {
    this.#checkPassword = (user, password, peer, signal, soFar) => {
      this.passwords.push(`${user}:${password}`);
      this.soFars.push(soFar);
      const answer = hooks.checkAuthPassword?.(user, password, peer, signal, soFar);
      return answer ?? (user === 'bob' && password === 'secret');
    };
    this.auth = new UserAuth({
      refusalDelay: { leftMs: () => 0 },
      now: () => 0,
      transport: {
        sessionId: options.sessionId ?? SESSION_ID,
        send: (payload) => this.#push(describe(payload)),
        disconnect: (reason, text, why) => {
          this.ends.push(why);
          this.#push(`disconnect ${reason} ${text}`);
        },
      },
      hooks: {
        getAllowedAuths: hooks.getAllowedAuths ?? (() => ALL),
        checkAuthInteractive: (user, conversation, peer, signal, soFar) =>
          hooks.checkAuthInteractive?.(user, conversation, peer, signal, soFar) ??
          askPassword(this.#checkPassword, user, conversation, peer, signal, soFar),
        checkSecondFactor: (identity, conversation, peer, signal) =>
          hooks.checkSecondFactor?.(identity, conversation, peer, signal) ?? true,
        checkAuthPassword: this.#checkPassword,
        checkAuthPublicKey: (user, key, peer, signal, soFar) => {
          this.offers.push(key);
          this.soFars.push(soFar);
          const answer = hooks.checkAuthPublicKey?.(user, key, peer, signal, soFar);
          return answer ?? (user === 'bob' && key.blob.equals(KEY.blob));
        },
      },
      peer: { address: '192.0.2.1', port: 4711 },
      maxTries: options.maxTries ?? 6,
      hookTimeoutMs: 10_000,
      after: (_ms, callback) => {
        this.#events.once('deadline', callback);
        return () => this.#events.off('deadline', callback);
      },
      onSuccess: ({ identity, method, fingerprint, steps }) => {
        this.login = { identity, method, fingerprint };
        this.loginSteps = steps;
      },
      onPartial: (step) => {
        this.steps.push(step);
        options.onPartial?.(this);
      },
      onFailure: (event) => this.failures.push(event),
    });
  }

  #push(text: string): void {
    this.sent.push(text);
    this.#events.emit('sent');
  }

  strikeDeadline(): void {
    this.#events.emit('deadline');
  }

  /** The next `count` answers, all that came when they are there. */
  async answers(count: number): Promise<string[]> {
    while (this.sent.length < count) await once(this.#events, 'sent', { signal: AbortSignal.timeout(20_000) });
    return this.sent.splice(0);
  }

  /** Sends and waits for one answer. */
  async ask(payload: Buffer): Promise<string> {
    this.auth.onMessage(payload);
    return (await this.answers(1)).join(' | ');
  }

  /** With the service already accepted. */
  static async ready(...args: ConstructorParameters<typeof Client>): Promise<Client> {
    const client = new Client(...args);
    const answer = await client.ask(SERVICE);
    if (answer !== 'accept ssh-userauth') throw new Error(answer);
    return client;
  }
}

function describe(payload: Buffer): string {
  const reader = new WireReader(payload, 1);
  switch (payload[0]) {
    case MSG.SERVICE_ACCEPT:
      return `accept ${reader.text()}`;
    case MSG.USERAUTH_SUCCESS:
      return 'success';
    case MSG.USERAUTH_FAILURE:
      return `failure ${reader.text()} ${reader.boolean()}${reader.atEnd ? '' : ' malformed'}`;
    case MSG.USERAUTH_PK_OK: {
      const first = reader.text();
      if (first !== '') return `pk_ok ${first} ${reader.bytes().toString('base64')}${reader.atEnd ? '' : ' malformed'}`;
      const [instruction, , count] = [reader.text(), reader.text(), reader.uint32()];
      const prompts = Array.from({ length: count }, () => `${reader.text()}${reader.boolean() ? '(echo)' : ''}`);
      const head = instruction === '' ? '' : `[${instruction}] `;
      return `prompt ${head}${prompts.join(', ')}${reader.atEnd ? '' : ' malformed'}`;
    }
    default:
      return `message ${payload[0]}`;
  }
}

export const SERVICE = message(MSG.SERVICE_REQUEST, 'ssh-userauth');
export const DENIED = `failure ${LIST} false`;

export function request(user: string | Buffer, method: string, ...fields: WireField[]): Buffer {
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', method, ...fields);
}
export const none = (user = 'bob'): Buffer => request(user, 'none');
export const password = (text: string | Buffer, user: string | Buffer = 'bob'): Buffer =>
  request(user, 'password', false, text);
export const interactive = (user = 'bob'): Buffer => request(user, 'keyboard-interactive', '', '');
export const response = (...texts: string[]): Buffer => message(MSG.USERAUTH_INFO_RESPONSE, texts.length, ...texts);
export const query = ({ key, algorithm = key.type }: Offer, user = 'bob'): Buffer =>
  request(user, 'publickey', false, algorithm, key.blob);

/** RFC 4252 §7. `signer` and `sessionId` differ from the honest ones where a test cheats. */
export function signed(
  { key, algorithm = key.type }: Offer,
  cheat: { user?: string; signer?: TestKey; sessionId?: Buffer; signedAlgorithm?: string } = {},
): Buffer {
  const head = request(cheat.user ?? 'bob', 'publickey', true, algorithm, key.blob);
  const data = concatFields([cheat.sessionId ?? SESSION_ID, { raw: head }]);
  const signature = (cheat.signer ?? key).sign(data, cheat.signedAlgorithm ?? algorithm);
  return Buffer.concat([head, concatFields([signature])]);
}
