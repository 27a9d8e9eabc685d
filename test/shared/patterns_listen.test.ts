/** Which bind addresses, ports and socket paths a pattern grants. */
import t from 'tap';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import {
  coversListen,
  coversPath,
  isBindable,
  type ListenPattern,
  listenPortRanges,
  type OpenPattern,
  parseBindHost,
} from '../../src/shared/patterns.js';
import { socketPathError } from '../../src/shared/socket_path.js';

function open(...texts: string[]): OpenPattern[] {
  return texts.map((text) => {
    const parsed = parseOpenPattern(text);
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.pattern;
  });
}

function listen(...texts: string[]): ListenPattern[] {
  return texts.map((text) => {
    const parsed = parseListenPattern(text);
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.pattern;
  });
}

t.test('RFC 4254 §7.1: a bind address is granted as it was asked for, or not at all', async (t) => {
  for (const [pattern, host, port, covered] of [
    ['localhost:1024-65535', 'localhost', 8080, true],
    ['localhost:1024-65535', 'LOCALHOST.', 8080, true],
    ['localhost:1024-65535', '127.0.0.1', 8080, true],
    ['localhost:1024-65535', '127.1', 8080, true],
    ['localhost:1024-65535', '::ffff:127.0.0.1', 8080, true],
    ['localhost:1024-65535', '::1', 8080, true],
    ['localhost:1024-65535', '127.0.0.2', 8080, false],
    ['localhost:1024-65535', 'localhost', 80, false],
    ['localhost:1024-65535', 'localhost', 0, true],
    ['localhost:1024-65535', '', 8080, false],
    ['localhost:1024-65535', '*', 8080, false],
    ['localhost:1024-65535', '0.0.0.0', 8080, false],
    ['localhost:1024-65535', '::', 8080, false],
    ['localhost:1024-65535', '0', 0, false],
    ['localhost:1024-65535', 'app.localhost', 8080, false],
    ['*:9000-9099', '', 9000, true],
    ['*:9000-9099', '*', 9000, true],
    ['*:9000-9099', '0.0.0.0', 9000, true],
    ['*:9000-9099', '::', 9000, true],
    ['*:9000-9099', 'localhost', 9000, true],
    ['*:9000-9099', '192.0.2.1', 9000, true],
    ['*:9000-9099', 'app', 9000, true],
    ['*:9000-9099', '', 9100, false],
    ['*:9000-9099', 'a b', 9000, false],
    ['0.0.0.0:9000', '0.0.0.0', 9000, true],
    ['0.0.0.0:9000', '0x0', 9000, true],
    ['0.0.0.0:9000', '', 9000, false],
    ['0.0.0.0:9000', '::', 9000, false],
    ['0.0.0.0:9000', '127.0.0.1', 9000, false],
    ['[::]:9000', '::', 9000, true],
    ['[::]:9000', '[::]', 9000, true],
    ['[::]:9000', '*', 9000, false],
    ['192.0.2.1:*', '192.0.2.1', 1, true],
    ['192.0.2.1:*', '192.0.2.2', 1, false],
    ['192.0.2.1:*', 'localhost', 1, false],
    ['app:80', 'APP', 80, true],
    ['app:80', 'other', 80, false],
    ['*.alice:80', 'app.alice', 80, true],
    ['*.alice:80', 'app.bob', 80, false],
  ] as const) {
    t.equal(
      coversListen(listen(pattern), host, port),
      covered,
      `${pattern} ${covered ? 'covers' : 'denies'} ${host}:${port}`,
    );
  }
  t.notOk(coversListen([], 'localhost', 0), 'no patterns, no rights');
  t.same(parseBindHost(''), { kind: 'all' });
  t.same(parseBindHost('0'), { kind: 'all4' });
  t.same(parseBindHost('::0'), { kind: 'all6' });
});

t.test('names are covered and yet never bound; all else may be', async (t) => {
  for (const text of ['app:80', '*.alice:80']) t.notOk(listen(text).some(isBindable), text);
  for (const text of ['*:80', 'localhost:80', '0.0.0.0:80', '[::1]:80', '127.1:80', '/run/x.sock'])
    t.ok(listen(text).every(isBindable), text);
});

t.test('the ports for port 0 are merged and sorted, and only those of the address asked for', async (t) => {
  const patterns = listen('localhost:9000-9010,8000', '*:9005-9020,7000', '192.0.2.1:1-10', '/run/x.sock');
  t.same(listenPortRanges(patterns, 'localhost'), [
    [7000, 7000],
    [8000, 8000],
    [9000, 9020],
  ]);
  t.same(listenPortRanges(patterns, ''), [
    [7000, 7000],
    [9005, 9020],
  ]);
  t.same(listenPortRanges(listen('localhost:*'), 'localhost'), [[1, 65535]]);
  t.same(listenPortRanges(listen('localhost:*'), '*'), []);
  t.same(listenPortRanges(listen('*:1,2,3'), '*'), [[1, 3]], 'neighbours become one');
});

t.test('socket paths', async (t) => {
  for (const [pattern, path, covered] of [
    ['/run/app/*.sock', '/run/app/a.sock', true],
    ['/run/app/*.sock', '/run/app/.sock', true],
    ['/run/app/*.sock', '/run/app/a.socket', false],
    ['/run/app/*.sock', '/run/app/b/a.sock', false],
    ['/run/app/*.sock', '/run/app/../x.sock', false],
    ['/run/app/*', '/run/app/..', false],
    ['/run/app/*', '/run/app/.', false],
    ['/run/app/*', '/run/app/', false],
    ['/run/app/*', '/run//app/a', false],
    ['/run/app/*', '/run/app/a\0b', false],
    ['/run/app/*', '/run/app/a\nb', false],
    ['/run/app/*', 'run/app/a', false],
    ['/run/app/*', '\0run/app/a', false],
    ['/run/app/*', `/run/app/${'a'.repeat(98)}`, true],
    ['/run/app/*', `/run/app/${'a'.repeat(99)}`, false],
    ['/run/app/*', `/run/app/${'ü'.repeat(50)}`, false],
    ['/run/app/a*b*c', '/run/app/axbxbxc', true],
    ['/run/app/a*b*c', '/run/app/axbxbx', false],
    ['/run/docker.sock', '/run/docker.sock', true],
    ['/run/docker.sock', '/run/Docker.sock', false],
    ['/x', '/x', true],
  ] as const) {
    t.equal(
      coversPath(open(pattern), path),
      covered,
      `${pattern} ${covered ? 'covers' : 'denies'} ${JSON.stringify(path)}`,
    );
  }
  t.notOk(coversPath(open('*:*'), '/run/x.sock'), '* is about hosts');
  t.equal(socketPathError('/run/x.sock'), null);
});

t.test('a glob costs no exponential time', async (t) => {
  const pattern = `/${'*a'.repeat(40)}`;
  t.notOk(coversPath(open(pattern), `/${'a'.repeat(105)}b`));
});
