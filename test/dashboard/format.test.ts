/** FORMAT: numbers, sizes and times read as the page says them, also at the edges where a unit ends. */
import t from 'tap';
import * as format from '../../src/dashboard/format.js';

/** U+00A0 as a blank, for tables that one can read. */
function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}

const KIB = 1_024;
const HOUR_MS = 3_600_000;

const CASES: readonly (readonly [said: string, expected: string])[] = [
  [format.count(0), '0'],
  [format.count(1_234), '1,234'],
  [format.count(20_000), '20,000'],
  [format.count(123_456), '123 k'],
  [format.count(2_500_000), '2.5 M'],
  [format.shortCount(999), '999'],
  [format.shortCount(1_200), '1.2 k'],
  [format.shortCount(999_600), '1 M'],
  [format.bytes(0), '0 B'],
  [format.bytes(1_023), '1,023 B'.replace(',', '')],
  [format.bytes(KIB), '1 KiB'],
  [format.bytes(1_536), '1.5 KiB'],
  [format.bytes(KIB * KIB - 1), '1 MiB'],
  [format.bytes(12.34 * KIB ** 3), '12.3 GiB'],
  [format.bytes(KIB ** 6 * 2_000), '2048000 PiB'],
  [format.rate(undefined), '–'],
  [format.rate(1.25 * KIB * KIB), '1.25 MiB/s'],
  [format.duration(0), '0 s'],
  [format.duration(-5), '0 s'],
  [format.duration(59_999), '59 s'],
  [format.duration(60_000), '1 min'],
  [format.duration(185_000), '3 min 5 s'],
  [format.duration(2 * HOUR_MS + 300_000), '2 h 5 min'],
  [format.duration(76 * HOUR_MS), '3 d 4 h'],
  [format.age(185_000), '3 min'],
  [format.age(76 * HOUR_MS), '3 d'],
  [format.milliseconds(0.44), '0.4 ms'],
  [format.milliseconds(12.3), '12 ms'],
  [format.milliseconds(1_300), '1.3 s'],
  [format.some(1, 'tunnel'), '1 tunnel'],
  [format.some(1_500, 'address', 'addresses'), '1,500 addresses'],
  [format.clientName('SSH-2.0-OpenSSH_9.2p1 Debian-2'), 'OpenSSH_9.2p1 Debian-2'],
  [format.clock(Number.NaN), '–'],
];

t.test('each as it should be read', async (t) => {
  for (const [said, expected] of CASES) t.equal(plain(said), expected);
});

t.test('no unit is broken off its number', async (t) => {
  for (const text of [format.bytes(2_000), format.duration(185_000), format.some(3, 'tunnel')])
    t.notMatch(text, /\d [a-zA-Z]/, text);
});
