import fc from 'fast-check';
import t from 'tap';
import { type LeaseOutcome, Ledger } from '../../src/master/ledger.js';
import type { ConnId, LeaseTarget } from '../../src/shared/ipc.js';

const id = (value: number): ConnId => value as ConnId;
const peer = { address: '127.0.0.1', port: 5000 };
const port = (value: number, ranges: readonly (readonly [number, number])[] = [], except: readonly number[] = []) =>
  ({ kind: 'tcp', host: '', port: value, portRanges: ranges, except }) satisfies LeaseTarget;
const granted = (value: number): LeaseOutcome => ({ kind: 'answer', answer: { ok: true, port: value } });
const refused = (reason: 'LIMIT' | 'TAKEN' | 'NO_FREE_PORT' | 'DRAINING'): LeaseOutcome => ({
  kind: 'answer',
  answer: { ok: false, reason },
});

/** Connections 1, 2 of worker 1 and 3 of worker 2. */
function ledger(): Ledger {
  const made = new Ledger({ random: () => 0 });
  for (const [conn, worker] of [
    [1, 1],
    [2, 1],
    [3, 2],
  ] as const) {
    made.accept(id(conn), peer, 0);
    made.assign(id(conn), worker);
  }
  return made;
}

t.test('connections: counted from accept to closed, by worker', async (t) => {
  const made = ledger();
  made.accept(id(4), peer, 7);
  t.equal(made.assign(id(4), 2), true);
  t.equal(made.assign(id(4), 1), false, 'a connection changes its worker never');
  t.equal(made.assign(id(99), 1), false);
  t.match([made.size, made.held(1), made.held(2)], [4, 2, 2]);
  t.match(made.closed(id(4)), { connection: { id: 4, sinceMs: 7, worker: 2 }, leases: [] });
  t.equal(made.closed(id(4)), undefined, 'closed once');
  t.match([made.size, made.held(2)], [3, 1]);
});

t.test('login: a limit per user, across workers', async (t) => {
  const made = ledger();
  t.same(made.login(id(1), 'alice', 2), { ok: true, port: 0 });
  t.same(made.login(id(1), 'alice', 1), { ok: true, port: 0 }, 'the same connection again costs nothing');
  t.same(made.login(id(3), 'alice', 2), { ok: true, port: 0 });
  t.same(made.login(id(2), 'alice', 2), { ok: false, reason: 'LIMIT' });
  t.same(made.login(id(2), 'bob', 2), { ok: true, port: 0 }, 'another user is not touched');
  made.closed(id(3));
  t.same(made.login(id(2), 'alice', 2), { ok: true, port: 0 }, 'RFC 4252 §5: the name may change');
  t.same([made.usage('alice').connections, made.usage('bob').connections], [2, 0]);
  t.same(made.login(id(3), 'alice', 9), { ok: false, reason: 'DRAINING' }, 'a closed connection is never counted');
  t.same(made.login(id(1), 'zed', 0), { ok: false, reason: 'LIMIT' });
});

t.test('what comes with a worker of an earlier primary counts like what was asked for here', async (t) => {
  const made = ledger();
  const key = { kind: 'tcp', port: 2000 } as const;
  const lease = { key, target: { kind: 'tcp', host: '', port: 2000 }, user: 'alice' } as const;
  made.adopt(id(10), 3, 5, { id: id(1), peer, user: 'alice', leases: [lease] });
  made.adopt(id(11), 3, 5, { id: id(2), peer, user: null, leases: [] });
  t.match([made.size, made.held(3)], [5, 2]);
  t.same(made.usage('alice'), { connections: 1, forwards: 1 });
  t.same(made.login(id(1), 'alice', 1), { ok: false, reason: 'LIMIT' });
  t.same(made.lease(id(1), 'bob', 9, port(2000)), refused('TAKEN'), 'another user');
  t.same(made.lease(id(1), 'alice', 9, port(2000)), { kind: 'probe', holder: 10, worker: 3 }, 'the same user');
  t.match(made.closed(id(10)), { leases: [{ key }] });
  t.same(made.usage('alice'), { connections: 0, forwards: 0 });
  t.same(made.lease(id(1), 'bob', 9, port(2000)), granted(2000));
});

