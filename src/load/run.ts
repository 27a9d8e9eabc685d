/** RUN: a whole load test: one login and one tunnel to see whether anything works, then every measurement in turn. Owns the
 *  far end. Never rejects for what a server did: that is in the report. */
import { cpus, networkInterfaces, type } from 'node:os';
import { isLoopback, normalisePeerAddress, parseAddress } from '../shared/address.js';
import { adviceFor, type Circumstances } from './advice.js';
import { Cell, type CellTools } from './cell.js';
import { LoadClient } from './client.js';
import { type Credentials, triedLines } from './credentials.js';
import { LoadError } from './errors.js';
import { FarEnd } from './far_end.js';
import { fingerprint, judge, type KeyVerdict, keyTypeOf, linesFor } from './known_hosts.js';
import type { Agreed, ConnectOptions } from './login.js';
import { percentile } from './percentiles.js';
import type { Progress } from './progress.js';
import { type Failure, figure, notesFor, type Report, type Result, type ScenarioName } from './report.js';
import { type Measurement, measurements } from './scenarios.js';

export interface RunOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly credentials: Credentials;
  readonly scenarios: readonly ScenarioName[];
  readonly connections: number;
  readonly seconds: number;
  /** Where the tunnels come out: an address of this machine as the server sees it. Port 0: any. */
  readonly destination: { readonly host: string; readonly port: number };
  readonly cipher: string | undefined;
  readonly knownHosts: { readonly file: string; readonly text: string };
  readonly acceptNewHostKey: boolean;
  readonly hostKeyFingerprint: string | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

const READY_TIMEOUT_MS = 15_000;

export async function runLoad(options: RunOptions): Promise<Report> {
  const run = new Run(options);
  return await run.report();
}

class Run {
  readonly #options: RunOptions;
  readonly #startedAt = new Date().toISOString();
  readonly #results: Result[] = [];
  readonly #failures: Failure[] = [];
  #farEnd: FarEnd | undefined;
  #agreed: Agreed | undefined;
  #onThisMachine = false;
  /** What the first login found out, for those after it. */
  #proven: Partial<ConnectOptions> = {};
  #hostKey: Circumstances['hostKey'];

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async report(): Promise<Report> {
    const { destination, scenarios, connections, signal } = this.#options;
    try {
      this.#farEnd = await FarEnd.listen(destination.host, destination.port);
      await this.#try(this.#farEnd);
      for (const measurement of measurements(scenarios, connections)) {
        if (signal.aborted) break;
        await this.#measure(this.#farEnd, measurement);
      }
    } catch (thrown) {
      this.#fail(thrown, null);
    } finally {
      this.#farEnd?.close();
    }
    return this.#whole();
  }

