/** UNITS: durations, sizes and OpenSSH's start-up triple as people write them, and back.
 *  Owns nothing. A bare number is refused: `10` has been read as seconds by one and as milliseconds by the next. */

/** What a text means, or what is wrong with it; `error` completes the sentence "VALUE …". */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** Named in every message about what a duration or a size may be. */
export const DURATION_FORMS = '250ms, 30s, 10m, 1h or 1d';
export const BYTES_FORMS = '512B, 64KiB, 16MiB, 1GiB or 1TiB';

type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd';
type ByteUnit = 'B' | 'KiB' | 'MiB' | 'GiB' | 'TiB';

/** A duration as a program writes it, such as `'30s'`. The compiler knows the units; ranges are judged when it is read. */
export type Duration = `${number}${DurationUnit}`;
/** A size as a program writes it, such as `'16MiB'`. */
export type Bytes = `${number}${ByteUnit}`;
/** BEGIN:RATE:FULL as a program writes it, such as `'10:30:100'`. */
export type StartupsText = `${number}:${number}:${number}`;

const DURATION_UNITS: ReadonlyMap<string, number> = new Map<DurationUnit, number>([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

const BYTE_UNITS: ReadonlyMap<string, number> = new Map<ByteUnit, number>([
  ['B', 1],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

/** `30s` -> 30000. @returns milliseconds, whole and finite */
export function parseDuration(text: string): Parsed<number> {
  return parseWithUnit(text, DURATION_UNITS);
}

/** `16MiB` -> 16777216. Powers of 1024 only: `MB` means two things. @returns bytes, whole and finite */
export function parseBytes(text: string): Parsed<number> {
  return parseWithUnit(text, BYTE_UNITS);
}

/** When unauthenticated connections are dropped at random (OpenSSH's MaxStartups). */
export interface Startups {
  /** Unauthenticated connections up to which none is dropped. */
  readonly begin: number;
  /** Chance to be dropped at `begin`, in percent; it grows in a straight line to 100 at `full`. */
  readonly ratePercent: number;
  /** Unauthenticated connections from which all are dropped. */
  readonly full: number;
}

/** `10:30:100` -> begin 10, rate 30 %, full 100, with the bounds that sshd_config(5) has. */
export function parseStartups(text: string): Parsed<Startups> {
  const [begin, ratePercent, full, ...more] = text.split(':').map(wholeNumber);
  if (begin === undefined || ratePercent === undefined || full === undefined || more.length > 0)
    return { ok: false, error: 'is not BEGIN:RATE:FULL' };
  if (begin < 1 || full > 1_000_000) return { ok: false, error: 'is out of range' };
  if (ratePercent < 1 || ratePercent > 100) return { ok: false, error: 'has a rate that is no percentage' };
  if (begin > full) return { ok: false, error: 'begins above its full' };
  return { ok: true, value: { begin, ratePercent, full } };
}

function wholeNumber(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

function parseWithUnit(text: string, units: ReadonlyMap<string, number>): Parsed<number> {
  const match = /^([0-9]{1,15})(?:\.([0-9]{1,6}))?([A-Za-z]*)$/.exec(text);
  if (match === null) return { ok: false, error: 'is not a number with a unit' };
  const [, whole = '', fraction = '', unit = ''] = match;
  if (unit === '') return { ok: false, error: 'has no unit' };
  const factor = units.get(unit);
  if (factor === undefined) return { ok: false, error: `has an unknown unit ${unit}` };
  // In integers: 1.1 * 1000 is 1100.0000000000002 in binary.
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * BigInt(factor);
  const value = Number(scaled / scale);
  if (scaled % scale !== 0n || !Number.isSafeInteger(value))
    return { ok: false, error: `is not a whole number of ${units.keys().next().value}` };
  return { ok: true, value };
}