t.test(
  'what was granted once more before its holder came: both hold it, and it is free when both have let go',
  async (t) => {
    const key = { kind: 'tcp', port: 2000 } as const;
    const lease = { key, target: { kind: 'tcp', host: '', port: 2000 }, user: 'alice' } as const;
    const held = { id: id(1), peer, user: 'alice', leases: [lease, lease] };
    for (const order of ['the new one first', 'the old one first']) {
      const made = ledger();
      t.same(made.lease(id(1), 'bob', 9, port(2000)), granted(2000));
      t.match(made.adopt(id(10), 3, 5, held), [{ lease: { holder: 10 }, others: [{ holder: 1, user: 'bob' }] }]);
      t.same([made.usage('alice').forwards, made.usage('bob').forwards], [1, 1], 'it counts for both');
      t.same([...made.leases()].length, 2);
      const [first, last] = order === 'the new one first' ? [1, 10] : [10, 1];
      t.match(made.release(id(first), key), { holder: first });
      t.equal(made.release(id(first), key), undefined, 'once');
      for (const user of ['alice', 'bob', 'carol'])
        if (user !== (last === 1 ? 'bob' : 'alice'))
          t.same(made.lease(id(3), user, 9, port(2000)), refused('TAKEN'), order);
      t.match(made.closed(id(last)), { leases: [{ holder: last }] });
      t.same(made.lease(id(3), 'carol', 9, port(2000)), granted(2000));
      t.same([made.usage('alice').forwards, made.usage('bob').forwards], [0, 0]);
    }
    const made = ledger();
    made.lease(id(1), 'bob', 9, port(2000));
    made.adopt(id(10), 3, 5, held);
    t.same(
      made.lease(id(3), 'bob', 9, port(2000)),
      refused('TAKEN'),
      'nobody is asked to make room while another has it too',
    );
    made.release(id(1), key);
    t.match(made.lease(id(3), 'alice', 9, port(2000)), { kind: 'probe', holder: 10, worker: 3 });
  },
);

t.test('names of the language are users like any other', async (t) => {
  for (const user of ['__proto__', 'constructor', 'toString', '']) {
    const made = ledger();
    t.same(made.usage(user), { connections: 0, forwards: 0 });
    t.same(made.login(id(1), user, 1), { ok: true, port: 0 });
    t.same(made.login(id(2), user, 1), { ok: false, reason: 'LIMIT' });
    t.same(made.lease(id(1), user, 1, port(2000)), granted(2000));
  }
});

t.test('lease: by port whatever the host; the same user may be asked for, another never gets it', async (t) => {
  const made = ledger();
  t.same(made.lease(id(1), 'alice', 5, port(2000)), granted(2000));
  t.same(made.lease(id(3), 'bob', 5, { ...port(2000), host: '127.0.0.2' }), refused('TAKEN'));
  t.same(made.lease(id(1), 'alice', 5, port(2000)), refused('TAKEN'), 'the same connection');
  t.same(made.lease(id(3), 'alice', 5, port(2000)), { kind: 'probe', holder: 1, worker: 1 });
  t.same(made.lease(id(3), 'alice', 1, port(2000)), { kind: 'probe', holder: 1, worker: 1 }, 'before the limit');
  t.same(made.lease(id(3), 'alice', 1, port(2001)), refused('LIMIT'));
  t.equal(made.release(id(3), { kind: 'tcp', port: 2000 }), undefined, 'only the holder gives it back');
  t.match(made.release(id(1), { kind: 'tcp', port: 2000 }), { user: 'alice' });
  t.equal(made.release(id(1), { kind: 'tcp', port: 2000 }), undefined, 'once');
  t.same(made.lease(id(3), 'bob', 5, port(2000)), granted(2000));
  t.same(made.lease(id(99), 'bob', 5, port(2002)), refused('DRAINING'), 'a connection that has gone');
});

t.test('lease: paths and ports do not meet', async (t) => {
  const made = ledger();
  t.same(made.lease(id(1), 'alice', 5, { kind: 'unix', path: '/run/a.sock' }), granted(0));
  t.same(made.lease(id(3), 'bob', 5, { kind: 'unix', path: '/run/a.sock' }), refused('TAKEN'));
  t.same(made.lease(id(3), 'bob', 5, { kind: 'unix', path: '/run/b.sock' }), granted(0));
});

t.test('lease: port 0 takes what is permitted, free and not tried in vain', async (t) => {
  const made = ledger();
  t.same(made.lease(id(1), 'alice', 9, port(0, [[2000, 2002]])), granted(2000));
  t.same(made.lease(id(3), 'bob', 9, port(0, [[2000, 2002]], [2001])), granted(2002));
  t.same(made.lease(id(3), 'bob', 9, port(0, [[2000, 2002]], [2001])), refused('NO_FREE_PORT'));
  t.same(made.lease(id(3), 'bob', 9, port(0)), refused('NO_FREE_PORT'), 'no range, no port');
});

