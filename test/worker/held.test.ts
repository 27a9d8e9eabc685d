import t from 'tap';
import type { ConnId, LeaseTarget } from '../../src/shared/ipc.js';
import { Held } from '../../src/worker/held.js';

const id = (value: number): ConnId => value as ConnId;
const peer = { address: '192.0.2.1', port: 1 };
const tcp: LeaseTarget = { kind: 'tcp', host: '', port: 0, portRanges: [], except: [] };

t.test('codes that were used: the last of each user and secret, and not too many', async (t) => {
  const held = new Held();
  const use = { user: 'alice', key: 'k', step: 1 };
  held.used(use);
  held.used({ ...use, step: 2 });
  held.used({ ...use, key: 'other' });
  t.same(held.codes(), [
    { ...use, step: 2 },
    { ...use, key: 'other' },
  ]);
  for (let i = 0; i < 10_000; i++) held.used({ ...use, user: `user${i}` });
  t.equal(held.codes().length, 4096);
  t.match(held.codes().at(-1), { user: 'user9999' });
});

t.test('connections, logins and leases, until they are given back', async (t) => {
  const held = new Held();
  held.accepted(id(1), peer, false);
  held.login(id(1), '__proto__');
  held.leased(id(1), '__proto__', tcp, 2000);
  held.leased(id(1), '__proto__', tcp, 2001);
  held.leased(id(1), '__proto__', { kind: 'unix', path: '/a' }, 0);
  held.released(id(1), { kind: 'tcp', port: 2000 });
  held.released(id(1), { kind: 'unix', path: '/b' });
  t.same(held.list(), [
    {
      id: 1,
      peer,
      user: '__proto__',
      leases: [
        { key: { kind: 'tcp', port: 2001 }, target: { kind: 'tcp', host: '', port: 2001 }, user: '__proto__' },
        { key: { kind: 'unix', path: '/a' }, target: { kind: 'unix', path: '/a' }, user: '__proto__' },
      ],
    },
  ]);
  held.closed(id(1));
  held.login(id(1), 'late');
  held.leased(id(1), 'late', tcp, 1);
  held.released(id(1), { kind: 'tcp', port: 1 });
  t.same(held.list(), []);
});
