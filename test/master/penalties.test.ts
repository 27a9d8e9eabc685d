import fc from 'fast-check';
import t from 'tap';
import { Penalties, type PenaltyRules } from '../../src/master/penalties.js';
import { testConfig } from '../support/test_config.js';

const RULES = testConfig().penalties;
const A = '192.0.2.1';
const B = '2001:db8::/64';
/** No code may take the start of the clock for zero. */
const START = 7_000_000;

function penalties(rules: Partial<PenaltyRules> = {}, maxSources?: number): Penalties {
  return new Penalties({ ...RULES, ...rules }, maxSources);
}

t.test('they add up, and from `min` on the source is refused until all has run off', async (t) => {
  const room = penalties();
  t.equal(room.add(A, 'AUTH_FAIL', START), undefined);
  t.equal(room.add(A, 'AUTH_FAIL', START), undefined);
  t.equal(room.isRefused(A, START), false, '10 s are below 15 s');
  t.equal(room.add(A, 'AUTH_FAIL', START), 15_000, 'refused from here on');
  t.equal(room.isRefused(A, START), true);
  t.equal(room.isRefused(B, START), false, 'and nobody else');
  t.equal(room.isRefused(A, START + 14_999), true, 'also when less than `min` is left');
  t.equal(room.isRefused(A, START + 15_000), false);
  t.equal(room.add(A, 'AUTH_FAIL', START + 15_000), undefined, 'then it begins anew');
});

t.test('each reason has its own', async (t) => {
  const table = [
    ['AUTH_FAIL', 5_000],
    ['NO_AUTH', 1_000],
    ['GRACE_EXCEEDED', 10_000],
  ] as const;
  for (const [reason, ms] of table) t.equal(penalties({ minMs: 0 }).add(A, reason, START), ms, reason);
  t.equal(penalties({ minMs: 0, noAuthMs: 0 }).add(A, 'NO_AUTH', START), undefined, '0 is none');
  t.equal(penalties({ enabled: false, minMs: 0 }).add(A, 'AUTH_FAIL', START), undefined, 'and so is false');
});

t.test('they run off with time: one a second never adds up', async (t) => {
  const room = penalties();
  for (let second = 0; second < 1_000; second++) room.add(A, 'NO_AUTH', START + second * 1_000);
  t.equal(room.isRefused(A, START + 999_000), false);
  t.equal(room.size, 1);
});

t.test('who goes on grows his, up to `max`', async (t) => {
  const room = penalties();
  for (let count = 0; count < 4; count++) room.add(A, 'AUTH_FAIL', START);
  t.equal(room.isRefused(A, START + 19_999), true);
  for (let count = 0; count < 1_000; count++) room.add(A, 'AUTH_FAIL', START);
  t.equal(room.isRefused(A, START + 599_999), true);
  t.equal(room.isRefused(A, START + 600_000), false);
});

t.test('other rules hold for what comes, and off is off', async (t) => {
  const room = penalties();
  for (let count = 0; count < 3; count++) room.add(A, 'AUTH_FAIL', START);
  room.configure({ ...RULES, enabled: false });
  t.equal(room.isRefused(A, START), false);
  room.configure({ ...RULES, authFailMs: 60_000 });
  t.equal(room.isRefused(A, START), true, 'what has been earned runs on');
  t.equal(room.add(B, 'AUTH_FAIL', START), 60_000);
});

t.test('a bounded number of sources: those that end first are forgotten first, the newcomer too', async (t) => {
  const room = penalties({ minMs: 0 }, 3);
  room.add('long', 'GRACE_EXCEEDED', START);
  room.add('middle', 'AUTH_FAIL', START);
  room.add('longer', 'GRACE_EXCEEDED', START + 1_000);
  room.add('short', 'NO_AUTH', START + 1_000);
  t.equal(room.size, 3);
  t.equal(room.isRefused('short', START + 1_000), false, 'a flood of new ones displaces itself');
  room.add('new', 'GRACE_EXCEEDED', START + 2_000);
  t.same(
    ['long', 'middle', 'longer', 'new'].map((source) => room.isRefused(source, START + 2_000)),
    [true, false, true, true],
  );
});

t.test('a source is remembered for a minute after its penalties have run off', async (t) => {
  const room = penalties();
  t.equal(room.remembers(A, START), false);
  room.add(A, 'NO_AUTH', START);
  t.equal(room.remembers(A, START + 60_999), true);
  t.equal(room.remembers(A, START + 61_000), false);
  t.equal(room.remembers(B, START), false);
});

t.test('what has run off takes no room', async (t) => {
  const room = penalties();
  for (let index = 0; index < 1_000; index++) room.add(`source ${index}`, 'NO_AUTH', START + index);
  t.equal(room.size, 1_000);
  room.add(A, 'NO_AUTH', START + 3_600_000);
  t.equal(room.size, 1);
});

t.test('as a list that is searched would say it', async () => {
  const sources = ['a', 'b', 'c', 'd'];
  const step = fc.record({
    source: fc.constantFrom(...sources),
    reason: fc.constantFrom('AUTH_FAIL', 'NO_AUTH', 'GRACE_EXCEEDED'),
    afterMs: fc.nat(20_000),
  });
  const amounts = { AUTH_FAIL: 5_000, NO_AUTH: 1_000, GRACE_EXCEEDED: 10_000 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const room = penalties({ maxMs: 30_000 });
      const model = new Map<string, { endsMs: number; refused: boolean }>();
      let nowMs = START;
      for (const { source, reason, afterMs } of steps) {
        nowMs += afterMs;
        const before = model.get(source);
        const runs = before !== undefined && before.endsMs > nowMs;
        const leftMs = Math.min((runs ? before.endsMs - nowMs : 0) + amounts[reason], 30_000);
        model.set(source, { endsMs: nowMs + leftMs, refused: (runs && before.refused) || leftMs >= 15_000 });
        room.add(source, reason, nowMs);
        for (const name of sources) {
          const { refused = false, endsMs = 0 } = model.get(name) ?? {};
          if (room.isRefused(name, nowMs) !== (refused && endsMs > nowMs)) return false;
        }
      }
      return true;
    }),
  );
});
