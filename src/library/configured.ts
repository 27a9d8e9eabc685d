/** CONFIGURED: the server that a config describes: its users, their keys, passwords and patterns.
 *  Owns the directory of users, their rules and the pool that checks passwords. A TunnelServer like any other: what it
 *  decides, it decides in the hooks. */
import type { Config } from '../shared/config.js';
import type { ConfigOptions } from '../shared/config_options.js';
import type { AuthChain, Identity, Peer, PublicKeyInfo } from '../shared/identity.js';
import { LineMemory } from '../shared/line_memory.js';
import type { TotpKey } from '../shared/otpauth.js';
import { weakness } from '../shared/password_hash.js';
import type { KeyLineFound } from '../worker/auth/authorized_keys.js';
import type { Conversation } from '../worker/auth/conversation.js';
import { hookedOf, loginName } from '../worker/auth/hooked.js';
import type { LoginAnswer, LoginStep } from '../worker/auth/hooks.js';
import { notesOn, noteYes } from '../worker/auth/notes.js';
import { Webhook } from '../worker/auth/webhook.js';
import { narrowerLimits } from '../worker/auth/webhook_answer.js';
import type { Narrowing } from '../worker/policy.js';
import type { IdentityLimits, Taken } from '../worker/server.js';
import { CODE_PROMPT, requireCode } from './codes.js';
import { grantedBy, keyWord, type OwnWord, unknownWord, yesWord } from './own_word.js';
import { NARROWINGS, PatternServer } from './pattern_server.js';
import type { Rules } from './rules.js';
import { type Inside, SERVED } from './served.js';
import { endIn, type Granted, NOTHING_TAKEN, narrowingsIn, rulesIn, takenBetween } from './taken.js';
import { askWebhook, type LoginTry, WebhookClients, webhookCertificate } from './webhook_login.js';

const NO_LIMITS: IdentityLimits = { connections: 0, channels: 0, forwards: 0 };

/** Serves the users of its options; a subclass may decide more. */
export class ConfiguredServer extends PatternServer {
  #methods: readonly AuthChain[] = [];
  #granted: Granted | null = null;
  readonly #keyLines = new LineMemory<KeyLineFound>();
  /** Asked about every login; null where the config names none. */
  #webhook: Webhook | null = null;
  readonly #webhookClients = new WebhookClients();
  /** Users whose weak hash this worker has told of: spares the primary a message a login. Whether it is news decides hints.ts. */
  readonly #hinted = new Set<string>();
  readonly #inside: Inside;

