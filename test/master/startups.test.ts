import t from 'tap';
import { KNOWN_PER_USER, Startups } from '../../src/master/startups.js';
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
  room.know(A, 'ann');
  t.same([room.standingOf(A, false), room.ofStanding('stranger')], ['busy', 1], 'the one under way is its own');
  room.end(id(1));
  t.same([room.standingOf(A, false), room.ofStanding('stranger'), room.ofStanding('known')], ['known', 0, 0]);
  room.forget(A);
  t.equal(room.standingOf(A, false), 'stranger');
});

t.test('a suspect has another start-up under way, or has earned a penalty; who is known is none', async (t) => {
  const room = new Startups();
  t.equal(room.standingOf(A, true), 'suspect');
  room.begin(id(1), { source: A, standing: 'stranger' });
  t.same([room.standingOf(A, false), room.standingOf(B, false)], ['suspect', 'stranger']);
  room.know(A, 'ann');
  t.equal(room.standingOf(A, true), 'busy');
  room.end(id(1));
  t.equal(room.standingOf(A, true), 'known');
});

t.test('exempt is exempt, whatever else', async (t) => {
  const room = new Startups();
  room.know(LOCAL, 'ann');
  t.same([room.standingOf(LOCAL, true), room.known], ['exempt', 0]);
});

t.test('a bounded number is known: who was away longest is forgotten', async (t) => {
  const room = new Startups(2);
  const c = { name: '192.0.2.3', exempt: false };
  room.know(A, 'ann');
  room.know(B, 'ann');
  room.know(A, 'ann');
  room.know(c, 'ann');
  t.same(
    [A, B, c].map((source) => room.standingOf(source, false)),
    ['known', 'stranger', 'known'],
  );
  t.equal(room.known, 2);
});

t.test('a user makes a bounded number of sources known, and takes none from others', async (t) => {
  const room = new Startups();
  const sources = Array.from({ length: KNOWN_PER_USER + 1 }, (_, host) => ({ name: `192.0.2.${host}`, exempt: false }));
  const [first, second] = sources;
  if (first === undefined || second === undefined) throw new Error('too few');
  room.know(first, 'ben');
  for (const source of sources) room.know(source, 'ann');
  t.same([room.known, room.standingOf(first, false)], [KNOWN_PER_USER + 1, 'known'], 'ben has been there too');
  room.know(first, 'ann');
  t.same([room.known, room.standingOf(second, false)], [KNOWN_PER_USER, 'stranger']);
  for (const source of sources) room.forget(source);
  t.equal(room.known, 0);
});
