/** EXPIRY TIME: the `expiry-time` of an authorized_keys line (sshd(8)): YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z].
 *  Owns nothing. Pure, but for the time zone of this machine, which counts where no Z stands at the end. */

const FORM = /^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?(Z|UTC)?$/i;

/** strptime leaves room for leap seconds; to the clock they are those of the next minute. */
const MOST_SECOND = 61;

/** The moment in wall-clock milliseconds, or null for what is none. A day that its month does not have is none: sshd would take
 *  31 February for 3 March. */
export function parseExpiryTime(text: string): number | null {
  const [, ...parts] = FORM.exec(text) ?? [];
  const zone = parts.pop();
  const [year, month, day, hour = 0, minute = 0, second = 0] = parts.map((part) => Number(part ?? 0));
  if (year === undefined || month === undefined || day === undefined) return null;
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return null;
  if (hour > 23 || minute > 59 || second > MOST_SECOND) return null;
  const atMs =
    zone === undefined
      ? new Date(year, month - 1, day, hour, minute, second).getTime()
      : Date.UTC(year, month - 1, day, hour, minute, second);
  return year >= 1970 && atMs > 0 ? atMs : null;
}

/** sshd compares whole seconds: the key holds through the second that is named. */
export function hasExpired(expiresAtMs: number, nowMs: number): boolean {
  return Math.floor(nowMs / 1_000) > Math.floor(expiresAtMs / 1_000);
}

function daysOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
