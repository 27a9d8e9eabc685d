/** TARGETS: what the product promised of its data path, held against a results file. Where each figure stands is named at
 *  the top. Pure. */
import type { Results } from './schema.js';
import { type Figure, Figures, geometricMean } from './stats.js';
import { figure, times } from './text.js';

const OURS = 'sallyport';
const NEW_OPENSSH = 'openssh-new';
const GO = 'go';

const BULK_CIPHERS = ['aes128-gcm', 'chacha20-poly1305'] as const;
const DIRECTIONS = ['up', 'down'] as const;
const ONE_TUNNEL = /, 1 tunnel$/;
const LOGIN: Figure = { scenario: 'login', cell: '16 at a time', metric: 'cpuMsPerLogin' };
const IDLE: Figure = { scenario: 'idle', cell: '2,000 held', metric: 'pssKiBPerConnection' };
const HTTP_RATE: Figure = { scenario: 'http', cell: '64 connections', metric: 'requestsPerSecond' };
const HTTP_P99: Figure = { ...HTTP_RATE, metric: 'p99Ms' };
/** The same connection's flow and another's, up and down. */
const ECHO_P99: readonly Figure[] = ['beside a bulk flow', "beside another user's bulk flow"].flatMap((flow) =>
  DIRECTIONS.map((direction) => ({ scenario: 'echo', cell: `${flow}, ${direction}`, metric: 'p99Microseconds' })),
);
const SCALE_ONE: Figure = { scenario: 'scale', cell: '1 worker', metric: 'loginsPerWorkerCpuSecond' };
const SCALE_TWO: Figure = { ...SCALE_ONE, cell: '2 workers' };
const PRIMARY_SHARE: Figure = { ...SCALE_TWO, metric: 'primaryPercentOfWorkers' };
const LONGPATH: Figure = { scenario: 'longpath', cell: '100 ms, up', metric: 'megabytesPerSecond' };
const STALLED: Figure = { scenario: 'stalled', cell: 'normal windows', metric: 'driftMiB' };
const STALLED_WIDE: Figure = { ...STALLED, cell: 'windows of 4 GiB announced' };

/** "Flat": what the heap of a garbage-collected program moves by itself. */
const FLAT_MIB = 8;

export type Verdict = 'met' | 'MISSED' | 'not measured';

export interface TargetLine {
  readonly target: string;
  readonly wanted: string;
  readonly measured: string;
  readonly verdict: Verdict;
}

export function targets(results: Results): TargetLine[] {
  const figures = new Figures(results);
  const ours = (at: Figure): number | undefined => figures.median(at, OURS);
  const ratio = (at: Figure, base?: string): number | undefined => figures.ratio(at, OURS, base);
  const bulk = (base?: string): Mean => meanOf(bulkCells().map((at) => ratio(at, base)));
  const [old, fresh] = [bulk(), bulk(NEW_OPENSSH)];
  const scaled = divided(ours(SCALE_TWO), ours(SCALE_ONE));
  const idleShare = divided(ours(IDLE), figures.median(IDLE, 'openssh'));

  return [
    line('bulk, server CPU: mean ratio to openssh (geometric; aes128-gcm and chacha20-poly1305, both ways)', [
      atLeast('mean {}', old.mean, 1.4),
      atLeast('lowest {}', old.lowest, 1.05),
    ]),
    line('the same to openssh-new', [atLeast('mean {}', fresh.mean, 1.2)]),
    line('bulk, MB/s through one tunnel: ratio to openssh', [
      atLeast('lowest {}', lowest(wallCells(results).map((at) => ratio(at))), 1),
    ]),
    line('login, server CPU', [
      atLeast('ratio to openssh {}', ratio(LOGIN), 18),
      notAbove('{} ms', ours(LOGIN), figures.median(LOGIN, GO), "go's"),
    ]),
    line('memory per idle connection, 2,000 held', [
      check("{} of openssh's", idleShare, 1 / 60, '<=', times),
      check('{} KiB', ours(IDLE), figures.median(IDLE, GO), '<', figure, "go's"),
    ]),
    line('HTTP through a tunnel, 64 connections', [
      atLeast('requests/s: ratio to openssh {}', ratio(HTTP_RATE), 1.7),
      atLeast('p99: ratio to openssh {}', ratio(HTTP_P99), 8),
    ]),
    line('echo beside a bulk flow, p99', [
      atLeast('lowest ratio to openssh {}', lowest(ECHO_P99.map((at) => ratio(at))), 1),
    ]),
    line('two workers', [
      atLeast('logins per CPU-second of the workers: {} of those with one', scaled, 0.95),
      notAbove("primary {} % of the workers' CPU", ours(PRIMARY_SHARE), 7),
    ]),
    line('long path, 100 ms, client to target', [atLeast('MB/s: ratio to openssh {}', ratio(LONGPATH), 4)]),
    line('200 readers that never read: memory grown while they stand', [
      notAbove('{} MiB', ours(STALLED), FLAT_MIB),
      notAbove('with windows of 4 GiB announced {} MiB', ours(STALLED_WIDE), FLAT_MIB),
    ]),
  ];
}

