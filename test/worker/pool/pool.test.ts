import { EventEmitter, once } from 'node:events';
import { hashSync } from '@node-rs/argon2';
import t, { type Test } from 'tap';
import { CryptoPool, type CryptoPoolOptions } from '../../../src/worker/pool/pool.js';

const HOSTILE = new URL('./hostile_task.js', import.meta.url);
const MATCH = { ok: true, match: true };
const NO_MATCH = { ok: true, match: false };
const FAILED = { ok: false, code: 'HOOK_FAILED' };
const TIMEOUT = { ok: false, code: 'HOOK_TIMEOUT' };
const BUSY = { ok: false, code: 'POOL_BUSY' };

/** For what is not about deadlines: a thread may take seconds to start on a busy machine. */
const LONG_MS = 120_000;
/** crypt_blowfish's own: bcrypt looks at the first 72 of them. */
const ABOVE_72 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored';

/** A pool that is closed with the test, and the counts of threads that it tells. */
function startPool(
  t: Test,
  options: CryptoPoolOptions = {},
): { pool: CryptoPool; threads: EventEmitter; seen: number[] } {
  const threads = new EventEmitter();
  const seen: number[] = [];
  const pool = new CryptoPool({
    taskModule: HOSTILE,
    deadlineMs: LONG_MS,
    onThreads(count) {
      seen.push(count);
      threads.emit(`${count}`);
    },
    ...options,
  });
  t.teardown(() => pool.close());
  return { pool, threads, seen };
}

t.test('argon2id in a real thread: the right password, a wrong one, an unreadable hash', async (t) => {
  const pool = new CryptoPool({ deadlineMs: LONG_MS });
  t.teardown(() => pool.close());
  const phc = hashSync('pässword', { memoryCost: 1024, timeCost: 1 });
  t.strictSame(await pool.verifyPassword(phc, 'pässword'), MATCH);
  t.strictSame(await pool.verifyPassword(phc, 'password'), NO_MATCH);
  t.strictSame(await pool.verifyPassword(phc, ''), NO_MATCH);
  t.strictSame(await pool.verifyPassword('$argon2id$junk', 'pässword'), FAILED);
  t.strictSame(await pool.verifyPassword(phc, 'pässword'), MATCH, 'and goes on after it');
});

