/** HTTP LOAD: autocannon, with a clock and percentiles of our own: its histogram knows whole milliseconds, and its run
 *  includes the opening of the connections. Owns the run. */
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';
import { percentile } from '../../src/load/percentiles.js';
import { VerificationFailed } from '../types.js';
import { BODY } from './http_page.js';
import { cpuSeconds } from './process_tree.js';

export interface HttpLoad {
  readonly port: number;
  readonly connections: number;
  /** Counted from when each connection has been answered once. */
  readonly durationMs: number;
  readonly signal: AbortSignal;
  /** Of the server whose CPU time is asked for. */
  readonly roots: readonly number[];
}

export interface HttpFigures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMicrosecondsPerRequest: number;
  readonly [name: string]: number;
}

const ALL_ANSWERED_WITHIN_MS = 30_000;
/** autocannon looks at its end only this often. */
const SAMPLE_MS = 50;

/** @throws VerificationFailed when any answer is not the page, or missing */
export async function requestAll({ port, connections, durationMs, signal, roots }: HttpLoad): Promise<HttpFigures> {
  let ended = (_: autocannon.Result | Error): void => {};
  const whole = new Promise<autocannon.Result | Error>((resolve) => {
    ended = resolve;
  });
  const run = autocannon(
    {
      url: `http://127.0.0.1:${port}`,
      connections,
      duration: (ALL_ANSWERED_WITHIN_MS + durationMs) / 1000, // it is stopped before
      expectBody: BODY,
      sampleInt: SAMPLE_MS,
    },
    (error: Error | null, result: autocannon.Result) => ended(error ?? result),
  );
  let latenciesMs: number[] | null = null; // null: outside the measured time
  const answered = new Set<autocannon.Client>();
  const allAnswered = new Promise<void>((resolve) => {
    run.on('response', (client, _status, _bytes, latencyMs) => {
      latenciesMs?.push(latencyMs);
      if (answered.size === connections) return;
      answered.add(client);
      if (answered.size === connections) resolve();
    });
  });
  const over = new AbortController();
  const abort = (): void => over.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: over.signal });
  try {
    const open = await Promise.race([allAnswered.then(() => true), pause(ALL_ANSWERED_WITHIN_MS).then(() => false)]);
    if (!open) throw new VerificationFailed(`${answered.size} of ${connections} connections were answered at all`);
    const measured: number[] = [];
    const cpuBefore = cpuSeconds(roots);
    const startedMs = performance.now();
    latenciesMs = measured;
    await Promise.race([pause(durationMs), whole]);
    latenciesMs = null;
    const seconds = (performance.now() - startedMs) / 1000;
    const cpu = cpuSeconds(roots) - cpuBefore;
    run.stop();
    requireClean(await whole);
    if (measured.length === 0) throw new VerificationFailed('no answer came within the measured time');
    return {
      requestsPerSecond: measured.length / seconds,
      p50Ms: percentile(measured, 50),
      p99Ms: percentile(measured, 99),
      cpuMicrosecondsPerRequest: (cpu * 1e6) / measured.length,
    };
  } finally {
    signal.removeEventListener('abort', abort);
    over.abort();
    run.stop();
    await whole;
  }
}

function requireClean(result: autocannon.Result | Error): void {
  if (result instanceof Error) throw result;
  const { errors, timeouts, mismatches, non2xx, resets } = result;
  if (errors + timeouts + mismatches + non2xx + resets === 0) return;
  throw new VerificationFailed(
    `${errors} errors (${timeouts} of them timeouts), ${mismatches} wrong bodies, ${non2xx} answers that are not 2xx`,
  );
}
