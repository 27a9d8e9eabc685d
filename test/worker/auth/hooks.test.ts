import t from 'tap';
import { TunnelError } from '../../../src/shared/errors.js';
import { after } from '../../../src/shared/timer.js';
import { callHook, LoginRefused, readLoginAnswer } from '../../../src/worker/auth/hooks.js';

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

t.test("a no with a reason is the hook's own word, whichever copy of the package it comes from", async (t) => {
  const options = { timeoutMs: 1, closing: CLOSING, after: never };
  const foreign = Object.assign(new Error('x'), { name: 'LoginRefused', code: 'KEY_EXPIRED', detail: 'a\nb' });
  const answer = { ok: false, refused: true, code: 'KEY_EXPIRED' };
  t.match(await callHook(() => Promise.reject(new LoginRefused('KEY_EXPIRED', 'keys:3')), options), {
    ...answer,
    detail: 'keys:3',
  });
  t.match(await callHook(() => Promise.reject(new LoginRefused('KEY_EXPIRED')), options), {
    ...answer,
    detail: undefined,
  });
  t.match(await callHook(() => Promise.reject(foreign), options), { ...answer, detail: /^[^\n]+$/ });
  const unknown = Object.assign(new Error('x'), { name: 'LoginRefused', code: 'NO_SUCH_CODE' });
  t.match(await callHook(() => Promise.reject(unknown), options), { ok: false, code: 'HOOK_FAILED' });
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

t.test('an answer that nobody waits for any more is given to `onLate`, once, and no other one is', async (t) => {
  for (const ended of ['the deadline', 'the connection'] as const) {
    const late: unknown[] = [];
    const closing = new AbortController();
    let strike = (): void => {};
    const clock = (_ms: number, callback: () => void): (() => void) => {
      strike = callback;
      return () => {};
    };
    let answer = (_value: unknown): void => {};
    const hook = (): Promise<unknown> =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const options = {
      timeoutMs: 1,
      closing: closing.signal,
      after: clock,
      onLate: (value: unknown) => late.push(value),
    };
    const inTime = callHook(hook, options);
    answer('in time');
    t.match(await inTime, { ok: true, value: 'in time' });
    t.same(late, []);
    const given = callHook(hook, options);
    if (ended === 'the deadline') strike();
    else closing.abort();
    t.match(await given, { ok: false });
    answer('too late');
    await new Promise(setImmediate);
    t.same(late, ['too late'], ended);
  }
});

t.test('a hook that answers at once sets no clock', async (t) => {
  const after = (): never => t.fail('a timer for an answer that is there') as never;
  t.strictSame(await callHook(() => 'now', { timeoutMs: 1, closing: CLOSING, after }), { ok: true, value: 'now' });
});

t.test('one that ends the connection while it answers has answered nobody', async (t) => {
  const closing = new AbortController();
  const late: unknown[] = [];
  let heard: AbortSignal | undefined;
  const ends = (signal: AbortSignal): string => {
    heard = signal;
    closing.abort();
    return 'after the end';
  };
  const onLate = (value: unknown): unknown => late.push(value);
  const answer = await callHook(ends, { timeoutMs: 1, closing: closing.signal, after: never, onLate });
  t.match(answer, { ok: false, code: 'HOOK_FAILED' });
  t.same([late, heard?.aborted], [['after the end'], true]);
});

t.test('one that ends the connection and throws says only that', async (t) => {
  const closing = new AbortController();
  const breaks = (): never => {
    closing.abort();
    throw new Error('broken');
  };
  const answer = await callHook(breaks, { timeoutMs: 1, closing: closing.signal, after: never });
  t.match(answer, { ok: false, detail: 'the connection ended' });
});

t.test('a promise whose own `then` or `catch` misbehaves is a promise all the same', async (t) => {
  const throwing = Promise.resolve('yes');
  const deaf = Promise.reject(new Error('no'));
  Object.defineProperty(throwing, 'then', {
    value() {
      throw new Error('broken');
    },
  });
  Object.defineProperty(deaf, 'catch', { value: () => undefined });
  const options = { timeoutMs: 1, closing: CLOSING, after: never };
  t.strictSame(await callHook(() => throwing, options), { ok: true, value: 'yes' });
  t.match(await callHook(() => deaf, options), { ok: false, detail: 'no' });
});

t.test('a hook that ends the connection and answers later is not waited for', async (t) => {
  const closing = new AbortController();
  const late: unknown[] = [];
  const onLate = (value: unknown): unknown => late.push(value);
  const ends = async (): Promise<string> => {
    closing.abort();
    return 'too late';
  };
  const answer = await callHook(ends, { timeoutMs: 1, closing: closing.signal, after: never, onLate });
  t.match(answer, { ok: false, code: 'HOOK_FAILED' });
  await new Promise(setImmediate);
  t.same(late, ['too late']);
});

t.test('what looks like a promise and breaks when it is looked at is a failure', async (t) => {
  const broken = Object.defineProperty({}, 'then', {
    get() {
      throw new Error('broken');
    },
  });
  t.match(await callHook(() => broken, { timeoutMs: 1, closing: CLOSING, after: never }), { code: 'HOOK_FAILED' });
});

t.test("a hook that rejects after its deadline is nobody's fault any more", async (t) => {
  let strike = (): void => {};
  const clock = (_ms: number, callback: () => void): (() => void) => {
    strike = callback;
    return () => {};
  };
  let fail = (_error: Error): void => {};
  const hook = (): Promise<boolean> =>
    new Promise((_resolve, reject) => {
      fail = reject;
    });
  const late: unknown[] = [];
  const onLate = (value: unknown): number => late.push(value);
  const answer = callHook(hook, { timeoutMs: 1, closing: CLOSING, after: clock, onLate });
  strike();
  fail(new Error('late'));
  t.match(await answer, { ok: false, code: 'HOOK_TIMEOUT' });
  await new Promise(setImmediate); // an unhandled rejection would fail the test
  t.same(late, []);
});

t.test('what counts as an answer to a login', async (t) => {
  t.equal(readLoginAnswer(true), true);
  t.equal(readLoginAnswer(false), false);
  for (const own of [
    { user: 'team', roles: ['x'] },
    { user: 'x'.repeat(255) },
    { user: 'é', fingerprint: undefined },
    { user: 'a', fingerprint: 'SHA256:x' },
  ])
    t.equal(readLoginAnswer(own), own, 'an identity is handed on untouched');
  const nonsense = [
    undefined,
    null,
    0,
    1,
    'true',
    'alice',
    {},
    [],
    { user: '' },
    { user: 1 },
    { user: 'x'.repeat(256) },
    { user: 'a\nb' },
    { user: 'exe.\u202etxt' },
    { user: 'a\u200b' },
    { user: 'a', fingerprint: 1 },
    { user: 'a', fingerprint: null },
  ];
  for (const value of [...nonsense, new Error('no'), () => true])
    t.equal(readLoginAnswer(value), null, JSON.stringify(value)?.slice(0, 40));
});

t.test('a function with a `then` is waited for, as `await` would', async (t) => {
  const stub = Object.defineProperty(() => {}, 'then', { value: (resolve: (value: boolean) => void) => resolve(true) });
  t.strictSame(await callHook(() => stub, { timeoutMs: 1, closing: CLOSING, after: never }), { ok: true, value: true });
});

t.test('what is thrown and cannot be read is a failure', async (t) => {
  const error = Object.defineProperty(new Error('x'), 'cause', {
    get() {
      throw new Error('trap');
    },
  });
  const options = { timeoutMs: 1, closing: CLOSING, after: never };
  const throwing = (): never => {
    throw error;
  };
  t.match(await callHook(throwing, options), { ok: false, code: 'HOOK_FAILED' });
  t.match(await callHook(async () => throwing(), options), { ok: false, code: 'HOOK_FAILED' });
});
