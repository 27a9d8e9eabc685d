/** The three questions of policy, with their codes; patterns have their own test. */
import t from 'tap';
import { type Address, parseAddress } from '../../src/shared/address.js';
import type { ListenerAddress } from '../../src/shared/ipc.js';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import { mayDial, mayDialPath, mayListen, mayOpen, type Rights } from '../../src/worker/policy.js';

function rights(permitOpen: readonly string[], permitListen: readonly string[] = []): Rights {
  return {
    permitOpen: permitOpen.flatMap((text) => {
      const parsed = parseOpenPattern(text);
      return parsed.ok ? [parsed.pattern] : [];
    }),
    permitListen: permitListen.flatMap((text) => {
      const parsed = parseListenPattern(text);
      return parsed.ok ? [parsed.pattern] : [];
    }),
  };
}

function at(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(text);
  return address;
}

const OWN: readonly ListenerAddress[] = [
  { kind: 'tcp', address: '0.0.0.0', port: 2222 },
  { kind: 'tcp', address: '127.0.0.1', port: 9090 },
  { kind: 'unix', path: '/run/sallyport/admin.sock' },
];
const INTERFACES = ['127.0.0.1', '::1', '192.0.2.7'];

t.test('mayOpen', async (t) => {
  const some = rights(['*:*', '/run/app/*.sock']);
  for (const [host, port, code] of [
    ['db.internal', 5432, null],
    ['10.0.0.1', 22, null],
    ['localhost', 22, null], // perhaps: mayDial refuses what it leads to
    ['127.1', 22, 'PROTECTED_DESTINATION'],
    ['::ffff:169.254.169.254', 80, 'PROTECTED_DESTINATION'],
    ['db.internal', 0, 'BAD_ADDRESS'],
    ['db.internal', 65536, 'BAD_ADDRESS'],
    ['db.internal', 0xffff_ffff, 'BAD_ADDRESS'],
    ['db.internal', 1.5, 'BAD_ADDRESS'],
    ['db.internal', Number.NaN, 'BAD_ADDRESS'],
    ['', 22, 'BAD_ADDRESS'],
    ['a\nb', 22, 'BAD_ADDRESS'],
    ['fe80::1%lo', 22, 'BAD_ADDRESS'],
  ] as const) {
    const expected = code === null ? { allow: true } : { allow: false, code };
    t.same(mayOpen(some, { kind: 'tcp', host, port }), expected, `${JSON.stringify(host)} ${port}`);
  }
  const narrow = rights(['db.internal:5432']);
  t.same(mayOpen(narrow, { kind: 'tcp', host: 'db.internal', port: 5432 }), { allow: true });
  t.same(mayOpen(narrow, { kind: 'tcp', host: 'db.internal', port: 22 }), { allow: false, code: 'POLICY_DENIED' });
  t.same(mayOpen(narrow, { kind: 'tcp', host: '10.0.0.1', port: 5432 }), { allow: false, code: 'POLICY_DENIED' });
  t.same(mayOpen(rights([]), { kind: 'tcp', host: 'x', port: 1 }), { allow: false, code: 'POLICY_DENIED' });

  t.same(mayOpen(some, { kind: 'unix', path: '/run/app/a.sock' }), { allow: true });
  t.same(mayOpen(some, { kind: 'unix', path: '/run/docker.sock' }), { allow: false, code: 'POLICY_DENIED' });
  t.same(mayOpen(some, { kind: 'unix', path: '/run/app/../docker.sock' }), { allow: false, code: 'BAD_ADDRESS' });
  t.same(mayOpen(some, { kind: 'unix', path: '\0abstract' }), { allow: false, code: 'BAD_ADDRESS' });
});

