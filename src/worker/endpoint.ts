/** ENDPOINT: all SSH connections of one worker.
 *  Owns the table of lives and what they share: algorithms, host keys, buffers, the resolver. Implements what the
 *  primary drives (WorkerServer); asks the server's hooks and nothing else for decisions. */
import { totalmem } from 'node:os';
import type { Config } from '../shared/config.js';
import { type CloseReason, TunnelError } from '../shared/errors.js';
import type { ForwardKind, Payload } from '../shared/events.js';
import type { ConnId, HostKeyFile, ListenerAddress, LookQuery, SeenPart, WorkerCounts } from '../shared/ipc.js';
import { after } from '../shared/timer.js';
import { readHostCertificates } from './auth/host_certificates.js';
import type { RevocationList } from './auth/krl.js';
import { RefusalDelay } from './auth/refusal_delay.js';
import { revokedBy } from './auth/revoked_keys.js';
import { SIGNATURE_ALGORITHMS } from './auth/signature.js';
import { Bandwidth } from './bandwidth.js';
import { OpenRates } from './forward/open_rates.js';
import { Resolver, systemLookup } from './forward/resolve.js';
import { Life, type LifeContext } from './life.js';
import { budgetOf, WorkerMemory } from './memory.js';
import { type HandedOver, type Primary, type WorkerServer, withEvents } from './primary_link.js';
import type { ServerHooks, Taken } from './server.js';
import { type Sight, survey } from './survey.js';
import { type Standing, Tally } from './tally.js';
import { HYBRID_KEX, makeOffer } from './transport/algorithms.js';
import { Buffers } from './transport/buffers.js';
import { parseHostKeys } from './transport/host_key.js';
import { loadMlKem, type MlKem } from './transport/ml_kem.js';
import { loadSsh2 } from './transport/ssh2.js';
import type { TransportOptions } from './transport/transport.js';
import { UserBuckets } from './user_buckets.js';

/** What a reload changes. */
export interface EndpointSettings {
  readonly config: Config;
  readonly hostKeys: readonly HostKeyFile[];
  /** Where the server itself listens. Default: nowhere. */
  readonly ownListeners?: readonly ListenerAddress[];
}

export interface EndpointOptions extends EndpointSettings {
  readonly hooks: ServerHooks;
  readonly primary: Primary;
  /** Null: not loaded, since nothing that is offered needs it. */
  readonly mlKem: MlKem | null;
  /** Default: the real one. */
  readonly loadMlKem?: () => Promise<MlKem>;
  /** What an operator should hear of a step of a login. Default: nothing. */
  readonly hint?: LifeContext['hint'];
  /** Default: this process on this machine. */
  readonly process?: ProcessMemory;
}

/** Memory as the kernel counts it. */
export interface ProcessMemory {
  /** That this and other processes of the server may have together. */
  usableBytes(): number;
  /** That this process has. */
  residentBytes(): number;
}

const THIS_PROCESS: ProcessMemory = {
  /** The kernel says 2^64 where there is no cgroup with a limit, and Node 0 where it cannot tell. */
  usableBytes: () => Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem()),
  residentBytes: () => process.memoryUsage.rss(),
};

const KEX_TIMEOUT_MS = 30_000;

export class Endpoint implements Omit<WorkerServer, 'reload' | 'counts'> {
  #residentBytes = 0;
  /** Of the connections to come; each keeps the one that it began with. */
  #context: LifeContext;
  /** In force. */
  #settings: EndpointSettings;
  readonly #loadMlKem: () => Promise<MlKem>;
  readonly #process: ProcessMemory;
  readonly #memory: WorkerMemory;
  readonly #lives = new Map<ConnId, Life>();
  readonly #tally = new Tally();
  /** Payload of connections that have ended. */
  #ended: Payload = { bytesIn: 0, bytesOut: 0 };
  #revoked: RevocationList;
  /** Whoever is connected is held to it too when a reload moves them. */
  #own: readonly ListenerAddress[];
  /** Nothing new is taken. */
  #closed = false;
  readonly #onEmpty: (() => void)[] = [];

