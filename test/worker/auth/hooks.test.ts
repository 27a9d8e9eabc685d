import t from 'tap';
import { TunnelError } from '../../../src/shared/errors.js';
import { after } from '../../../src/shared/timer.js';
import { callHook, readMethods, readVerdict } from '../../../src/worker/auth/hooks.js';

const CLOSING = new AbortController().signal;
/** A clock that never strikes. */
const never = (): (() => void) => () => {};

t.test('a hook that answers, at once or later', async (t) => {
  for (const hook of [() => true, async () => true]) {
    t.strictSame(await callHook(hook, { timeoutMs: 1, closing: CLOSING, after: never }), { ok: true, value: true });
  }
});

t.test('a hook that throws or rejects is a failure with its code', async (t) => {
  const rows: ReadonlyArray<readonly [unknown, string]> = [
    [new Error('no\nline'), 'HOOK_FAILED'],
    ['text', 'HOOK_FAILED'],
    [undefined, 'HOOK_FAILED'],
    [new TunnelError('POOL_BUSY', 'full'), 'POOL_BUSY'],
    [new TunnelError('HOOK_TIMEOUT', 'late'), 'HOOK_TIMEOUT'],
    [new TunnelError('INTERNAL', 'bug'), 'HOOK_FAILED'],
  ];
  for (const [thrown, code] of rows) {
    const hooks = [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
    ];
    for (const hook of hooks) {
      const answer = await callHook(hook, { timeoutMs: 1, closing: CLOSING, after: never });
      t.match(answer, { ok: false, code, detail: String });
      t.notMatch(answer, { detail: /\n/ });
    }
  }
});

t.test('a hook that hangs is given up at the deadline and told so', async (t) => {
  let strike = (): void => {};
  const clock = (ms: number, callback: () => void): (() => void) => {
    t.equal(ms, 5_000);
    strike = callback;
    return () => {};
  };
  let heard: AbortSignal | undefined;
  const hook = (signal: AbortSignal): Promise<boolean> => {
    heard = signal;
    return new Promise(() => {});
  };
  const answer = callHook(hook, { timeoutMs: 5_000, closing: CLOSING, after: clock });
  t.equal(heard?.aborted, false);
  strike();
  t.match(await answer, { ok: false, code: 'HOOK_TIMEOUT' });
  t.equal(heard?.aborted, true);
  const alive = setInterval(() => {}, 1_000); // the real clock's timers hold no process open
  t.teardown(() => clearInterval(alive));
  t.match(await callHook(hook, { timeoutMs: 1, closing: CLOSING, after }), { code: 'HOOK_TIMEOUT' }, 'the real clock');
});

t.test('the end of the connection ends the wait; a hook is not called after it', async (t) => {
  const closing = new AbortController();
  let calls = 0;
  const hook = (): Promise<boolean> => {
    calls += 1;
    return new Promise(() => {});
  };
  const answer = callHook(hook, { timeoutMs: 1, closing: closing.signal, after: never });
  closing.abort();
  t.match(await answer, { ok: false });
  t.match(await callHook(hook, { timeoutMs: 1, closing: closing.signal, after: never }), { ok: false });
  t.equal(calls, 1);
});

t.test('what counts as a yes', async (t) => {
  const fallback = { user: 'alice' };
  const own = { user: 'team', roles: ['x'] };
  t.equal(readVerdict(true, fallback), fallback);
  t.equal(readVerdict(own, fallback), own, 'an identity is handed on untouched');
  t.equal(readVerdict(false, fallback), false);
  const nonsense = [
    undefined,
    null,
    1,
    'true',
    'alice',
    {},
    [],
    { user: '' },
    { user: 1 },
    { user: 'a', fingerprint: 1 },
  ];
  for (const value of [...nonsense, new Error('no'), () => true]) t.equal(readVerdict(value, fallback), null);
});

t.test('method lists', async (t) => {
  t.strictSame(readMethods(['password', 'publickey', 'password', 'hostbased', 7]), ['publickey', 'password']);
  t.strictSame(readMethods([]), []);
  for (const value of [undefined, null, 'publickey', { 0: 'publickey' }]) t.equal(readMethods(value), null);
});