  constructor(options: ConfigOptions = {}) {
    super(options);
    const inside = super[SERVED];
    this.#inside = {
      ...inside,
      hooksDecide: false,
      hint: (step) => this.#hint(step),
      configure: (config, listeners, written) => {
        inside.configure(config, listeners, written);
        return this.#configure(config);
      },
      closed: () => {
        this.#webhookClients.close();
        return inside.closed();
      },
    };
  }

  /** @internal */
  override get [SERVED](): Inside {
    return this.#inside;
  }

  #configure(config: Config): Taken {
    const before = this.#granted;
    const { webhook } = config.auth;
    const client = this.#webhookClients.for(webhook);
    this.#keyLines.turn();
    const now = grantedBy(config, {
      verifyPassword: (phc, password, signal) => this.#inside.pool().verifyPassword(phc, password, signal),
      keyLines: this.#keyLines,
    });
    const token = webhook.tokenFile?.secret ?? null;
    // Asked of the users of the day: an answer may come when others are in force than when it was asked for.
    const isConfigured = (name: string): boolean => this.#granted?.directory.knows(name) === true;
    this.#webhook = client === null ? null : new Webhook({ client, token, isConfigured });
    this.#methods = config.auth.methods;
    this.#granted = now;
    return before === null ? NOTHING_TAKEN : takenBetween(before, now, Date.now());
  }

  /** Once per user: what comes from another worker is told once by the primary. */
  #hint({ username, method, isSecondFactor }: LoginStep): string | null {
    if (method === 'publickey' || isSecondFactor || this.#hinted.has(username)) return null;
    const weak = weakness(this.#granted?.directory.user(username)?.password ?? '');
    if (weak === null) return null;
    this.#hinted.add(username);
    return `${weak} is cheaper to guess than what \`sallyport hash-password\` makes now: make a new hash`;
  }

  override reload(options?: ConfigOptions): Promise<void> {
    return super.reload(options);
  }

  override getAllowedAuths(
    _username: string,
    _signal: AbortSignal,
  ): readonly AuthChain[] | Promise<readonly AuthChain[]> {
    return this.#methods;
  }

  override async checkAuthPassword(
    username: string,
    password: string,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): Promise<LoginAnswer> {
    const webhook = this.#webhook;
    const directory = this.#granted?.directory;
    const isRight = (await directory?.checkPassword(username, password, signal)) === true;
    if (webhook === null) return noted(peer, username, isRight);
    const own = isRight ? yesWord(soFar ?? { user: username }) : unknownWord(directory, username);
    // What has been checked is nobody else's business.
    const credential = { method: 'password', password: own.kind === 'open' ? password : null } as const;
    return noted(peer, username, await askWebhook(webhook, own, { username, peer, credential, soFar }, signal));
  }

  override checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer> {
    const directory = this.#granted?.directory;
    const asker = { username, address: peer.address, nowMs: Date.now() };
    const own = directory === undefined ? unknownWord(directory, username) : keyWord(directory, key, asker, soFar);
    const webhook = this.#webhook;
    if (webhook !== null) return this.#askAboutKey(webhook, own, { username, key, peer, soFar }, signal);
    if (own.kind === 'yes') return noted(peer, username, own.identity);
    if (own.kind === 'no' && own.refusal !== undefined) throw own.refusal;
    return false;
  }

  async #askAboutKey(
    webhook: Webhook,
    own: OwnWord,
    { key, ...login }: Omit<LoginTry, 'credential'> & { readonly key: PublicKeyInfo },
    signal: AbortSignal,
  ): Promise<LoginAnswer> {
    const credential = { method: 'publickey', key, certificate: webhookCertificate(key) } as const;
    return noted(login.peer, login.username, await askWebhook(webhook, own, { ...login, credential }, signal));
  }

  /** @internal */
  override [NARROWINGS](identity: Identity): readonly Narrowing[] {
    const granted = this.#granted;
    return granted === null ? super[NARROWINGS](identity) : narrowingsIn(granted.directory, identity);
  }

  /** The code of the user's authenticator, where the config names one: of whoever's credential was right, and of the user under whose
   *  name an override lets him in. */
  override async checkSecondFactor(
    identity: Identity,
    conversation: Conversation,
    peer: Peer,
    _signal: AbortSignal,
  ): Promise<boolean> {
    const names = new Set([...(notesOn(peer)?.checked ?? []), loginName(identity)]);
    for (const name of names) if (!(await this.#checkCode(name, conversation))) return false;
    return true;
  }

  async #checkCode(name: string, conversation: Conversation): Promise<boolean> {
    if (this.#totpOf(name) === null) return true;
    const [code = ''] = await conversation.ask([{ prompt: CODE_PROMPT }]);
    const key = this.#totpOf(name); // of the config that is in force by now
    return key !== null && (await requireCode(this.#inside.codes(), name, key, code));
  }

  #totpOf(name: string): TotpKey | null {
    return this.#granted?.directory.user(name)?.totp ?? null;
  }

  override rules(identity: Identity): Rules {
    return (this.#granted && rulesIn(this.#granted, identity)) ?? super.rules(identity);
  }

  override limits(identity: Identity): IdentityLimits {
    const granted = this.#granted;
    if (granted === null) return NO_LIMITS;
    const { directory } = granted;
    const hooked = hookedOf(identity);
    const name = loginName(identity);
    // Whom the config does not know, and no webhook has let in, has nothing.
    const own = hooked !== null || directory.knows(name) ? directory.user(name)?.limits : undefined;
    if (own === undefined) return NO_LIMITS;
    const limits = (hooked?.limits ?? []).reduce(narrowerLimits, own);
    const none = Number.POSITIVE_INFINITY; // in a config 0 says so
    return {
      ...limits,
      bytesPerSecond: limits.bytesPerSecond || none,
      opensPerSecond: limits.opensPerSecond || none,
      failedOpensPerMinute: limits.failedOpensPerMinute || none,
      expiresAtMs: endIn(granted, identity),
    };
  }
}

/** For where an override makes something else of the answer. */
function noted(peer: Peer, username: string, answer: LoginAnswer): LoginAnswer {
  if (answer !== false) noteYes(peer, username, typeof answer === 'object' ? answer : null);
  return answer;
}
