import t from 'tap';
import { isAdoption } from '../../src/shared/adoption.js';

const lease = {
  key: { kind: 'tcp', port: 8080 },
  target: { kind: 'tcp', host: 'localhost', port: 8080 },
  user: 'alice',
};
const path = { kind: 'unix', path: '/run/s' };
const held = { id: 3, peer: { address: '192.0.2.1', port: 4 }, user: 'alice', leases: [lease] };
const adoption = { type: 'adopt', pid: 4321, connections: [held] };

t.test('what a worker says of itself', async (t) => {
  t.ok(isAdoption(adoption));
  const used = { user: 'alice', key: 'k', step: 7 };
  t.ok(isAdoption({ ...adoption, codes: [used] }), 'with codes that were used');
  for (const codes of [null, {}, [null], [{ ...used, step: null }], [{ ...used, key: 1 }], [{ ...used, user: null }]])
    t.notOk(isAdoption({ ...adoption, codes }), JSON.stringify(codes));
  t.ok(isAdoption({ ...adoption, connections: [{ ...held, user: null, leases: [] }] }), 'before the login');
  t.ok(isAdoption({ ...adoption, connections: [{ ...held, leases: [{ ...lease, key: path, target: path }] }] }));
  for (const pid of [undefined, '4321', 4321.5, 1, 0, -1, -4321])
    t.notOk(isAdoption({ ...adoption, pid }), `pid ${pid}`);
  for (const value of [null, [], 'adopt', { ...adoption, type: 'welcome' }, { ...adoption, connections: {} }])
    t.notOk(isAdoption(value), JSON.stringify(value));
});

t.test('every field that the primary works with is looked at', async (t) => {
  const wrong: readonly object[] = [
    { id: '3' },
    { peer: null },
    { peer: { port: 4 } },
    { peer: { address: '192.0.2.1' } },
    { peer: { address: 4, port: 4 } },
    { user: 4 },
    { leases: undefined },
    { leases: [null] },
    { leases: [{ ...lease, key: undefined }] },
    { leases: [{ ...lease, key: { kind: 'tcp', port: '8080' } }] },
    { leases: [{ ...lease, key: { kind: 'unix' } }] },
    { leases: [{ ...lease, key: { kind: 'name', path: 'x' } }] },
    { leases: [{ ...lease, target: null }] },
    { leases: [{ ...lease, target: { kind: 'tcp', port: 8080 } }] },
    { leases: [{ ...lease, target: { kind: 'unix', path: 5 } }] },
    { leases: [{ ...lease, user: null }] },
  ];
  for (const fault of wrong)
    t.notOk(isAdoption({ ...adoption, connections: [held, { ...held, ...fault }] }), JSON.stringify(fault));
});
