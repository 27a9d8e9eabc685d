/** HASH PASSWORD: a line of stdin becomes a hash that opens; hidden typing, key by key. */
import { verify } from '@node-rs/argon2';
import t, { type Test } from 'tap';
import { typeKeys } from '../../src/cli/hidden_input.js';
import { parseConfig } from '../../src/shared/config_file.js';
import { cliEntry } from '../support/paths.js';
import { type Outcome, run } from '../support/process.js';

function hashPassword(t: Test, input: string): Promise<Outcome> {
  return run(t, process.execPath, [cliEntry, 'hash-password'], { input });
}

t.test('one line of stdin, with or without its end', async (t) => {
  const cases: ReadonlyArray<readonly [string, string]> = [
    ['correct horse\n', 'correct horse'],
    ['no end', 'no end'],
    ['windows\r\n', 'windows'],
    ['first\nsecond\n', 'first'],
    [' blanks stay \n', ' blanks stay '],
    ['pässwörd\n', 'pässwörd'],
  ];
  for (const [input, password] of cases) {
    const { code, stdout, stderr } = await hashPassword(t, input);
    t.equal(code, 0, stderr);
    t.match(stdout, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\n$/);
    t.equal(await verify(stdout.trimEnd(), password), true, password);
    t.equal(await verify(stdout.trimEnd(), `${password}x`), false, password);
    t.notOk(stderr.includes(password), 'not repeated');
    const none = () => ({ ok: false, error: '' }) as const;
    const world = { parallelism: 1, resolvePath: String, readFile: none, readBytes: none };
    t.ok(parseConfig(`users: {a: {password: "${stdout.trimEnd()}"}}`, 'c', world).ok, 'the config takes it');
  }
});

t.test('what is no password', async (t) => {
  for (const input of ['', '\n', `${'x'.repeat(1025)}\n`])
    t.match(await hashPassword(t, input), { code: 2, stdout: '', stderr: /^error: the password is / });
  t.match(await hashPassword(t, `${'x'.repeat(1024)}\n`), { code: 0 });
});

t.test('keys of a terminal', async (t) => {
  const cases: ReadonlyArray<readonly [string, string, unknown]> = [
    ['', 'abc', { state: 'typing', typed: 'abc' }],
    ['ab', 'c\r', { state: 'done', typed: 'abc', rest: '' }],
    ['', 'one\rtwo\r', { state: 'done', typed: 'one', rest: 'two\r' }],
    ['', 'abx\u007fc\n', { state: 'done', typed: 'abc', rest: '' }],
    ['ü', '\b', { state: 'typing', typed: '' }],
    ['', '\u007fa', { state: 'typing', typed: 'a' }],
    ['wrong', '\u0015right', { state: 'typing', typed: 'right' }],
    ['a', '\u0003', { state: 'cancelled' }],
    ['', '\u0004', { state: 'cancelled' }],
    ['a', '\u0004\u001bb', { state: 'typing', typed: 'ab' }],
  ];
  for (const [before, chunk, line] of cases) t.same(typeKeys(before, chunk), line, JSON.stringify([before, chunk]));
});
