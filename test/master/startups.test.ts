import t from 'tap';
import { Startups } from '../../src/master/startups.js';
import type { ConnId } from '../../src/shared/ipc.js';

const A = { name: '192.0.2.1', exempt: false };
const B = { name: '192.0.2.2', exempt: false };
const LOCAL = { name: '127.0.0.1', exempt: true };
const id = (value: number): ConnId => value as ConnId;

t.test('counted by source and by standing, until they end', async (t) => {
  const room = new Startups();
  room.begin(id(1), { source: A, standing: 'stranger' });
  room.begin(id(2), { source: A, standing: 'stranger' });
  room.begin(id(3), { source: LOCAL, standing: 'exempt' });
  t.same([room.ofSource(A), room.ofSource(B), room.ofSource(LOCAL)], [2, 0, 1]);
  t.same([room.ofStanding('stranger'), room.ofStanding('known'), room.ofStanding('exempt')], [2, 0, 1]);
  t.same(room.end(id(1)), { source: A, standing: 'stranger' });
  t.equal(room.end(id(1)), undefined, 'once');
  t.equal(room.end(id(9)), undefined);
  t.same([room.ofSource(A), room.ofStanding('stranger'), room.size], [1, 1, 2]);
  room.end(id(2));
  room.end(id(3));
  t.same([room.ofSource(A), room.ofSource(LOCAL), room.size], [0, 0, 0]);
});

t.test('who has logged in is known, and counted as what he was when he came', async (t) => {
  const room = new Startups();
  t.equal(room.standingOf(A, false), 'stranger');
  room.begin(id(1), { source: A, standing: room.standingOf(A, false) });
  room.know(A);
  t.equal(room.standingOf(A, false), 'known');
  t.equal(room.ofStanding('stranger'), 1);
  room.end(id(1));
  t.same([room.ofStanding('stranger'), room.ofStanding('known')], [0, 0]);
  room.forget(A);
  t.equal(room.standingOf(A, false), 'stranger');
});

t.test('a suspect has another start-up under way, or has earned a penalty; who is known is none', async (t) => {
  const room = new Startups();
  t.equal(room.standingOf(A, true), 'suspect');
  room.begin(id(1), { source: A, standing: 'stranger' });
  t.same([room.standingOf(A, false), room.standingOf(B, false)], ['suspect', 'stranger']);
  room.know(A);
  t.equal(room.standingOf(A, true), 'known');
});

t.test('exempt is exempt, whatever else', async (t) => {
  const room = new Startups();
  room.know(LOCAL);
  t.same([room.standingOf(LOCAL, true), room.known], ['exempt', 0]);
});

t.test('a bounded number is known: who was away longest is forgotten', async (t) => {
  const room = new Startups(2);
  const c = { name: '192.0.2.3', exempt: false };
  room.know(A);
  room.know(B);
  room.know(A);
  room.know(c);
  t.same(
    [A, B, c].map((source) => room.standingOf(source, false)),
    ['known', 'stranger', 'known'],
  );
  t.equal(room.known, 2);
});