t.test('scrypt and bcrypt in a real thread', { timeout: 120_000 }, async (t) => {
  const pool = new CryptoPool({ deadlineMs: LONG_MS });
  t.teardown(() => pool.close());
  const base64 = (text: string, encoding: BufferEncoding = 'utf8'): string =>
    Buffer.from(text, encoding).toString('base64').replace(/=+$/, '');
  // RFC 7914 §12
  const rfc =
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887';
  const rows: readonly (readonly [hash: string, password: string])[] = [
    [`$scrypt$ln=14,r=8,p=1$${base64('SodiumChloride')}$${base64(rfc, 'hex')}`, 'pleaseletmein'],
    // passlib's documentation
    ['$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E', 'password'],
    // crypt_blowfish, wrapper.c
    ['$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'U*U'],
    ['$2b$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK', 'U*U*'],
    ['$2y$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui', ABOVE_72],
  ];
  for (const [hash, password] of rows) {
    t.strictSame(await pool.verifyPassword(hash, password), MATCH, hash);
    t.strictSame(await pool.verifyPassword(hash, `x${password}`), NO_MATCH, hash);
    t.strictSame(await pool.verifyPassword(hash, ''), NO_MATCH, hash);
  }
  const [, , , bcrypt = ['', '']] = rows;
  const twins = [`${bcrypt[1]}\0`, `${bcrypt[1]}\0${bcrypt[1]}`];
  for (const twin of twins)
    t.strictSame(await pool.verifyPassword(bcrypt[0], twin), NO_MATCH, 'a NUL ends no password');
  for (const dear of [
    '$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
    rows[1]?.[0].replace('16', '30') ?? '',
  ])
    t.strictSame(await pool.verifyPassword(dear, 'x'), FAILED, 'refused, not tried');
});

t.test('no thread before the first password, none left when idle', async (t) => {
  const { pool, threads, seen } = startPool(t, { idleTimeoutMs: 1 });
  t.strictSame(seen, []);
  const idle = once(threads, '0', { signal: AbortSignal.timeout(20_000) });
  const awake = setInterval(() => {}, 1_000); // neither that signal nor an idle thread keeps a process alive
  t.teardown(() => clearInterval(awake));
  t.strictSame(await pool.verifyPassword('a', 'a'), MATCH);
  await idle;
  t.equal(seen[0], 1);
  t.strictSame(await pool.verifyPassword('a', 'b'), NO_MATCH, 'a new thread serves the next');
});

t.test('never more threads than maxThreads; overload is POOL_BUSY at once, the others are answered', async (t) => {
  const { pool, seen } = startPool(t, { maxThreads: 2, maxQueue: 3 });
  const answers = Array.from({ length: 9 }, (_, i) => pool.verifyPassword('a', i % 2 === 0 ? 'a' : 'b'));
  t.equal(pool.running, 2);
  t.equal(pool.waiting, 3);
  t.strictSame(await Promise.all(answers), [MATCH, NO_MATCH, MATCH, NO_MATCH, MATCH, BUSY, BUSY, BUSY, BUSY]);
  t.ok(Math.max(...seen) <= 2);
  t.equal(pool.running + pool.waiting, 0);
});

t.test('a task that hangs is ended at its deadline, and a new thread serves the next', async (t) => {
  const { pool } = startPool(t, { maxThreads: 1, deadlineMs: 3_000 });
  t.strictSame(await pool.verifyPassword('a', 'hang'), TIMEOUT);
  t.strictSame(await pool.verifyPassword('a', 'a'), MATCH);
});

t.test('waiting for a thread counts towards the deadline', async (t) => {
  const { pool } = startPool(t, { maxThreads: 1, deadlineMs: 100 });
  const answers = ['hang', 'hang', 'hang'].map((password) => pool.verifyPassword('a', password));
  t.strictSame(await Promise.all(answers), [TIMEOUT, TIMEOUT, TIMEOUT]);
});

t.test('a thread that dies takes only its own task with it', async (t) => {
  const { pool } = startPool(t, { maxThreads: 1 });
  const answers = ['exit', 'a', 'throw', 'odd', 'exit', 'b', 'a'].map((password) => pool.verifyPassword('a', password));
  t.strictSame(await Promise.all(answers), [FAILED, MATCH, FAILED, FAILED, FAILED, NO_MATCH, MATCH]);
});

t.test('a module that does not load fails every check, and none waits for its deadline', async (t) => {
  const broken = new URL('./broken_task.js', import.meta.url);
  const { pool } = startPool(t, { taskModule: broken, maxThreads: 1, deadlineMs: 600_000 });
  const answers = await Promise.all(['a', 'b'].map((password) => pool.verifyPassword('a', password)));
  t.strictSame(answers, [FAILED, FAILED]);
});

t.test('a caller that has gone leaves the queue', async (t) => {
  const { pool } = startPool(t, { maxThreads: 1 });
  const gone = new AbortController();
  const running = pool.verifyPassword('a', 'a', gone.signal);
  const waiting = pool.verifyPassword('a', 'hang', gone.signal);
  const other = pool.verifyPassword('a', 'a');
  t.equal(pool.waiting, 2);
  gone.abort();
  t.equal(pool.waiting, 1);
  t.strictSame(await Promise.all([running, waiting, other]), [FAILED, FAILED, MATCH]);
  t.strictSame(await pool.verifyPassword('a', 'a', gone.signal), FAILED, 'gone before it asked');
});

t.test('close answers what runs, what waits and what comes after', async (t) => {
  const { pool } = startPool(t, { maxThreads: 1 });
  const answers = ['hang', 'a', 'a'].map((password) => pool.verifyPassword('a', password));
  await pool.close();
  t.strictSame(await Promise.all([...answers, pool.verifyPassword('a', 'a')]), [FAILED, FAILED, FAILED, FAILED]);
});
