/** ENDPOINT: all SSH connections of one worker.
 *  Owns the table of lives and what they share: algorithms, host keys, buffers, the resolver. Implements what the
 *  primary drives (WorkerServer); asks the server's hooks and nothing else for decisions. */
import type { Config } from '../shared/config.js';
import type { CloseReason } from '../shared/errors.js';
import type { ConnId, HostKeyFile } from '../shared/ipc.js';
import { after } from '../shared/timer.js';
import { SIGNATURE_ALGORITHMS } from './auth/signature.js';
import { Bandwidth } from './bandwidth.js';
import { Resolver, systemLookup } from './forward/resolve.js';
import { Life, type LifeContext } from './life.js';
import type { HandedOver, Primary, WorkerServer } from './primary_link.js';
import type { ServerHooks } from './server.js';
import { makeOffer } from './transport/algorithms.js';
import { Buffers } from './transport/buffers.js';
import { parseHostKeys } from './transport/host_key.js';
import { loadSsh2 } from './transport/ssh2.js';

export interface EndpointOptions {
  readonly hooks: ServerHooks;
  readonly config: Config;
  readonly hostKeys: readonly HostKeyFile[];
  readonly primary: Primary;
}

const KEX_TIMEOUT_MS = 30_000;

export class Endpoint implements WorkerServer {
  readonly nativeBinding: boolean;
  readonly #context: LifeContext;
  readonly #lives = new Map<ConnId, Life>();
  #draining = false;
  readonly #onEmpty: (() => void)[] = [];

  /** @throws TunnelError SSH2_INCOMPATIBLE, HOST_KEY_INVALID */
  constructor({ hooks, config, hostKeys, primary }: EndpointOptions) {
    const ssh2 = loadSsh2();
    const keys = parseHostKeys(ssh2, hostKeys);
    const { timeouts, limits } = config;
    const now = (): number => performance.now();
    this.nativeBinding = ssh2.nativeBinding;
    this.#context = {
      hooks,
      primary,
      now,
      resolver: new Resolver({ lookup: systemLookup }),
      bandwidth: new Bandwidth({ ask: (want) => primary.bandwidth(want), now, after }),
      hookTimeoutMs: timeouts.hookMs,
      auth: config.auth,
      transport: {
        ssh2,
        offer: makeOffer(ssh2, keys.algorithms),
        hostKeys: keys,
        buffers: new Buffers(),
        userSignatureAlgorithms: SIGNATURE_ALGORITHMS,
        rekey: config.rekey,
        kexTimeoutMs: Math.min(KEX_TIMEOUT_MS, config.auth.loginGraceTimeMs),
        now,
      },
      limits: {
        maxChannels: limits.channelsPerConnection,
        maxForwards: limits.forwardsPerConnection,
        memoryBytes: limits.memoryPerConnectionBytes,
        connectMs: timeouts.connectMs,
        keepaliveMs: timeouts.keepaliveMs,
        keepaliveCount: timeouts.keepaliveCount,
        stalledWriteMs: timeouts.stalledWriteMs,
        halfCloseMs: timeouts.halfCloseMs,
        idleChannelMs: timeouts.idleChannelMs,
      },
    };
  }

  accept(connection: HandedOver): boolean {
    if (this.#draining) return false;
    const life = new Life(connection, this.#context, (ended) => this.#onLifeEnd(ended));
    this.#lives.set(life.id, life);
    return true;
  }

  close(id: ConnId, reason: CloseReason): void {
    this.#lives.get(id)?.close(reason);
  }

  probe(id: ConnId, timeoutMs: number): Promise<boolean> {
    return this.#lives.get(id)?.probe(timeoutMs) ?? Promise.resolve(false);
  }

  /** Takes nothing new, ends what is idle, lets tunnels run until the deadline and ends them then. Called again, the
   *  earlier deadline holds. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    if (this.#lives.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty.push(resolve);
    });
    for (const life of [...this.#lives.values()]) life.drain();
    const timer = setTimeout(() => {
      for (const life of [...this.#lives.values()]) life.close('DRAINED');
    }, deadlineMs);
    await empty;
    clearTimeout(timer);
  }

  load(): { connections: number; channels: number; bufferedBytes: number } {
    let channels = 0;
    let bufferedBytes = 0;
    for (const life of this.#lives.values()) {
      channels += life.channels;
      bufferedBytes += life.bufferedBytes;
    }
    return { connections: this.#lives.size, channels, bufferedBytes };
  }

  #onLifeEnd(life: Life): void {
    this.#lives.delete(life.id);
    if (this.#lives.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}
