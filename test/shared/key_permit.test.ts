/** permitopen and permitlisten, by table: auth-options.c and channels.c of OpenSSH 9.2. */
import t from 'tap';
import { parseKeyPermit, permitsListen, permitsOpen } from '../../src/shared/key_permit.js';

t.test('how they are written', async (t) => {
  for (const [text, barePort, expected] of [
    ['localhost:80', false, { host: 'localhost', port: 80 }],
    ['localhost:*', false, { host: 'localhost', port: 'any' }],
    ['*:80', false, { host: '*', port: 80 }],
    ['*:*', false, { host: '*', port: 'any' }],
    ['[::1]:22', false, { host: '::1', port: 22 }],
    ['[::1]/22', false, { host: '::1', port: 22 }],
    ['host/22', false, { host: 'host', port: 22 }],
    [':22', false, { host: '', port: 22 }],
    ['[]:22', false, { host: '', port: 22 }],
    ['a b:22', false, { host: 'a b', port: 22 }],
    ['Host.Example:22', false, { host: 'Host.Example', port: 22 }],
    ['localhost:0080', false, { host: 'localhost', port: 80 }],
    ['8080', true, { host: '*', port: 8080 }],
    ['*', true, { host: '*', port: 'any' }],
    ['localhost:8080', true, { host: 'localhost', port: 8080 }],
    ['8080', false, null],
    ['*', false, null],
    ['', false, null],
    ['', true, null],
    ['localhost', false, null],
    ['localhost', true, null],
    ['localhost:', false, null],
    ['localhost:0', false, null],
    ['localhost:65536', false, null],
    ['localhost:-1', false, null],
    ['localhost:080', false, { host: 'localhost', port: 80 }],
    ['localhost: +80', false, { host: 'localhost', port: 80 }],
    [' +080', true, { host: '*', port: 80 }],
    ['localhost:80 ', false, null],
    ['localhost:+ 80', false, null],
    ['localhost:http', false, null],
    ['localhost:80-90', false, null],
    ['localhost:80,81', false, null],
    ['localhost:80:90', false, null],
    ['::1:22', false, null],
    ['[::1:22', false, null],
    ['[::1]', false, null],
    ['[::1]x:22', false, null],
    ['/run/a.sock', false, null],
    [`${'a'.repeat(1024)}:1`, false, { host: 'a'.repeat(1024), port: 1 }],
    [`${'a'.repeat(1025)}:1`, false, null],
  ] as const) {
    const parsed = parseKeyPermit(text, { barePort });
    t.same(parsed.ok ? parsed.value : null, expected, `${text.slice(0, 30)} ${barePort}`);
  }
});

t.test('what a permitopen covers', async (t) => {
  for (const [permit, host, port, expected] of [
    ['localhost:80', 'localhost', 80, true],
    ['localhost:80', 'localhost', 81, false],
    ['localhost:80', '127.0.0.1', 80, false],
    ['localhost:80', 'LOCALHOST', 80, false],
    ['LOCALHOST:80', 'localhost', 80, false],
    ['localhost:80', 'localhost.', 80, false],
    ['*:80', 'anything', 80, true],
    ['*.example:80', 'a.example', 80, false],
    ['*.example:80', '*.example', 80, true],
    ['[::1]:*', '::1', 1, true],
    ['[::1]:*', '0:0:0:0:0:0:0:1', 1, false],
  ] as const) {
    const parsed = parseKeyPermit(permit, { barePort: false });
    t.equal(parsed.ok && permitsOpen(parsed.value, host, port), expected, `${permit} ${host} ${port}`);
  }
});

t.test('what a permitlisten covers', async (t) => {
  for (const [permit, host, port, expected] of [
    ['localhost:8080', 'localhost', 8080, true],
    ['localhost:8080', 'LOCALHOST', 8080, true],
    ['LOCALHOST:8080', 'localhost', 8080, false],
    ['localhost:8080', '127.0.0.1', 8080, false],
    ['localhost:8080', '', 8080, false],
    ['localhost:8080', 'localhost', 0, false],
    ['localhost:*', 'localhost', 0, true],
    ['8080', '', 8080, true],
    ['8080', 'anything', 8080, true],
    ['127.0.0.?:*', '127.0.0.9', 1, true],
    ['127.0.0.?:*', '127.0.0.10', 1, false],
    ['*:*', '::', 0, true],
    [':8080', '', 8080, true],
    [':8080', 'localhost', 8080, false],
  ] as const) {
    const parsed = parseKeyPermit(permit, { barePort: true });
    t.equal(parsed.ok && permitsListen(parsed.value, host, port), expected, `${permit} ${host} ${port}`);
  }
});
