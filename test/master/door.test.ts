import t from 'tap';
import { Door, type Verdict } from '../../src/master/door.js';
import type { AuditEvent } from '../../src/shared/events.js';
import type { ConnId } from '../../src/shared/ipc.js';
import { FakeClock } from '../support/fake_clock.js';
import { testConfig } from '../support/test_config.js';

const AT = { name: '127.0.0.1:0', address: '127.0.0.1', port: 2222 };
const HOUSE = { draining: false, open: 0, waiting: 0 };

class Scene {
  readonly clock = new FakeClock();
  readonly heard: AuditEvent[] = [];
  readonly door: Door;
  #lastId = 0;

  constructor(config: Readonly<Record<string, unknown>> = {}) {
    this.door = new Door({
      config: testConfig(config),
      maxWaiting: 10,
      event: (event) => this.heard.push(event),
      clock: this.clock,
      random: () => 0, // whoever may be dropped is
    });
  }

  knock(address: string): Verdict {
    return this.door.admit({ address, port: 5000 }, HOUSE, AT);
  }
  /** The reason of the refusal, or undefined. */
  refused(address: string): string | undefined {
    if (this.knock(address).admit) return undefined;
    this.door.close(); // what has been told as a number is told now
    const last = this.heard.at(-1);
    return last?.event === 'connection.refused' ? last.reason : 'not told';
  }
  enter(address: string): ConnId {
    const verdict = this.knock(address);
    if (!verdict.admit) throw new Error(`${address} was refused`);
    const id = ++this.#lastId as ConnId;
    this.door.begins(id, verdict.startup);
    return id;
  }
  logIn(address: string, user = 'alice'): void {
    const id = this.enter(address);
    this.door.loggedIn(id, user);
    this.door.ended(id);
  }
}

t.test('penalties: three failed logins, and the source is refused for its time', async (t) => {
  const s = new Scene();
  for (let count = 0; count < 3; count++) {
    t.equal(s.refused('192.0.2.1'), undefined);
    s.door.ended(s.enter('192.0.2.1'), 'AUTH_FAIL');
  }
  t.same(s.heard, [{ event: 'source.penalised', source: '192.0.2.1', reason: 'AUTH_FAIL', durationMs: 15_000 }]);
  t.same(s.knock('192.0.2.1'), { admit: false, lastWords: 'Not allowed at this time\r\n' });
  t.match(s.heard.at(-1), { event: 'connection.refused', reason: 'PENALTY', peer: '192.0.2.1:5000' });
  t.equal(s.refused('192.0.2.2'), undefined, 'its neighbour is not');
  s.clock.advance(15_000);
  t.equal(s.refused('192.0.2.1'), undefined);
  t.match(s.door.status(), { refused: { PENALTY: 1 } });
});

t.test('a /64 of IPv6 is one source', async (t) => {
  const s = new Scene();
  for (const host of ['1', '2:3', 'ffff']) s.door.ended(s.enter(`2001:db8::${host}`), 'AUTH_FAIL');
  t.match(s.heard, [{ event: 'source.penalised', source: '2001:db8::/64' }]);
  t.equal(s.refused('2001:db8::77'), 'PENALTY');
  t.equal(s.refused('2001:db8:0:1::77'), undefined);
});

t.test(
  "no penalty: a login, an end that is not the peer's doing, an exempt source, penalties that are off",
  async (t) => {
    const s = new Scene({ penalties: { min: '0s', exempt: ['198.51.100.0/24'] } });
    s.logIn('192.0.2.1');
    s.door.ended(s.enter('192.0.2.1'));
    s.door.ended(s.enter('198.51.100.1'), 'AUTH_FAIL');
    t.equal(s.door.status().suspects, 0);
    const off = new Scene({ penalties: false });
    off.door.ended(off.enter('192.0.2.1'), 'AUTH_FAIL');
    t.equal(off.refused('192.0.2.1'), undefined);
  },
);

t.test('start-ups of one source', async (t) => {
  const s = new Scene({ limits: { startups: '100:100:100', startupsPerSource: 2 } });
  s.enter('192.0.2.1');
  const second = s.enter('192.0.2.1');
  t.same(s.knock('192.0.2.1'), { admit: false, lastWords: 'Exceeded MaxStartups\r\n' });
  t.equal(s.refused('192.0.2.1'), 'SOURCE_STARTUPS');
  t.equal(s.refused('192.0.2.2'), undefined);
  s.door.loggedIn(second, 'alice');
  t.equal(s.refused('192.0.2.1'), undefined, 'a login makes room');
  s.door.turnedAway(s.enter('192.0.2.1'), 'NO_WORKER', { address: '192.0.2.1', port: 5000 });
  t.match(s.heard.at(-1), { event: 'connection.refused', reason: 'NO_WORKER', peer: '192.0.2.1:5000', conn: 3 });
  s.door.ended(s.enter('192.0.2.1'));
  for (let count = 0; count < 20; count++) s.enter('127.0.0.1');
  t.pass('exempt sources have no such limit, and their start-ups are not counted with the others');
});

t.test('start-ups are counted apart: a flood of strangers drops neither the known nor the exempt', async (t) => {
  const s = new Scene({ limits: { startups: '2:100:2' } });
  s.logIn('192.0.2.1');
  s.clock.advance(1_000);
  s.enter('203.0.113.1');
  s.enter('203.0.113.2');
  t.equal(s.refused('203.0.113.3'), 'STARTUPS');
  s.enter('192.0.2.1');
  s.enter('127.0.0.1');
  s.enter('127.0.0.1');
  t.equal(s.refused('127.0.0.1'), 'STARTUPS', 'the curve holds for them too, among themselves');
  s.enter('192.0.2.1');
  s.enter('192.0.2.1');
  t.equal(s.refused('192.0.2.1'), 'STARTUPS');
});