t.test('mayDial decides on the address, whatever the name said before', async (t) => {
  for (const [patterns, host, candidate, port, code] of [
    [['*:*'], 'db.internal', '10.0.0.1', 22, null],
    [['*:*'], 'rebound.example', '127.0.0.1', 22, 'PROTECTED_DESTINATION'],
    [['*:*'], 'rebound.example', '169.254.169.254', 80, 'PROTECTED_DESTINATION'],
    [['localhost:*'], 'localhost', '127.0.0.1', 22, null],
    [['localhost:*'], 'localhost', '10.0.0.1', 22, 'POLICY_DENIED'],
    [['localhost:*'], 'localhost', '127.0.0.1', 2222, 'OWN_LISTENER'],
    [['localhost:*'], 'localhost', '127.0.0.1', 9090, 'OWN_LISTENER'],
    [['localhost:*'], 'localhost', '::1', 9090, null],
    [['*:*'], 'self.example', '192.0.2.7', 2222, 'OWN_LISTENER'],
    [['*:*'], 'other.example', '192.0.2.8', 2222, null],
    [['0.0.0.0:*'], '0.0.0.0', '0.0.0.0', 2222, 'OWN_LISTENER'],
    [['*:*'], 'x', '64:ff9b::192.0.2.7', 2222, 'OWN_LISTENER'],
    [['*:*'], 'x', '10.0.0.1', 0, 'BAD_ADDRESS'],
  ] as const) {
    const expected = code === null ? { allow: true } : { allow: false, code };
    const verdict = mayDial(rights(patterns), { kind: 'tcp', host, port }, at(candidate), OWN, INTERFACES);
    t.same(verdict, expected, `${patterns} ${host} ${candidate}:${port}`);
  }
});

t.test('mayDialPath decides on the real path', async (t) => {
  const some = rights(['/run/app/*.sock', '/run/sallyport/*']);
  t.same(mayDialPath(some, '/run/app/a.sock', OWN), { allow: true });
  t.same(mayDialPath(some, '/run/docker.sock', OWN), { allow: false, code: 'POLICY_DENIED' });
  t.same(mayDialPath(some, '/run/sallyport/admin.sock', OWN), { allow: false, code: 'OWN_LISTENER' });
  t.same(mayDialPath(some, '/run/sallyport/admin.sock.77', OWN), { allow: false, code: 'OWN_LISTENER' }, 'being made');
  t.same(mayDialPath(some, 'a.sock', OWN), { allow: false, code: 'BAD_ADDRESS' });
});

t.test('mayListen', async (t) => {
  const some = rights([], ['localhost:1024-65535', '/run/tunnels/*.sock']);
  for (const [host, port, code] of [
    ['localhost', 8080, null],
    ['localhost', 0, null],
    ['::1', 8080, null],
    ['localhost', 80, 'POLICY_DENIED'],
    ['', 8080, 'POLICY_DENIED'],
    ['*', 8080, 'POLICY_DENIED'],
    ['0.0.0.0', 0, 'POLICY_DENIED'],
    ['localhost', 70_000, 'BAD_ADDRESS'],
    ['localhost', -1, 'BAD_ADDRESS'],
    ['a b', 8080, 'BAD_ADDRESS'],
    ['::1%lo', 8080, 'BAD_ADDRESS'],
    ['224.0.0.1', 8080, 'BAD_ADDRESS'],
    ['255.255.255.255', 8080, 'BAD_ADDRESS'],
    ['0.0.0.1', 8080, 'BAD_ADDRESS'],
  ] as const) {
    const expected = code === null ? { allow: true } : { allow: false, code };
    t.same(mayListen(some, { kind: 'tcp', host, port }), expected, `${JSON.stringify(host)} ${port}`);
  }
  t.same(mayListen(rights([], ['*:9000']), { kind: 'tcp', host: '', port: 9000 }), { allow: true });
  t.same(mayListen(some, { kind: 'unix', path: '/run/tunnels/a.sock' }), { allow: true });
  t.same(mayListen(some, { kind: 'unix', path: '/run/app/a.sock' }), { allow: false, code: 'POLICY_DENIED' });
  t.same(mayListen(some, { kind: 'unix', path: '/run/tunnels/../x' }), { allow: false, code: 'BAD_ADDRESS' });
});
