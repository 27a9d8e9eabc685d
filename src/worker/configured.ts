/** CONFIGURED: the server that a config describes: its users, its patterns, its protected destinations.
 *  Owns the directory of users, their parsed patterns and the pool that checks passwords. A TunnelServer like any other:
 *  what it decides, it decides in the hooks. */
import { networkInterfaces } from 'node:os';
import type { Address } from '../shared/address.js';
import type { Config } from '../shared/config.js';
import type { Verdict } from '../shared/errors.js';
import type {
  AuthMethod,
  BindAddress,
  Destination,
  Identity,
  Origin,
  Peer,
  PublicKeyInfo,
  TcpDestination,
} from '../shared/identity.js';
import type { HostKeyFile, ListenerAddress } from '../shared/ipc.js';
import { listenPortRanges, parseListenPattern, parseOpenPattern } from '../shared/patterns.js';
import type { PortRange } from '../shared/port.js';
import { Directory } from './auth/directory.js';
import { Endpoint } from './endpoint.js';
import { mayDial, mayDialPath, mayListen, mayOpen, type Rights } from './policy.js';
import { CryptoPool } from './pool/pool.js';
import type { Primary, WorkerServer } from './primary_link.js';
import { type IdentityLimits, TunnelServer } from './server.js';
import { ciphersReady } from './transport/ssh2.js';

export interface ConfiguredOptions {
  readonly config: Config;
  readonly hostKeys: readonly HostKeyFile[];
  readonly ownListeners: readonly ListenerAddress[];
  readonly primary: Primary;
}

/** The worker's factory. @throws TunnelError SSH2_INCOMPATIBLE, HOST_KEY_INVALID */
export async function createConfiguredServer(options: ConfiguredOptions): Promise<WorkerServer> {
  const { config, hostKeys, primary } = options;
  const hooks = new ConfiguredServer(options);
  await ciphersReady();
  return new Endpoint({ hooks, config, hostKeys, primary });
}

/** Interfaces come and go (a VPN, a container's bridge); asking the kernel costs a few microseconds. */
const INTERFACES_FRESH_MS = 5_000;

const NOTHING: Rights = { permitOpen: [], permitListen: [] };

export class ConfiguredServer extends TunnelServer {
  override readonly noShell: string;
  readonly #methods: readonly AuthMethod[];
  readonly #directory: Directory;
  readonly #rights: ReadonlyMap<string, Rights>;
  readonly #ownListeners: readonly ListenerAddress[];
  #interfaces: readonly string[] = [];
  #interfacesAtMs = Number.NEGATIVE_INFINITY;

  constructor({ config, ownListeners }: Pick<ConfiguredOptions, 'config' | 'ownListeners'>) {
    super();
    this.noShell = config.noShell;
    this.#methods = config.auth.methods;
    this.#ownListeners = ownListeners;
    const pool = new CryptoPool();
    this.#directory = new Directory({
      users: config.users,
      verifyPassword: (phc, password, signal) => pool.verifyPassword(phc, password, signal),
    });
    this.#rights = new Map(config.users.map((user) => [user.name, parseRights(user)]));
  }

  override getAllowedAuths(): readonly AuthMethod[] {
    return this.#methods;
  }

  override async checkAuthPassword(
    username: string,
    password: string,
    _peer: Peer,
    signal: AbortSignal,
  ): Promise<boolean | Identity> {
    return (await this.#directory.checkPassword(username, password, signal)) && { user: username };
  }

  override checkAuthPublicKey(username: string, key: PublicKeyInfo): boolean | Identity {
    const stored = this.#directory.checkKey(username, key.blob);
    return stored !== null && { user: username, fingerprint: key.fingerprint };
  }

  override checkDirect(_origin: Origin, destination: Destination, identity: Identity): Verdict {
    return mayOpen(this.#rightsOf(identity), destination);
  }

  override checkDial(destination: TcpDestination, address: Address, identity: Identity): Verdict {
    return mayDial(this.#rightsOf(identity), destination, address, this.#ownListeners, this.#interfaceAddresses());
  }

  override checkDialPath(realPath: string, identity: Identity): Verdict {
    return mayDialPath(this.#rightsOf(identity), realPath, this.#ownListeners);
  }

  override checkForwardAddress(address: BindAddress, identity: Identity): Verdict {
    return mayListen(this.#rightsOf(identity), address);
  }

  override portRanges(host: string, identity: Identity): readonly PortRange[] {
    return listenPortRanges(this.#rightsOf(identity).permitListen, host);
  }

  override limits(identity: Identity): IdentityLimits {
    return this.#directory.user(identity.user)?.limits ?? { connections: 0, channels: 0, forwards: 0 };
  }

  #rightsOf(identity: Identity): Rights {
    return this.#rights.get(identity.user) ?? NOTHING;
  }

  #interfaceAddresses(): readonly string[] {
    const nowMs = performance.now();
    if (nowMs - this.#interfacesAtMs > INTERFACES_FRESH_MS) {
      this.#interfacesAtMs = nowMs;
      this.#interfaces = Object.values(networkInterfaces()).flatMap((list) =>
        (list ?? []).map(({ address }) => address),
      );
    }
    return this.#interfaces;
  }
}

/** The config's table has checked the patterns: one that does not parse here would be a bug, and allows nothing. */
function parseRights(user: {
  readonly permitOpen: readonly string[];
  readonly permitListen: readonly string[];
}): Rights {
  return {
    permitOpen: user.permitOpen.map(parseOpenPattern).flatMap((parsed) => (parsed.ok ? [parsed.pattern] : [])),
    permitListen: user.permitListen.map(parseListenPattern).flatMap((parsed) => (parsed.ok ? [parsed.pattern] : [])),
  };
}
