import fc from 'fast-check';
import t from 'tap';
import { choosePort } from '../../src/master/port_choice.js';
import type { PortRange } from '../../src/shared/port.js';

t.test('RFC 4254 §7.1: a port for who asks for port 0', async (t) => {
  const free = () => true;
  const table: ReadonlyArray<
    readonly [string, readonly PortRange[], (port: number) => boolean, number, number | undefined]
  > = [
    ['the start of the range', [[2000, 2009]], free, 0, 2000],
    ['the end of it', [[2000, 2009]], free, 0.999, 2009],
    ['goes round', [[2000, 2009]], (port) => port === 2001, 0.5, 2001],
    ['none is free', [[2000, 2009]], () => false, 0.5, undefined],
    ['no range', [], free, 0, undefined],
    ['an empty range', [[9, 1]], free, 0, undefined],
    ['comfortable before ephemeral', [[32_767, 61_000]], (port) => port > 32_767, 0, 61_000],
    ['ephemeral where nothing else is free', [[32_767, 40_000]], (port) => port > 32_767, 0, 32_768],
    ['privileged last', [[1, 1024]], free, 0.9, 1024],
    ['privileged where it must be', [[80, 80]], free, 0.9, 80],
    [
      'out of the wire format',
      [
        [0, 0],
        [65_536, 70_000],
      ],
      free,
      0,
      undefined,
    ],
  ];
  for (const [what, ranges, isFree, random, expected] of table)
    t.equal(choosePort({ ranges, isFree, random }), expected, what);
});

t.test('always a free port of the ranges, and one whenever there is one', async () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 3000 }), fc.nat(20))
    .map(([low, more]): PortRange => [low, low + more]);
  fc.assert(
    fc.property(
      fc.array(range, { maxLength: 4 }),
      fc.nat(7),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (ranges, gap, random) => {
        const isFree = (port: number) => port % 8 === gap;
        const port = choosePort({ ranges, isFree, random });
        if (port !== undefined) return isFree(port) && ranges.some(([low, high]) => port >= low && port <= high);
        for (const [low, high] of ranges) for (let at = low; at <= high; at++) if (isFree(at)) return false;
        return true;
      },
    ),
  );
});
