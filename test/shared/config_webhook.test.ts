/** The config of a webhook: what is taken, what is refused and in which words, and whom it leaves to the webhook. */
import t from 'tap';
import { formatIssue, parseConfig } from '../../src/shared/config_file.js';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPLEASEDONOTUSETHISKEYITISNOTREAL me@here';
const FILES: ReadonlyMap<string, string> = new Map([
  ['/cfg/token', 'hunter2-hunter2\n'],
  ['/cfg/empty', '\n'],
  ['/cfg/two', 'hunter2\nhunter2\n'],
  ['/cfg/blank', 'hunter 2\n'],
  ['/cfg/long', 'hunter2'.repeat(1000)],
  ['/cfg/none.pub', '# nobody any more\n'],
]);
const secrets: string[] = [];
const world = {
  parallelism: 4,
  resolvePath: (path: string) => (path.startsWith('/') ? path : `/cfg/${path}`),
  readBytes: () => ({ ok: false, error: 'is not there' }) as const,
  readFile: (path: string, options?: { readonly isSecret: boolean }) => {
    if (options?.isSecret === true) secrets.push(path);
    const value = FILES.get(path);
    return value === undefined ? ({ ok: false, error: 'is not there' } as const) : ({ ok: true, value } as const);
  },
};
const read = (text: string) => parseConfig(text, 'c.yaml', world);
const URL_IS = 'url: "http://127.0.0.1:9000/auth"';

t.test('good ones', async (t) => {
  t.match(read(`auth: {webhook: {${URL_IS}, tokenFile: token, timeout: 250ms, connections: 2, queue: 0}}`), {
    ok: true,
    config: {
      auth: {
        webhook: {
          url: 'http://127.0.0.1:9000/auth',
          tokenFile: { path: '/cfg/token', secret: 'hunter2-hunter2' },
          timeoutMs: 250,
          connections: 2,
          queue: 0,
        },
      },
    },
    warnings: [],
  });
  t.same(secrets, ['/cfg/token'], 'read as a secret');
  const defaults = { url: null, tokenFile: null, timeoutMs: 5000, connections: 8, queue: 64 };
  for (const text of ['users: {a: {}}', 'users: {a: {}}\nauth: {webhook: }', 'users: {a: {}}\nauth:'])
    t.match(read(text), { ok: true, config: { auth: { webhook: defaults } } }, text);
});

t.test('bad ones, word for word; no secret is shown', async (t) => {
  const forms = 'http://HOST:PORT/PATH, https://HOST/PATH or unix:/SOCKET:/PATH';
  const secret = 'a path of a file with one line of at most 4096 visible ASCII characters, which nobody else may read';
  for (const [text, error] of [
    [
      'url: "https://me:hunter2@host/"',
      `url: has a user or a password in it: put a token into a file, and name that as auth.webhook.tokenFile, allowed: ${forms}`,
    ],
    ['url: "ftp://hunter2/"', `url: begins with none of http://, https:// and unix:/, allowed: ${forms}`],
    ['url: 9000', `url: begins with none of http://, https:// and unix:/, allowed: ${forms}`],
    ['url: ', `url: has no value, allowed: ${forms}`],
    ['timeout: 1s', `url: is missing, so nobody would be asked, allowed: ${forms}`],
    [`${URL_IS}, tokenFile: gone`, `tokenFile: "gone" (/cfg/gone) is not there, allowed: ${secret}`],
    [`${URL_IS}, tokenFile: empty`, `tokenFile: "empty" (/cfg/empty) has no secret in it, allowed: ${secret}`],
    [
      `${URL_IS}, tokenFile: two`,
      `tokenFile: "two" (/cfg/two) has more than one line, blanks or characters that no header may have, allowed: ${secret}`,
    ],
    [
      `${URL_IS}, tokenFile: blank`,
      `tokenFile: "blank" (/cfg/blank) has more than one line, blanks or characters that no header may have, allowed: ${secret}`,
    ],
    [`${URL_IS}, tokenFile: long`, `tokenFile: "long" (/cfg/long) has 7000 characters, allowed: ${secret}`],
    [`${URL_IS}, timeout: 2m`, 'timeout: "2m" is too large, allowed: 100ms to 1m (250ms, 30s, 10m, 1h or 1d)'],
    [`${URL_IS}, connections: 0`, 'connections: 0 is out of range, allowed: a whole number from 1 to 256'],
    [
      `${URL_IS}, tokenfile: token`,
      'tokenfile: unknown key (did you mean auth.webhook.tokenFile?), allowed: url, tokenFile, timeout, connections, queue',
    ],
  ] as const) {
    const result = read(`auth: {webhook: {${text}}}`);
    const lines = result.ok ? [] : result.errors.map(formatIssue);
    t.match(lines, [/^c\.yaml:1:\d+: /], text);
    t.equal(lines[0]?.replace(/^c\.yaml:1:\d+: auth\.webhook\./, ''), error);
    t.notMatch(lines.join(), /hunter/);
  }
});

t.test('what goes over a network in clear is a warning', async (t) => {
  const warning = 'auth.webhook.url: logins, and passwords among them, go over the network in clear: use https';
  const { warnings } = read('auth: {webhook: {url: "http://login.example/"}}');
  t.same(warnings.map(formatIssue), [`c.yaml:1:23: ${warning}`]);
  t.same(read('auth: {webhook: {url: "https://login.example/"}}').warnings, []);
});

t.test('a time that will never be waited for is a warning', async (t) => {
  const at = (timeouts: string) => read(`auth: {webhook: {${URL_IS}, timeout: 30s}}\ntimeouts: {${timeouts}}`).warnings;
  t.same(at('hook: 10s').map(formatIssue), [
    'c.yaml:1:1: auth.webhook.timeout: is longer than timeouts.hook, which holds then',
  ]);
  t.same(at('hook: 30s'), []);
});

t.test('nobody is missing where a webhook may let in anybody', async (t) => {
  t.same(read(`auth: {webhook: {${URL_IS}}}\nusers: {a: {}}`).warnings, []);
  t.same(read(`auth: {webhook: {${URL_IS}}}`).warnings, []);
  t.match(read('users: {a: {}}').warnings.map(formatIssue), [/users\.a: has neither a key nor a password/]);
});

t.test('who is left to the webhook: whose credentials are not spoken of', async (t) => {
  const unnamed = (text: string): unknown => {
    const result = read(text);
    if (!result.ok) return result.errors.map(formatIssue);
    const { users, defaults } = result.config;
    return [defaults, ...users].map((user) => user.unnamed === true);
  };
  const users = `users:
  open: {permitOpen: ["*:443"]}
  keys: {authorizedKeys: ["${KEY}"]}
  no-keys: {authorizedKeys: []}
  emptied: {authorizedKeys: none.pub}
  nothing:
`;
  t.same(unnamed(users), [true, true, false, false, false, true]);
  t.same(unnamed(`defaults: {permitOpen: []}\n${users}`), [true, true, false, false, false, true]);
  t.same(unnamed(`defaults: {authorizedKeys: []}\n${users}`), [false, false, false, false, false, false]);
});

t.test('defaults, as those get them whom nobody has written down', async (t) => {
  const result = read('defaults: {permitOpen: ["10.0.0.0/8:*"], limits: {channels: 5}}\nusers: {a: {permitOpen: []}}');
  t.match(result, {
    ok: true,
    config: {
      defaults: {
        permitOpen: ['10.0.0.0/8:*'],
        permitListen: ['localhost:1024-65535'],
        limits: { channels: 5, forwards: 16 },
      },
    },
  });
});
