/** FORMAT: numbers, sizes and times as the page says them. Owns nothing. Pure, and without a DOM: a test reads the same words.
 *  A unit is never broken off its number (U+00A0). */

const GAP = '\u00a0';
const MISSING = '–';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const COUNT_UNITS = ['', 'k', 'M', 'G'] as const;
const EXACT = new Intl.NumberFormat('en');
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `1,234`; from 100,000 on `123 k`. */
export function count(value: number): string {
  return Math.abs(value) < 100_000 ? EXACT.format(value) : shortCount(value);
}

/** `999`, `1.2 k`, `20 k`: for the axis of a chart. */
export function shortCount(value: number): string {
  const [scaled, unit] = scale(value, 1_000, COUNT_UNITS);
  return unit === '' ? threeDigits(scaled) : `${threeDigits(scaled)}${GAP}${unit}`;
}

/** `0 B`, `1.5 KiB`, `12.3 MiB`. */
export function bytes(value: number): string {
  const [scaled, unit] = scale(value, 1_024, BYTE_UNITS);
  return `${unit === 'B' ? Math.round(scaled) : threeDigits(scaled)}${GAP}${unit}`;
}

/** `1.5 MiB/s`. @param value bytes a second; undefined while it is not known */
export function rate(value: number | undefined): string {
  return value === undefined ? MISSING : `${bytes(value)}/s`;
}

/** The two largest units that are not nothing: `12 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < MINUTE_MS) return unit(Math.max(0, ms) / SECOND_MS, 's');
  if (ms < HOUR_MS) return join(unit(ms / MINUTE_MS, 'min'), unit((ms % MINUTE_MS) / SECOND_MS, 's'));
  if (ms < DAY_MS) return join(unit(ms / HOUR_MS, 'h'), unit((ms % HOUR_MS) / MINUTE_MS, 'min'));
  return join(unit(ms / DAY_MS, 'd'), unit((ms % DAY_MS) / HOUR_MS, 'h'));
}

/** The largest unit alone, for a narrow column: `12 s`, `3 min`, `2 h`, `3 d`. */
export function age(ms: number): string {
  if (ms < MINUTE_MS) return unit(Math.max(0, ms) / SECOND_MS, 's');
  if (ms < HOUR_MS) return unit(ms / MINUTE_MS, 'min');
  return ms < DAY_MS ? unit(ms / HOUR_MS, 'h') : unit(ms / DAY_MS, 'd');
}

/** `0.4 ms`, `12 ms`, `1.3 s`. */
export function milliseconds(ms: number): string {
  if (ms >= SECOND_MS) return `${threeDigits(ms / SECOND_MS)}${GAP}s`;
  return `${ms < 10 ? trimmed(ms, 1) : Math.round(ms)}${GAP}ms`;
}

/** `14:02:11`, in the zone of whoever looks. */
export function clock(unixMs: number): string {
  return Number.isFinite(unixMs) ? new Date(unixMs).toLocaleTimeString('en-GB') : MISSING;
}

/** `1 tunnel`, `3 tunnels`. */
export function some(value: number, one: string, many = `${one}s`): string {
  return `${count(value)}${GAP}${value === 1 ? one : many}`;
}

/** `SSH-2.0-OpenSSH_9.2p1 Debian-2` is `OpenSSH_9.2p1 Debian-2`: the rest is the same for everybody. */
export function clientName(ident: string): string {
  return ident.replace(/^SSH-\d\.\d+-/, '');
}

function scale<U extends string>(value: number, step: number, units: readonly U[]): readonly [number, U | ''] {
  let scaled = value;
  let index = 0;
  // What would be rounded to a whole step is written in the next unit: 1024 KiB is 1 MiB.
  while (index < units.length - 1 && Math.abs(scaled) >= step - 0.5) {
    scaled /= step;
    index += 1;
  }
  return [scaled, units[index] ?? ''];
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  return trimmed(value, size < 10 ? 2 : size < 100 ? 1 : 0);
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

function unit(value: number, name: string): string {
  return `${Math.floor(value)}${GAP}${name}`;
}

function join(first: string, second: string): string {
  return second.startsWith(`0${GAP}`) ? first : `${first} ${second}`;
}
