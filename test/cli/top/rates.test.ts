/** RATES: bytes a second are of what two looks differ in and the time that passed, or they are not known. */
import t from 'tap';
import { pastRates, ratesBetween } from '../../../src/cli/top/rates.js';
import { connection, forward, look, tunnel } from '../../support/looks.js';

const BEFORE = look(1_000, {
  status: { bytesIn: 1_000, bytesOut: 0 },
  connections: [connection(1, 'ana', { bytesIn: 500, tunnels: [tunnel(0, 'a:1', { bytesIn: 500 })] })],
});

t.test('by the time that really passed, by connection and by tunnel', async (t) => {
  const { server, of } = ratesBetween(
    BEFORE,
    look(3_500, {
      status: { bytesIn: 6_000, bytesOut: 250 },
      connections: [connection(1, 'ana', { bytesIn: 3_000, tunnels: [tunnel(0, 'a:1', { bytesIn: 1_750 })] })],
    }),
  );
  t.same(server, { in: 2_000, out: 100 });
  t.same(of.get('c1'), { in: 1_000, out: 0 });
  t.same(of.get('t1.0'), { in: 500, out: 0 });
});

t.test('who came since has moved all of it since; whom the list did not have before is not known', async (t) => {
  const young = connection(2, 'bo', { bytesOut: 4_000, ageMs: 900 });
  const hidden = connection(3, 'cy', { bytesOut: 4_000, ageMs: 90_000 });
  const { of } = ratesBetween(BEFORE, look(3_000, { status: { bytesIn: 1_000 }, connections: [young, hidden] }));
  t.same(of.get('c2'), { in: 0, out: 2_000 });
  t.equal(of.get('c3'), undefined);
});

t.test('not known: the first look, another server, no time, a counter that fell', async (t) => {
  const next = { status: { bytesIn: 2_000 }, connections: [connection(1, 'ana', { bytesIn: 900 })] };
  t.equal(ratesBetween(undefined, BEFORE).server, undefined);
  t.equal(ratesBetween(BEFORE, look(1_000, next)).server, undefined);
  const restarted = look(2_000, { ...next, status: { bytesIn: 2_000, startedAt: '2026-02-01T00:00:00.000Z' } });
  t.equal(ratesBetween(BEFORE, restarted).server, undefined);
  t.equal(ratesBetween(BEFORE, restarted).of.size, 0, 'its connection 1 is another one');
  const fell = ratesBetween(BEFORE, look(2_000, { ...next, connections: [connection(1, 'ana', { bytesIn: 1 })] }));
  t.equal(fell.of.get('c1'), undefined);
});

t.test('a list that the look before did not ask for has no rates yet', async (t) => {
  const { of } = ratesBetween(
    BEFORE,
    look(2_000, { forwards: [forward(1, 'ana', '*:80', { ageMs: 10, bytesIn: 9 })] }),
  );
  t.equal(of.size, 0);
});

t.test('the past of a server, out of its samples; one that fell is left out', async (t) => {
  const rates = pastRates([
    [0, 1, 1, 0, 0],
    [1_000, 1, 1, 100, 10],
    [3_000, 1, 1, 500, 10],
    [4_000, 1, 1, 0, 0],
    [5_000, 1, 1, 7, 0],
  ]);
  t.same(rates, [
    { in: 100, out: 10 },
    { in: 200, out: 0 },
    { in: 7, out: 0 },
  ]);
});
