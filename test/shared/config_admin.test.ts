/** ADMIN in the config: where it may be, and what it needs there. */
import t from 'tap';
import { adminListenOf, adminListenText } from '../../src/shared/admin_listen.js';
import { formatIssue, parseConfig } from '../../src/shared/config_file.js';

const FILES: ReadonlyMap<string, string> = new Map([
  ['/cfg/token', '0123456789abcdef\n'],
  ['/cfg/short', '0123456789abcde\n'],
]);

function read(admin: string) {
  const secrets: string[] = [];
  const result = parseConfig(`auth: {webhook: {url: "http://127.0.0.1:1/"}}\nadmin: ${admin}`, 'c.yaml', {
    parallelism: 2,
    resolvePath: (path) => (path.startsWith('/') ? path : `/cfg/${path.replace('./', '')}`),
    readFile(path, { isSecret } = { isSecret: false }) {
      if (isSecret) secrets.push(path);
      const value = FILES.get(path);
      return value === undefined ? { ok: false, error: 'is not there' } : { ok: true, value };
    },
    readBytes: () => ({ ok: false, error: 'is not there' }),
  });
  const config = result.ok ? result.config.admin : null;
  const errors = result.ok ? [] : result.errors.map(formatIssue);
  return { config, errors, warnings: result.warnings.map(formatIssue), secrets };
}

t.test('good ones', async (t) => {
  const tokenFile = { path: '/cfg/token', secret: '0123456789abcdef' };
  const rows = [
    ['', { enabled: true, listen: null, tokenFile: null }],
    ['{}', { enabled: true, listen: null, tokenFile: null }],
    ['false', { enabled: false, listen: null, tokenFile: null }],
    ['{listen: auto}', { enabled: true, listen: null, tokenFile: null }],
    [
      '{listen: "unix:./a/b.sock"}',
      { enabled: true, listen: { kind: 'unix', path: '/cfg/a/b.sock' }, tokenFile: null },
    ],
    ['{listen: "unix:/run/a.sock"}', { enabled: true, listen: { kind: 'unix', path: '/run/a.sock' }, tokenFile: null }],
    ['{listen: "localhost:0", tokenFile: token}', { listen: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tokenFile }],
    ['{listen: "127.3.4.5:9", tokenFile: token}', { listen: { kind: 'tcp', host: '127.3.4.5', port: 9 }, tokenFile }],
    ['{listen: "[::1]:9090", tokenFile: token}', { listen: { kind: 'tcp', host: '::1', port: 9090 }, tokenFile }],
    ['{enabled: false, listen: "127.0.0.1:1"}', { enabled: false, listen: { kind: 'tcp' } }],
  ] as const;
  for (const [text, admin] of rows) {
    const { config, errors, warnings } = read(text);
    t.match({ config, errors, warnings }, { config: admin, errors: [], warnings: [] }, text);
  }
  t.same(read('{listen: "localhost:0", tokenFile: token}').secrets, ['/cfg/token'], 'read as a secret');
});

t.test('bad ones, and no secret is shown', async (t) => {
  const rows = [
    [
      '{listen: "0.0.0.0:9090", tokenFile: token}',
      /admin\.listen: "0\.0\.0\.0:9090" is no address of the loopback, allowed: "unix:PATH", or/,
    ],
    ['{listen: "[::]:9090", tokenFile: token}', /is no address of the loopback/],
    ['{listen: "192.0.2.1:9090", tokenFile: token}', /is no address of the loopback/],
    ['{listen: "host.example:9090", tokenFile: token}', /is no address of the loopback/],
    ['{listen: "9090", tokenFile: token}', /is neither unix:PATH nor HOST:PORT/],
    ['{listen: "/run/a.sock"}', /is neither unix:PATH nor HOST:PORT/],
    ['{listen: "unix:"}', /names no socket/],
    [`{listen: "unix:/${'x'.repeat(100)}"}`, /has too long a path/],
    [
      '{listen: "127.0.0.1:9090"}',
      /admin\.tokenFile: is missing, and by TCP every user of this machine could end connections, allowed: a file/,
    ],
    [
      '{listen: "127.0.0.1:9090", tokenFile: short}',
      /\(\/cfg\/short\) has a secret of 15 characters, allowed: .*at least 16/,
    ],
    ['{listen: "127.0.0.1:9090", tokenFile: gone}', /\(\/cfg\/gone\) is not there/],
    ['true', /admin: is true, allowed: keys and their values, or false/],
  ] as const;
  for (const [text, error] of rows) {
    const { errors } = read(text);
    t.equal(errors.length, 1, `${text}: ${errors.join()}`);
    t.match(errors[0], error);
    t.notMatch(errors[0], '0123456789');
  }
});

t.test('a token for a Unix socket is not asked for, and that is said', async (t) => {
  t.match(read('{tokenFile: token}').warnings, [/admin\.tokenFile: is asked for by TCP alone/]);
});

t.test('where it is when nothing is said, and how places are written', async (t) => {
  const listen = adminListenOf(null, '/var/lib/sallyport');
  t.same(listen, { kind: 'unix', path: '/var/lib/sallyport/admin.sock' });
  t.equal(adminListenText(listen), 'unix:/var/lib/sallyport/admin.sock');
  t.equal(adminListenText({ kind: 'tcp', host: '::1', port: 9090 }), '[::1]:9090');
});