t.test('one user with many sources does not take the places of others who are known', async (t) => {
  const s = new Scene({ limits: { startups: '10:100:100', startupsPerSource: 10 } });
  s.logIn('192.0.2.1');
  const sources = Array.from({ length: 12 }, (_, index) => `2001:db8:0:${index + 1}::1`);
  for (const source of sources) s.logIn(source, 'mallory');
  for (let round = 0; round < 10; round++) for (const source of sources) if (s.knock(source).admit) s.enter(source);
  t.equal(s.refused('192.0.2.1'), undefined);
  s.enter('192.0.2.1');
  t.equal(s.refused('192.0.2.1'), 'STARTUPS', 'a second one at the same time is among the second ones of all');
});

t.test(
  'suspects are counted apart from strangers: who holds several, and who has earned a penalty lately',
  async (t) => {
    const s = new Scene({ limits: { startups: '2:100:2' } });
    s.enter('203.0.113.1'); // a stranger
    s.enter('203.0.113.1'); // and a suspect
    s.enter('203.0.113.1');
    t.equal(s.refused('203.0.113.1'), 'STARTUPS', 'no more of suspects');
    s.door.ended(s.enter('203.0.113.2'), 'NO_AUTH');
    t.equal(s.refused('203.0.113.2'), 'STARTUPS', 'it is one of them now');
    s.clock.advance(1_500);
    t.equal(s.refused('203.0.113.2'), 'STARTUPS', 'also when its penalty has run off');
    t.equal(s.refused('203.0.113.3'), undefined, 'a stranger is let in');
    s.clock.advance(60_000);
    t.equal(s.refused('203.0.113.2'), undefined, 'and it is a stranger again');
  },
);

t.test('strangers begin at a bounded pace, however quick they are', async (t) => {
  const s = new Scene({ limits: { startups: '20:100:20' } });
  s.logIn('192.0.2.1');
  for (let host = 1; host < 20; host++) s.door.ended(s.enter(`203.0.113.${host}`), 'NO_AUTH');
  t.equal(s.refused('203.0.113.77'), 'STARTUPS');
  t.equal(s.refused('192.0.2.1'), undefined, 'who is known may come at any time');
  t.equal(s.refused('127.0.0.1'), undefined);
  s.clock.advance(1_000);
  t.equal(s.refused('203.0.113.77'), undefined);
});

t.test('who is penalised is known no longer', async (t) => {
  const s = new Scene();
  s.logIn('192.0.2.1');
  t.equal(s.door.status().known, 1);
  for (let count = 0; count < 3; count++) s.door.ended(s.enter('192.0.2.1'), 'AUTH_FAIL');
  t.equal(s.door.status().known, 0);
});

t.test('another config holds for who comes then', async (t) => {
  const s = new Scene({ limits: { startupsPerSource: 1 } });
  s.enter('192.0.2.1');
  for (let count = 0; count < 3; count++) s.door.ended(s.enter('192.0.2.9'), 'AUTH_FAIL');
  t.equal(s.refused('192.0.2.1'), 'SOURCE_STARTUPS');
  s.door.configure(testConfig({ limits: { startupsPerSource: 2 }, penalties: { exempt: ['198.51.100.1'] } }));
  t.equal(s.refused('192.0.2.1'), undefined);
  t.equal(s.refused('192.0.2.9'), 'PENALTY', 'what was earned runs on');
  s.door.configure(testConfig({ penalties: { exempt: ['192.0.2.9'] } }));
  t.equal(s.refused('192.0.2.9'), undefined, 'unless its source is exempt now');
});

t.test('a house that is full or drained says nothing', async (t) => {
  const s = new Scene({ limits: { connections: 5 } });
  const peer = { address: '192.0.2.1', port: 5000 };
  t.same(s.door.admit(peer, { ...HOUSE, open: 5 }, AT), { admit: false, lastWords: undefined });
  t.same(s.door.admit(peer, { ...HOUSE, draining: true }, AT), { admit: false, lastWords: undefined });
  t.match(s.door.status().refused, { AT_CAPACITY: 1, DRAINING: 1 });
});

t.test('a proxy has no start-ups and no penalties of its own, whatever it brings', async (t) => {
  const s = new Scene({
    listen: [{ address: '127.0.0.1:0', proxyProtocol: { from: ['192.0.2.1'] } }],
    limits: { startupsPerSource: 2, startups: '1:100:2' },
    penalties: { min: '0s' },
  });
  const ids = Array.from({ length: 20 }, () => s.enter('192.0.2.1'));
  for (const id of ids) t.ok(s.door.isUnnamed(id));
  const [itself] = ids;
  if (itself !== undefined) {
    s.door.named(itself);
    t.notOk(s.door.isUnnamed(itself), 'one that comes for itself has said so');
  }
  for (const id of ids) s.door.ended(id, 'AUTH_FAIL');
  for (const id of ids) t.notOk(s.door.isUnnamed(id), 'nothing is left of it');
  t.equal(s.refused('192.0.2.1'), undefined);
  t.same(s.heard, []);
  t.same(s.door.admit({ address: '192.0.2.1', port: 1 }, { ...HOUSE, draining: true }, AT), {
    admit: false,
    lastWords: undefined,
  });
  const brought = s.door.admit({ address: '192.0.2.1', port: 1 }, HOUSE, null);
  t.match(brought, { admit: true, proxied: false }, 'whom a proxy has brought is none');
  s.door.configure(testConfig({ limits: { startups: '1:100:2' } }));
  t.notOk(s.door.isUnnamed(s.enter('192.0.2.1')), 'nor is it one by another config');
});
