import fc from 'fast-check';
import t from 'tap';
import type { Destination } from '../../../src/shared/identity.js';
import {
  kindOfBind,
  nameOfBind,
  nameOfDestination,
  storyOfDirect,
  storyOfForwarded,
} from '../../../src/worker/connection/names.js';

const CASES: ReadonlyArray<readonly [Destination, string]> = [
  [{ kind: 'tcp', host: 'example.org', port: 80 }, 'example.org:80'],
  [{ kind: 'tcp', host: '::1', port: 80 }, '[::1]:80'],
  [{ kind: 'tcp', host: '', port: 0 }, ':0'], // as a bind: all addresses, *
  [{ kind: 'tcp', host: 'a\nb\x1b[2J', port: 1 }, 'a\\x0ab\\x1b[2J:1'],
  [{ kind: 'tcp', host: 'x'.repeat(300), port: 65_535 }, `${'x'.repeat(246)}…:65535`], // 255 with the brackets of an IPv6 address
  [{ kind: 'unix', path: '/run/a.sock' }, '/run/a.sock'],
  [{ kind: 'unix', path: '\0abstract' }, '\\x00abstract'],
];
for (const [destination, name] of CASES)
  t.test(JSON.stringify(name), async (t) => {
    t.equal(nameOfDestination(destination), name);
    t.equal(nameOfBind(destination), name === ':0' ? '*:0' : name);
  });

t.test('what the RFC and OpenSSH call each of them', async (t) => {
  const tcp = { kind: 'tcp', host: '', port: 1 } as const;
  const unix = { kind: 'unix', path: '/a\n' } as const;
  t.same([kindOfBind(tcp), kindOfBind(unix)], ['tcpip-forward', 'streamlocal-forward@openssh.com']);
  t.same(storyOfDirect(tcp), { kind: 'direct-tcpip', destination: ':1' });
  t.same(storyOfDirect(unix), { kind: 'direct-streamlocal@openssh.com', destination: '/a\\x0a' });
  t.same(storyOfForwarded(tcp), { kind: 'forwarded-tcpip', destination: '*:1' });
  t.same(storyOfForwarded(unix), { kind: 'forwarded-streamlocal@openssh.com', destination: '/a\\x0a' });
});

t.test('whatever the peer says, one short line', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), fc.nat(70_000), (host, port) =>
      [nameOfDestination({ kind: 'tcp', host, port }), nameOfDestination({ kind: 'unix', path: host })].every((name) =>
        /^[^\p{Cc}\u2028\u2029]{0,255}$/u.test(name),
      ),
    ),
  );
});
