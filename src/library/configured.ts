/** CONFIGURED: the server that a config describes: its users, their keys, passwords and patterns.
 *  Owns the directory of users, their rules and the pool that checks passwords. A TunnelServer like any other: what it
 *  decides, it decides in the hooks. */
import type { Config } from '../shared/config.js';
import type { ConfigOptions } from '../shared/config_options.js';
import type { AuthChain, Identity, Peer, PublicKeyInfo } from '../shared/identity.js';
import { Directory } from '../worker/auth/directory.js';
import type { LoginAnswer } from '../worker/auth/hooks.js';
import type { IdentityLimits, Taken } from '../worker/server.js';
import { PatternServer } from './pattern_server.js';
import { Rules } from './rules.js';
import { type Inside, SERVED } from './served.js';
import { type Granted, NOTHING_TAKEN, takenBetween } from './taken.js';

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
    return before === null ? NOTHING_TAKEN : takenBetween(before, now);
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
    _peer: Peer,
    _signal: AbortSignal,
    _soFar: Identity | null,
  ): LoginAnswer | Promise<LoginAnswer> {
    return this.#granted?.directory.checkKey(username, key.blob) != null;
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
