import fc from 'fast-check';
import t from 'tap';
import { decide, dropPercent } from '../../src/master/admission.js';

const limits = {
  connections: 200,
  waiting: 50,
  startupsPerSource: 4,
  startups: { begin: 10, ratePercent: 30, full: 100 },
};
const idle = { draining: false, open: 0, waiting: 0, penalised: false, unauthenticated: 0, ofSource: 0 };

t.test('who is let in, and why not', async (t) => {
  const table = [
    ['an idle server', idle, 0, undefined],
    ['below begin, whatever the chance', { ...idle, unauthenticated: 9 }, 0, undefined],
    ['at begin, unlucky', { ...idle, unauthenticated: 10 }, 0.29, 'STARTUPS'],
    ['at begin, lucky', { ...idle, unauthenticated: 10 }, 0.3, undefined],
    ['just below full, lucky as can be', { ...idle, unauthenticated: 99 }, 0.999, undefined],
    ['at full', { ...idle, unauthenticated: 100 }, 0.999, 'STARTUPS'],
    ['one place left', { ...idle, open: 199 }, 0, undefined],
    ['no descriptor to spare for one that waits', { ...idle, waiting: 50 }, 0, 'AT_CAPACITY'],
    ['no place left', { ...idle, open: 200 }, 0, 'AT_CAPACITY'],
    ["the source's last place", { ...idle, ofSource: 3 }, 0, undefined],
    ["none left of the source's", { ...idle, ofSource: 4 }, 0, 'SOURCE_STARTUPS'],
    ['its own doing comes first', { ...idle, ofSource: 4, unauthenticated: 100 }, 0, 'SOURCE_STARTUPS'],
    ['penalised', { ...idle, penalised: true }, 0.999, 'PENALTY'],
    ['penalised, and no place left', { ...idle, penalised: true, open: 200, ofSource: 4 }, 0, 'PENALTY'],
    [
      'draining comes before all',
      { draining: true, open: 200, waiting: 50, penalised: true, unauthenticated: 100, ofSource: 4 },
      0,
      'DRAINING',
    ],
  ] as const;
  for (const [what, state, random, reason] of table)
    t.match(decide(state, limits, random), reason === undefined ? { admit: true } : { admit: false, reason }, what);
});

t.test('no limit for each source', async (t) => {
  t.same(decide({ ...idle, ofSource: 1_000 }, { ...limits, startupsPerSource: 0 }, 0), { admit: true });
});

t.test('the drop curve rises from 0 to 100 and never falls', async () => {
  const startups = fc
    .tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 500 }))
    .map(([begin, ratePercent, more]) => ({ begin, ratePercent, full: begin + more }));
  fc.assert(
    fc.property(startups, fc.nat(1200), (curve, count) => {
      const here = dropPercent(count, curve);
      return here >= 0 && here <= 100 && here <= dropPercent(count + 1, curve) && (count < curve.full || here === 100);
    }),
  );
});
