/** CONFIGURED: the server that a config describes: its users, their keys, passwords and patterns.
 *  Owns the directory of users, their rules and the pool that checks passwords. A TunnelServer like any other: what it
 *  decides, it decides in the hooks. */
import type { Config } from '../shared/config.js';
import type { ConfigOptions } from '../shared/config_options.js';
import type { AuthChain, Identity, Peer, PublicKeyInfo } from '../shared/identity.js';
import { whereIs } from '../worker/auth/authorized_keys.js';
import { Directory } from '../worker/auth/directory.js';
import { withGrant } from '../worker/auth/grant.js';
import { type LoginAnswer, LoginRefused } from '../worker/auth/hooks.js';
import { narrowingBy } from '../worker/auth/key_options.js';
import type { Narrowing } from '../worker/policy.js';
import type { IdentityLimits, Taken } from '../worker/server.js';
import { NARROWINGS, PatternServer } from './pattern_server.js';
import { Rules } from './rules.js';
import { type Inside, SERVED } from './served.js';
import { type Granted, NOTHING_TAKEN, narrowingsIn, takenBetween } from './taken.js';

const NO_LIMITS: IdentityLimits = { connections: 0, channels: 0, forwards: 0 };

/** Serves the users of its options; a subclass may decide more. */
export class ConfiguredServer extends PatternServer {
  #methods: readonly AuthChain[] = [];
  #granted: Granted | null = null;

  readonly #inside: Inside;

  constructor(options: ConfigOptions = {}) {
    super(options);
    const inside = super[SERVED];
    this.#inside = {
      ...inside,
      hooksDecide: false,
      configure: (config, listeners, written) => {
        inside.configure(config, listeners, written);
        return this.#configure(config);
      },
    };
  }

  /** @internal */
  override get [SERVED](): Inside {
    return this.#inside;
  }

  #configure(config: Config): Taken {
    const before = this.#granted;
    const now: Granted = {
      directory: new Directory({
        users: config.users,
        verifyPassword: (phc, password, signal) => this.#inside.pool().verifyPassword(phc, password, signal),
      }),
      rules: new Map(config.users.map((user) => [user.name, new Rules(user)])),
    };
    this.#methods = config.auth.methods;
    this.#granted = now;
    return before === null ? NOTHING_TAKEN : takenBetween(before, now, Date.now());
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
    _peer: Peer,
    signal: AbortSignal,
    _soFar: Identity | null,
  ): Promise<LoginAnswer> {
    return (await this.#granted?.directory.checkPassword(username, password, signal)) === true;
  }

  override checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    _signal: AbortSignal,
    soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer> {
    const atMs = Date.now();
    const { address } = peer;
    const verdict = this.#granted?.directory.checkKey(username, key.blob, { address, nowMs: atMs });
    if (verdict === undefined || verdict.kind === 'unknown') return false;
    if (verdict.kind === 'refused') throw new LoginRefused(verdict.code, verdict.detail);
    const { fingerprint, options } = verdict.key;
    const identity = { ...(soFar ?? { user: username }), fingerprint };
    const line = { username, fingerprint, address, atMs };
    const narrowing = narrowingBy(options, whereIs(verdict.key), line);
    return withGrant(identity, { narrowings: [narrowing], expiresAtMs: options.expiresAtMs });
  }

  /** @internal */
  override [NARROWINGS](identity: Identity): readonly Narrowing[] {
    const granted = this.#granted;
    return granted === null ? super[NARROWINGS](identity) : narrowingsIn(granted.directory, identity);
  }

  override rules(identity: Identity): Rules {
    return this.#granted?.rules.get(identity.user) ?? super.rules(identity);
  }

  override limits(identity: Identity): IdentityLimits {
    const limits = this.#granted?.directory.user(identity.user)?.limits;
    if (limits === undefined) return NO_LIMITS;
    const none = Number.POSITIVE_INFINITY; // in a config 0 says so
    return {
      ...limits,
      bytesPerSecond: limits.bytesPerSecond || none,
      opensPerSecond: limits.opensPerSecond || none,
      failedOpensPerMinute: limits.failedOpensPerMinute || none,
    };
  }
}
