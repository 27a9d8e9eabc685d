/** QUANTITIES: numbers, sizes and times as `top` says them, in few cells. Owns nothing. Pure. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `0 B`, `1.50 KiB`, `12.3 MiB`. */
export function size(bytes: number): string {
  const [digits, unit] = scaled(bytes);
  return `${digits} ${unit}`;
}

/** The same for a column: `0`, `1.50K`, `12.3M`; at most five cells. */
export function shortSize(bytes: number): string {
  const [digits, unit] = scaled(bytes);
  return unit === 'B' ? digits : `${digits}${unit[0]}`;
}

/** Bytes a second, or undefined while that is not known. */
export function rate(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? '-' : `${size(bytesPerSecond)}/s`;
}

export function shortRate(bytesPerSecond: number | undefined): string {
  return bytesPerSecond === undefined ? '-' : shortSize(bytesPerSecond);
}

/** The two largest units: `45s`, `3m05s`, `2h05m`, `3d04h`. */
export function age(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.floor(Math.max(0, ms) / 1_000)}s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)}m${two((ms % MINUTE_MS) / 1_000)}s`;
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)}h${two((ms % HOUR_MS) / MINUTE_MS)}m`;
  return `${Math.floor(ms / DAY_MS)}d${two((ms % DAY_MS) / HOUR_MS)}h`;
}

/** `1 tunnel`, `3 tunnels`. */
export function some(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, '0');
}

/** Three digits and their unit; what would be rounded to 1000 is written in the next. */
function scaled(bytes: number): readonly [digits: string, unit: string] {
  let [value, index] = [bytes, 0];
  while (value >= 999.5 && index < UNITS.length - 1) {
    value /= 1_024;
    index += 1;
  }
  const digits = index === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return [value.toFixed(digits), UNITS[index] ?? ''];
}