t.test("lease: the server's own ports are nobody's, on whatever address; nor are its paths", async (t) => {
  const made = ledger();
  made.reserve([
    { kind: 'tcp', address: '127.0.0.1', port: 2222 },
    { kind: 'tcp', address: '127.0.0.1', port: 9000 },
    { kind: 'unix', path: '/run/primary.sock' },
  ]);
  t.same(made.lease(id(1), 'alice', 9, { ...port(2222), host: '::1' }), refused('TAKEN'));
  t.same(made.lease(id(1), 'alice', 9, port(0, [[9000, 9001]])), granted(9001));
  t.same(made.lease(id(1), 'alice', 9, port(0, [[9000, 9000]])), refused('NO_FREE_PORT'));
  for (const path of ['/run/primary.sock', '/run/primary.sock.2'])
    t.same(made.lease(id(1), 'alice', 9, { kind: 'unix', path }), refused('TAKEN'), path);
  for (const path of ['/run/primary.sock2', '/run/other/primary.sock'])
    t.same(made.lease(id(1), 'alice', 9, { kind: 'unix', path }), granted(0), path);
  made.reserve([]);
  t.same(made.lease(id(1), 'alice', 9, port(2222)), granted(2222), 'a reload may leave them to others');
});

t.test('closed and lost connections give everything back', async (t) => {
  const made = ledger();
  made.login(id(1), 'alice', 5);
  made.lease(id(1), 'alice', 5, port(2000));
  made.lease(id(1), 'alice', 5, port(2001));
  made.lease(id(3), 'bob', 5, port(2003));
  const freed = made.workerLost(1);
  t.match(freed, [
    { connection: { id: 1, user: 'alice' }, leases: [{ key: { port: 2000 } }, { key: { port: 2001 } }] },
    { leases: [] },
  ]);
  t.same([made.size, made.held(1)], [1, 0]);
  t.same(made.usage('alice'), { connections: 0, forwards: 0 });
  t.same(
    [...made.leases()].map(({ holder }) => holder),
    [3],
    'the other worker keeps its own',
  );
  t.same(made.workerLost(1), []);
});

t.test('whatever happens in whatever order, the counts are those of the tables', async () => {
  const conn = fc.integer({ min: 1, max: 6 });
  const user = fc.constantFrom('alice', 'bob', '__proto__');
  const step = fc.oneof(
    fc.record({ do: fc.constant('accept' as const), conn, worker: fc.integer({ min: 1, max: 2 }) }),
    fc.record({ do: fc.constant('login' as const), conn, user, limit: fc.nat(3) }),
    fc.record({
      do: fc.constant('lease' as const),
      conn,
      user,
      limit: fc.nat(3),
      port: fc.integer({ min: 0, max: 3 }),
    }),
    fc.record({ do: fc.constant('release' as const), conn, port: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant('closed' as const), conn }),
    fc.record({ do: fc.constant('lost' as const), worker: fc.integer({ min: 1, max: 2 }) }),
    fc.record({ do: fc.constant('adopt' as const), conn, user, ports: fc.array(fc.integer({ min: 1, max: 3 })) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const made = new Ledger({ random: () => 0.5 });
      for (const one of steps) {
        if (one.do === 'accept') {
          if (made.connection(id(one.conn)) === undefined) made.accept(id(one.conn), peer, 0);
          made.assign(id(one.conn), one.worker);
        } else if (one.do === 'login') made.login(id(one.conn), one.user, one.limit);
        else if (one.do === 'lease') made.lease(id(one.conn), one.user, one.limit, port(one.port, [[1, 3]]));
        else if (one.do === 'release') made.release(id(one.conn), { kind: 'tcp', port: one.port });
        else if (one.do === 'closed') made.closed(id(one.conn));
        else if (one.do === 'lost') made.workerLost(one.worker);
        else if (made.connection(id(one.conn)) === undefined) {
          const leases = one.ports.map((number) => ({
            key: { kind: 'tcp' as const, port: number },
            target: { kind: 'tcp' as const, host: '', port: number },
            user: one.user,
          }));
          made.adopt(id(one.conn), 2, 0, { id: id(one.conn), peer, user: one.user, leases });
        }
        const all = [...made.connections()];
        const leases = [...made.leases()];
        if (made.size !== all.length) return false;
        if (leases.some(({ holder }) => made.connection(holder) === undefined)) return false; // an orphaned port
        for (const name of ['alice', 'bob', '__proto__']) {
          const usage = made.usage(name);
          if (usage.connections !== all.filter((entry) => entry.user === name).length) return false;
          if (usage.forwards !== leases.filter((lease) => lease.user === name).length) return false;
        }
        for (const worker of [1, 2])
          if (made.held(worker) !== all.filter((entry) => entry.worker === worker).length) return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
});
