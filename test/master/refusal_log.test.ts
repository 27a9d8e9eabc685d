import t from 'tap';
import { RefusalLog } from '../../src/master/refusal_log.js';
import type { AuditEvent } from '../../src/shared/events.js';
import { FakeClock } from '../support/fake_clock.js';

function refusalLog() {
  const clock = new FakeClock();
  const told: Extract<AuditEvent, { event: 'connection.refused' }>[] = [];
  const log = new RefusalLog((event) => told.push(event), clock);
  const sum = (): number => told.reduce((total, { count = 1 }) => total + count, 0);
  return { clock, told, log, sum };
}

t.test('each is a line of its own while they are few', async (t) => {
  const { told, log } = refusalLog();
  log.add({ reason: 'STARTUPS', peer: '192.0.2.1:5000' }, '192.0.2.1');
  log.add({ reason: 'NO_WORKER' }, undefined);
  t.same(told, [
    { event: 'connection.refused', reason: 'STARTUPS', peer: '192.0.2.1:5000' },
    { event: 'connection.refused', reason: 'NO_WORKER' },
  ]);
  t.match(log.counts, { STARTUPS: 1, NO_WORKER: 1, PENALTY: 0 });
});

t.test('a flood is one line a second for each reason, with exact counts', async (t) => {
  const { clock, told, log, sum } = refusalLog();
  for (let index = 0; index < 50; index++) log.add({ reason: 'PENALTY', peer: 'x:1' }, 'x');
  t.equal(told.length, 50);
  for (let index = 0; index < 900; index++) log.add({ reason: 'PENALTY', peer: 'x:1' }, 'x');
  for (let index = 0; index < 90; index++) log.add({ reason: 'PENALTY', peer: 'y:1' }, 'y');
  log.add({ reason: 'STARTUPS', peer: 'z:1' }, 'z');
  t.equal(told.length, 50, 'not yet');
  clock.advance(1_000);
  t.same(told.slice(50), [
    { event: 'connection.refused', reason: 'PENALTY', count: 990, detail: 'x 900, y 90' },
    { event: 'connection.refused', reason: 'STARTUPS', count: 1, detail: 'z 1' },
  ]);
  t.equal(sum(), 1_041);
  t.match(log.counts, { PENALTY: 1_040, STARTUPS: 1 });
  clock.advance(60_000);
  t.equal(told.length, 52, 'and nothing where nothing happened');
  t.equal(clock.pending, 0);
  log.add({ reason: 'PENALTY', peer: 'x:1' }, 'x');
  t.match(told.at(-1), { peer: 'x:1' }, 'then a line of its own again');
});

t.test('the sources that came most are named, and the rest is a number', async (t) => {
  const { clock, told, log, sum } = refusalLog();
  for (let index = 0; index < 20_050; index++) {
    const source = index % 3 === 0 ? 'loud' : `quiet ${index}`;
    log.add({ reason: 'PENALTY', peer: `${source}:1` }, source);
  }
  log.add({ reason: 'PENALTY' }, undefined);
  clock.advance(1_000);
  const { detail } = told[50] ?? {};
  t.match(detail, /^loud \d+, (quiet \d+ 1, ){7}others \d+$/);
  t.equal(sum(), 20_051);
});

t.test('the end tells what is left', async (t) => {
  const { clock, told, log, sum } = refusalLog();
  for (let index = 0; index < 60; index++) log.add({ reason: 'DRAINING', peer: 'x:1' }, 'x');
  log.flush();
  t.equal(sum(), 60);
  t.equal(clock.pending, 0);
  log.flush();
  t.equal(told.length, 51);
});