  /** @throws TunnelError SSH2_INCOMPATIBLE, HOST_KEY_INVALID, CONFIG_INVALID (revoked keys or host certificates that cannot be read) */
  constructor(options: EndpointOptions) {
    const { hooks, config, hostKeys, ownListeners = [], primary, mlKem } = options;
    const { hint = () => null, process = THIS_PROCESS } = options;
    this.#settings = options;
    this.#loadMlKem = options.loadMlKem ?? loadMlKem;
    this.#own = ownListeners.filter(isPrivate);
    this.#process = process;
    const processBytes = process.usableBytes() / config.workers;
    const budgetBytes = budgetOf(config.limits.memoryPerWorkerBytes, processBytes);
    this.#memory = new WorkerMemory({ budgetBytes, processBytes });
    this.#revoked = revokedBy(config.auth.revokedKeys);
    this.#context = contextOf(
      { config, hostKeys },
      {
        hooks,
        primary: this.#counting(primary),
        tally: this.#tally,
        own: () => this.#own,
        revoked: () => this.#revoked,
        hint,
        memory: this.#memory,
        resolver: new Resolver({ lookup: systemLookup }),
        openRates: new OpenRates(now),
        binds: new UserBuckets(now),
        refusals: new UserBuckets(now),
        bandwidth: new Bandwidth({ ask: (want) => primary.bandwidth(want), now, after }),
        buffers: new Buffers(),
        ssh2: loadSsh2(),
        mlKem,
      },
    );
  }

  get nativeBinding(): boolean {
    return this.#context.transport.ssh2.nativeBinding;
  }

  /** Whoever comes from now on is served by these settings; of those who are there, what was taken away is ended. Their time
   *  limits and budgets stay those that they began with.
   *  @throws TunnelError HOST_KEY_INVALID, CONFIG_INVALID; then nothing has changed */
  reload(settings: EndpointSettings, taken: Taken): void {
    const revoked = revokedBy(settings.config.auth.revokedKeys);
    this.#context = this.#contextFor(settings);
    this.#settings = settings;
    this.#revoked = revoked;
    this.#own = (settings.ownListeners ?? []).filter(isPrivate);
    for (const life of [...this.#lives.values()]) life.review(taken);
  }

  /** What the hybrid exchange needs is loaded where it is first offered, and a reload does not wait for it, since what it takes away it
   *  takes away at once: until then whoever comes is offered the other key exchanges, or, where there are none, those of before: a
   *  server that can agree with nobody helps nobody. */
  #contextFor(settings: EndpointSettings): LifeContext {
    const lasting = { ...this.#context, ...this.#context.transport };
    const { kex } = settings.config.algorithms;
    if (lasting.mlKem !== null || !kex.includes(HYBRID_KEX)) return contextOf(settings, lasting);
    const others = kex.filter((name) => name !== HYBRID_KEX);
    const context = contextOf(settings, lasting, others.length > 0 ? others : lasting.kex); // throws before anything is begun
    // What fails here is a fault of ours, and ends the worker; its successor starts with these settings.
    void this.#loadMlKem().then((mlKem) => {
      this.#context = contextOf(this.#settings, { ...this.#context, ...this.#context.transport, mlKem });
    });
    return context;
  }

  accept(connection: HandedOver): boolean {
    if (this.#closed || this.#memory.isFull) return false;
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
    const { now, transport } = this.#context;
    const endMs = now() + deadlineMs;
    this.#closed = true;
    if (this.#lives.size > 0) await this.#empty(deadlineMs);
    await transport.buffers.lingerers.over(Math.max(0, endMs - now()));
  }

  async #empty(deadlineMs: number): Promise<void> {
    const empty = this.retire();
    for (const life of [...this.#lives.values()]) life.drain();
    const timer = setTimeout(() => {
      for (const life of [...this.#lives.values()]) life.close('DRAINED');
    }, deadlineMs);
    await empty;
    clearTimeout(timer);
  }

  /** Takes nothing new; resolves when every connection has ended by itself. */
  retire(): Promise<void> {
    this.#closed = true;
    if (this.#lives.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
    });
  }

  look(): void {
    try {
      this.#residentBytes = this.#process.residentBytes();
    } catch {
      // Reading it takes a descriptor: where there is none (EMFILE) it is what it was.
    }
    this.#memory.look(this.#residentBytes);
  }

  load(): { connections: number; channels: number; bufferedBytes: number } {
    let channels = 0;
    for (const life of this.#lives.values()) channels += life.channels;
    return { connections: this.#lives.size, channels, bufferedBytes: this.#memory.usedBytes };
  }

  /** What was counted since the last call, and what there is.
   *  @param passwordChecks of the server's pool */
  counts(passwordChecks: Standing['passwordChecks']): WorkerCounts {
    const forwards: Record<ForwardKind, number> = { 'tcpip-forward': 0, 'streamlocal-forward@openssh.com': 0 };
    for (const life of this.#lives.values()) for (const kind of life.forwards()) forwards[kind]++;
    const { usedBytes: bufferedBytes } = this.#memory;
    return this.#tally.report({ bufferedBytes, traffic: this.traffic(), forwards, passwordChecks });
  }

  /** Payload of all channels since the start. */
  traffic(): Payload {
    let { bytesIn, bytesOut } = this.#ended;
    for (const life of this.#lives.values()) {
      const traffic = life.traffic();
      bytesIn += traffic.bytesIn;
      bytesOut += traffic.bytesOut;
    }
    return { bytesIn, bytesOut };
  }

  survey(query: LookQuery): Iterator<SeenPart, undefined> {
    return survey(sightsOf(this.#lives.values()), query, () => this.#context.now());
  }

  /** Every event is counted here, before anybody asks whether it is loud enough for the log. */
  #counting(primary: Primary): Primary {
    return withEvents(primary, (event) => {
      this.#tally.event(event);
      primary.event(event);
    });
  }

  #onLifeEnd(life: Life): void {
    this.#lives.delete(life.id);
    const { bytesIn, bytesOut } = life.traffic();
    this.#ended = { bytesIn: this.#ended.bytesIn + bytesIn, bytesOut: this.#ended.bytesOut + bytesOut };
    if (this.#lives.size === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}

/** Who reaches it is taken for an operator, or for a worker. At the front door a tunnel is a client like any other. */
function isPrivate(listener: ListenerAddress): boolean {
  return listener.kind === 'unix' || listener.role === 'admin';
}

function* sightsOf(lives: Iterable<Life>): Iterable<Sight> {
  for (const life of lives) yield life.sight();
}

/** What outlives a reload. */
type Lasting = Pick<
  LifeContext,
  | 'hooks'
  | 'primary'
  | 'tally'
  | 'hint'
  | 'own'
  | 'revoked'
  | 'memory'
  | 'resolver'
  | 'openRates'
  | 'binds'
  | 'refusals'
  | 'bandwidth'
> &
  Pick<TransportOptions, 'ssh2' | 'mlKem' | 'buffers'>;

function contextOf(
  { config, hostKeys }: EndpointSettings,
  lasting: Lasting,
  kex: readonly string[] = config.algorithms.kex,
): LifeContext {
  const { hooks, primary, tally, hint, own, revoked, memory, resolver, openRates, binds, refusals, bandwidth } =
    lasting;
  const { ssh2, mlKem, buffers } = lasting;
  const { certificates, problems } = readHostCertificates(config.hostCertificates);
  const [problem] = problems; // found when the config was read, where it came from a file or a program
  if (problem !== undefined)
    throw new TunnelError('CONFIG_INVALID', `${problem.file}:${problem.line}:1: hostCertificates: ${problem.why}`);
  const keys = parseHostKeys(ssh2, hostKeys, { allowed: config.algorithms.hostKeys, certificates });
  const { algorithms, timeouts, limits } = config;
  return {
    hooks,
    primary,
    tally,
    own,
    revoked,
    hint,
    memory,
    resolver,
    openRates,
    binds,
    refusals,
    bandwidth,
    now,
    hookTimeoutMs: timeouts.hookMs,
    auth: { ...config.auth, refusalDelay: RefusalDelay.of(hostKeys) },
    transport: {
      ssh2,
      mlKem,
      offer: makeOffer(ssh2, { ...algorithms, kex, hostKeys: keys.algorithms }),
      kex,
      hostKeys: keys,
      buffers,
      userSignatureAlgorithms: SIGNATURE_ALGORITHMS,
      rekey: config.rekey,
      firstKexTimeoutMs: Math.min(KEX_TIMEOUT_MS, config.auth.loginGraceTimeMs),
      kexTimeoutMs: KEX_TIMEOUT_MS,
      now,
    },
    limits: {
      maxChannels: limits.channelsPerConnection,
      maxForwards: limits.forwardsPerConnection,
      maxInbound: limits.inboundPerForward,
      inboundPerSecond: limits.inboundPerSecond,
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

function now(): number {
  return performance.now();
}
