import fc from 'fast-check';
import t from 'tap';
import { type Candidate, pick } from '../../src/master/dispatch.js';

const rules = { lateMs: 1000, inFlight: 1 };
const well: Omit<Candidate, 'id'> = {
  ready: true,
  connections: 0,
  inFlight: 0,
  bufferedBytes: 0,
  loopLagMs: 0,
  silentMs: 0,
};
const none: ReadonlySet<number> = new Set();

t.test('who gets the next socket', async (t) => {
  const table: ReadonlyArray<readonly [string, readonly Candidate[], ReadonlySet<number>, number | 'wait' | 'none']> = [
    [
      'fewest connections',
      [
        { ...well, id: 1, connections: 5 },
        { ...well, id: 2, connections: 4 },
      ],
      none,
      2,
    ],
    [
      'equal: fewer bytes queued',
      [
        { ...well, id: 1, bufferedBytes: 9 },
        { ...well, id: 2 },
      ],
      none,
      2,
    ],
    [
      'all equal: the first',
      [
        { ...well, id: 2 },
        { ...well, id: 1 },
      ],
      none,
      1,
    ],
    [
      'a lagging loop counts like more',
      [
        { ...well, id: 1, connections: 9, loopLagMs: 500 },
        { ...well, id: 2, connections: 20 },
      ],
      none,
      2,
    ],
    [
      'a little lag does not',
      [
        { ...well, id: 1, connections: 9, loopLagMs: 50 },
        { ...well, id: 2, connections: 20 },
      ],
      none,
      1,
    ],
    [
      'silent for too long: passed over',
      [
        { ...well, id: 1, silentMs: 1001 },
        { ...well, id: 2, connections: 50 },
      ],
      none,
      2,
    ],
    ['silent just not too long', [{ ...well, id: 1, silentMs: 1000 }], none, 1],
    [
      'one unanswered already: passed over',
      [
        { ...well, id: 1, inFlight: 1 },
        { ...well, id: 2, connections: 50 },
      ],
      none,
      2,
    ],
    [
      'had it already: passed over',
      [
        { ...well, id: 1 },
        { ...well, id: 2, connections: 50 },
      ],
      new Set([1]),
      2,
    ],
    ['not ready yet', [{ ...well, id: 1, ready: false }], none, 'wait'],
    [
      'all busy',
      [
        { ...well, id: 1, inFlight: 1 },
        { ...well, id: 2, silentMs: 2000 },
      ],
      none,
      'wait',
    ],
    ['nobody there: replacements come', [], none, 'wait'],
    [
      'all had it and are well',
      [
        { ...well, id: 1 },
        { ...well, id: 2 },
      ],
      new Set([1, 2]),
      'none',
    ],
    ['all had it, one hangs: its replacement may take it', [{ ...well, id: 1, silentMs: 3000 }], new Set([1]), 'wait'],
  ];
  for (const [what, candidates, tried, expected] of table) {
    const picked = pick(candidates, tried, rules);
    t.equal(picked.kind === 'worker' ? picked.id : picked.kind, expected, what);
  }
});

const candidate = (id: number): fc.Arbitrary<Candidate> =>
  fc.record({
    id: fc.constant(id),
    ready: fc.boolean(),
    connections: fc.nat(100),
    inFlight: fc.nat(1),
    bufferedBytes: fc.nat(1e6),
    loopLagMs: fc.nat(1000),
    silentMs: fc.nat(2000),
  });
const candidates = fc.nat(6).chain((count) => fc.tuple(...Array.from({ length: count }, (_, id) => candidate(id))));

t.test('never one that may not have it, and never nobody while somebody may', async () => {
  fc.assert(
    fc.property(candidates, fc.uniqueArray(fc.nat(5)), (all, had) => {
      const tried = new Set(had);
      const picked = pick(all, tried, rules);
      const may = all.filter((c) => c.ready && c.silentMs <= 1000 && c.inFlight < 1 && !tried.has(c.id));
      if (picked.kind !== 'worker') return may.length === 0;
      return may.some(({ id }) => id === picked.id);
    }),
  );
});

t.test('with loops that run freely the shares differ by one at most', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(60), (workers, sockets) => {
      const held = new Array<number>(workers).fill(0);
      for (let count = 0; count < sockets; count++) {
        const picked = pick(
          held.map((connections, id) => ({ ...well, id, connections })),
          none,
          rules,
        );
        if (picked.kind === 'worker') held[picked.id] = (held[picked.id] ?? 0) + 1;
      }
      return Math.max(...held) - Math.min(...held) <= 1;
    }),
  );
});
