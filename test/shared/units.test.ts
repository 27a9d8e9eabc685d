/** UNITS: what is read, what is refused and that what is written can be read again. */
import fc from 'fast-check';
import t from 'tap';
import { parseBytes, parseDuration, parseStartups } from '../../src/shared/units.js';

t.test('durations', async (t) => {
  const good: ReadonlyArray<readonly [string, number]> = [
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1_500],
    ['1.1s', 1_100],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
  ];
  for (const [text, value] of good) t.same(parseDuration(text), { ok: true, value }, text);
  const bad: ReadonlyArray<readonly [string, string]> = [
    ['10', 'has no unit'],
    ['0', 'has no unit'],
    ['10S', 'has an unknown unit S'],
    ['10min', 'has an unknown unit min'],
    ['0.5ms', 'is not a whole number of ms'],
    ['', 'is not a number with a unit'],
    ['off', 'is not a number with a unit'],
    ['-1s', 'is not a number with a unit'],
    ['1h30m', 'is not a number with a unit'],
    ['10 s', 'is not a number with a unit'],
    ['1e3s', 'is not a number with a unit'],
    ['9999999999999999s', 'is not a number with a unit'],
    ['999999999999999d', 'is not a whole number of ms'],
  ];
  for (const [text, error] of bad) t.same(parseDuration(text), { ok: false, error }, text);
});

t.test('sizes', async (t) => {
  const good: ReadonlyArray<readonly [string, number]> = [
    ['512B', 512],
    ['64KiB', 65_536],
    ['1.5KiB', 1_536],
    ['16MiB', 16_777_216],
    ['1GiB', 1_073_741_824],
    ['1TiB', 1_099_511_627_776],
  ];
  for (const [text, value] of good) t.same(parseBytes(text), { ok: true, value }, text);
  const bad: ReadonlyArray<readonly [string, string]> = [
    ['1048576', 'has no unit'],
    ['16MB', 'has an unknown unit MB'],
    ['16mib', 'has an unknown unit mib'],
    ['0.1B', 'is not a whole number of B'],
    ['999999999999999TiB', 'is not a whole number of B'],
  ];
  for (const [text, error] of bad) t.same(parseBytes(text), { ok: false, error }, text);
});

t.test('startups, as OpenSSH has them', async (t) => {
  t.same(parseStartups('10:30:100'), { ok: true, value: { begin: 10, ratePercent: 30, full: 100 } });
  t.same(parseStartups('5:100:5'), { ok: true, value: { begin: 5, ratePercent: 100, full: 5 } });
  const bad: ReadonlyArray<readonly [string, string]> = [
    ['10', 'is not BEGIN:RATE:FULL'],
    ['10:30', 'is not BEGIN:RATE:FULL'],
    ['10:30:100:1', 'is not BEGIN:RATE:FULL'],
    ['10:x:100', 'is not BEGIN:RATE:FULL'],
    ['0:30:100', 'is out of range'],
    ['10:0:100', 'has a rate that is no percentage'],
    ['10:101:100', 'has a rate that is no percentage'],
    ['101:30:100', 'begins above its full'],
  ];
  for (const [text, error] of bad) t.same(parseStartups(text), { ok: false, error }, text);
});

t.test('no text is too odd', async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const parsed of [parseDuration(text), parseBytes(text)])
        if (parsed.ok && !Number.isSafeInteger(parsed.value)) t.fail(text);
    }),
  );
});