/** The cells that the CPU target of bulk is the mean of; the chart shows the same. */
export function bulkCells(): Figure[] {
  return BULK_CIPHERS.flatMap((cipher) =>
    DIRECTIONS.map((direction) => ({
      scenario: 'bulk',
      cell: `${cipher} ${direction}, 1 tunnel`,
      metric: 'cpuSecondsPerGB',
    })),
  );
}

export { IDLE, LOGIN };

/** All that is looked for by name. */
export function figuresOfTargets(): Figure[] {
  const single = [
    LOGIN,
    IDLE,
    HTTP_RATE,
    HTTP_P99,
    SCALE_ONE,
    SCALE_TWO,
    PRIMARY_SHARE,
    LONGPATH,
    STALLED,
    STALLED_WIDE,
  ];
  return [...bulkCells(), ...single, ...ECHO_P99];
}

/** Those of which OpenSSH has a figure too. */
function wallCells(results: Results): Figure[] {
  const cells = results.scenarios.find(({ name }) => name === 'bulk')?.cells ?? [];
  return cells
    .filter(({ id, peers }) => ONE_TUNNEL.test(id) && peers.some(({ peer }) => peer === 'openssh'))
    .map(({ id }) => ({ scenario: 'bulk', cell: id, metric: 'megabytesPerSecond' }));
}

interface Check {
  readonly measured: string;
  readonly wanted: string;
  readonly verdict: Verdict;
}

function atLeast(label: string, value: number | undefined, limit: number): Check {
  return check(label, value, limit, '>=', figure);
}

function notAbove(label: string, value: number | undefined, limit: number | undefined, whose?: string): Check {
  return check(label, value, limit, '<=', figure, whose);
}

/** @param label with {} where the figure stands
 *  @param whose the limit, where it is a figure that was measured too */
function check(
  label: string,
  value: number | undefined,
  limit: number | undefined,
  sign: '>=' | '<=' | '<',
  text: (value: number) => string,
  whose?: string,
): Check {
  const shownLimit = whose ?? (limit === undefined ? '?' : text(limit).replace(/\.0+$/, ''));
  const against = whose === undefined || limit === undefined ? '' : ` (${whose}: ${text(limit)})`;
  const wanted = label.replace('{}', `${sign} ${shownLimit}`);
  const measured = `${label.replace('{}', value === undefined ? '?' : text(value))}${against}`;
  if (value === undefined || limit === undefined) return { wanted, measured, verdict: 'not measured' };
  const holds = sign === '>=' ? value >= limit : sign === '<=' ? value <= limit : value < limit;
  return { wanted, measured, verdict: holds ? 'met' : 'MISSED' };
}

/** One missed part is enough, whatever of the others is known. */
function line(target: string, checks: readonly Check[]): TargetLine {
  const verdicts = checks.map(({ verdict }) => verdict);
  const verdict = verdicts.find((v) => v === 'MISSED') ?? verdicts.find((v) => v === 'not measured') ?? 'met';
  const joined = (key: 'wanted' | 'measured'): string => checks.map((check) => check[key]).join('; ');
  const isUnknown = verdicts.every((v) => v === 'not measured');
  return { target, wanted: joined('wanted'), measured: isUnknown ? '-' : joined('measured'), verdict };
}

interface Mean {
  readonly mean: number | undefined;
  readonly lowest: number | undefined;
}

function meanOf(values: readonly (number | undefined)[]): Mean {
  const known = values.filter((value) => value !== undefined);
  const isWhole = known.length === values.length && known.length > 0;
  return { mean: isWhole ? geometricMean(known) : undefined, lowest: lowest(values) };
}

/** undefined when one of them is unknown: it could be the lowest. */
function lowest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === values.length && known.length > 0 ? Math.min(...known) : undefined;
}

function divided(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}