  /** One login, and one tunnel where tunnels are asked for: a server that refuses shall say so at once, and once. */
  async #try(farEnd: FarEnd): Promise<void> {
    const { scenarios, progress, host, credentials } = this.#options;
    progress.live(`logging in to ${host}`);
    const cell = new Cell(this.#tools(farEnd, () => {}));
    try {
      const work = async (): Promise<void> => {
        const client = await cell.connect();
        this.#agreed = client.agreed;
        this.#onThisMachine = isOurs(client.socket.remoteAddress);
        const { credential } = client;
        this.#proven = {
          ...this.#proven,
          ...(credential?.method === 'publickey'
            ? { privateKey: credentials.keys[credential.index]?.text ?? [] }
            : { privateKey: [] }),
          ...(credential?.method === 'agent' ? { agent: credentials.agent ?? '' } : {}),
          ...(credential?.method === 'password' ? { password: credentials.password ?? '' } : {}),
        };
        if (scenarios.some((name) => name !== 'login')) await cell.arrive(await cell.openDirect(client));
      };
      await firstOf(work(), cell.failed);
    } finally {
      await cell.close();
    }
  }

  async #measure(farEnd: FarEnd, measurement: Measurement): Promise<void> {
    const { progress, seconds } = this.#options;
    const name = `${measurement.scenario} (${measurement.cell})`;
    const cell = new Cell(
      this.#tools(farEnd, (elapsed, operations, bytes) => {
        const far = measurement.kind === 'flow' ? `${figure(bytes / 1e6)} MB` : `${operations} done`;
        progress.live(`${name}: ${elapsed.toFixed(1)} of ${seconds} s, ${far}`);
      }),
    );
    progress.live(name);
    try {
      await firstOf(measurement.run(cell), cell.failed);
      const result = resultOf(measurement, cell);
      this.#results.push(result);
      progress.done(`${name}: ${summary(result)}`);
    } catch (thrown) {
      this.#fail(thrown, measurement);
    } finally {
      await cell.close();
    }
  }

  #tools(farEnd: FarEnd, onTick: CellTools['onTick']): CellTools {
    const { seconds, signal } = this.#options;
    return { farEnd, seconds, signal, onTick, connect: (stop) => this.#connect(stop) };
  }

  #connect(signal: AbortSignal): Promise<LoadClient> {
    const { host, port, user, cipher, credentials, knownHosts } = this.#options;
    const known = linesFor(knownHosts.text, host, port);
    const first: Partial<ConnectOptions> = {
      privateKey: credentials.keys.map(({ text }) => text),
      hostKeyTypes: known.filter(({ revoked }) => !revoked).map(({ keyType }) => keyType),
      verifyHostKey: (blob) => {
        const good = this.#judgeHostKey(blob, judge(known, blob));
        // From then on this key and no other: what was judged once needs no second look.
        if (good) this.#proven = { hostKeyTypes: [keyTypeOf(blob)], verifyHostKey: (again) => again.equals(blob) };
        return good;
      },
      ...(credentials.agent === undefined ? {} : { agent: credentials.agent }),
      ...(credentials.password === undefined ? {} : { password: credentials.password }),
    };
    return LoadClient.connect({
      ...{ host, port, user, signal, readyTimeoutMs: READY_TIMEOUT_MS, verifyHostKey: () => false },
      ...(cipher === undefined ? {} : { cipher }),
      ...(this.#agreed === undefined ? first : this.#proven),
    });
  }

  #judgeHostKey(blob: Buffer, verdict: KeyVerdict): boolean {
    const { hostKeyFingerprint, acceptNewHostKey, knownHosts } = this.#options;
    const shown = fingerprint(blob);
    this.#hostKey = { fingerprint: shown, keyType: keyTypeOf(blob), file: knownHosts.file, verdict };
    if (verdict.verdict === 'revoked') return false; // whatever the command line says of it
    if (hostKeyFingerprint !== undefined) return shown === hostKeyFingerprint;
    return verdict.verdict === 'known' || (verdict.verdict === 'unknown' && acceptNewHostKey);
  }

  #fail(thrown: unknown, measurement: Measurement | null): void {
    if (!(thrown instanceof LoadError)) throw thrown;
    if (thrown.code === 'ABORTED') return;
    const { host, port, user, credentials, hostKeyFingerprint } = this.#options;
    const farEnd = this.#farEnd;
    const advice = adviceFor(thrown, {
      ...{ host, port, user, serverOnThisMachine: this.#onThisMachine, hostKey: this.#hostKey },
      destination: farEnd,
      tried: triedLines(credentials),
      expectedFingerprint: hostKeyFingerprint,
    });
    const { scenario = null, cell = null } = measurement ?? {};
    this.#failures.push({ scenario, cell, code: thrown.code, message: thrown.message, advice: farEnd ? advice : [] });
  }

  #whole(): Report {
    const { host, port, user, scenarios, connections, seconds, destination, signal } = this.#options;
    const agreed = this.#agreed;
    const cores = cpus();
    const interrupted = signal.aborted;
    return {
      schemaVersion: 1,
      ok: this.#failures.length === 0 && !interrupted,
      interrupted,
      startedAt: this.#startedAt,
      target: { host, port, user },
      server:
        agreed === undefined
          ? null
          : {
              software: agreed.server,
              kex: agreed.kex,
              hostKey: agreed.hostKey,
              cipher: agreed.cipher,
              onThisMachine: this.#onThisMachine,
            },
      options: { scenarios, connections, seconds, destination: destination.host },
      client: {
        node: process.version,
        platform: `${type()} ${process.arch}`,
        cores: cores.length,
        cpu: cores[0]?.model.trim() ?? '',
      },
      results: this.#results,
      failures: this.#failures,
      notes: notesFor(this.#onThisMachine, cores.length, this.#results),
    };
  }
}

/** @throws LoadError when nothing ended in time: there is no figure then */
function resultOf(measurement: Measurement, cell: Cell): Result {
  const { scenario, connections, kind } = measurement;
  const { seconds, latenciesMs, bytes } = cell;
  const about = { scenario, cell: measurement.cell, connections, seconds, samples: latenciesMs.length };
  const whole = { ...about, clientCpuShare: cell.clientCpuShare };
  if (latenciesMs.length === 0 && bytes === 0)
    throw new LoadError('STALLED', `nothing was begun and done within ${seconds} s; a larger --seconds may help`);
  if (kind === 'flow') return { ...whole, samples: 0, megabytesPerSecond: bytes / 1e6 / seconds };
  return {
    ...whole,
    perSecond: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
    ...(bytes === 0 ? {} : { megabytesPerSecond: bytes / 1e6 / seconds }),
  };
}

function summary({ perSecond, p50Ms, p99Ms, megabytesPerSecond }: Result): string {
  return [
    ...(perSecond === undefined ? [] : [`${figure(perSecond)} per second`]),
    ...(p50Ms === undefined ? [] : [`p50 ${figure(p50Ms)} ms`]),
    ...(p99Ms === undefined ? [] : [`p99 ${figure(p99Ms)} ms`]),
    ...(megabytesPerSecond === undefined ? [] : [`${figure(megabytesPerSecond)} MB/s`]),
  ].join(', ');
}

/** The work, or what ended it. Work that is left behind ends with its connections, and nobody hears of it. */
async function firstOf(work: Promise<void>, failed: Promise<never>): Promise<void> {
  work.catch(() => {});
  await Promise.race([work, failed]);
}

function isOurs(remoteAddress: string | undefined): boolean {
  if (remoteAddress === undefined) return false;
  const address = normalisePeerAddress(remoteAddress);
  const parsed = parseAddress(address);
  if (parsed !== null && isLoopback(parsed)) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((one) => one.address === address) === true);
}
