/** A hook may do what it likes: the connection gets a verdict, in time, and yes only where yes was said. */
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { Duplex, PassThrough, Readable, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { TunnelServer } from '../../src/library/tunnel_server.js';
import type { Address } from '../../src/shared/address.js';
import { Refused, refuse, type Verdict } from '../../src/shared/errors.js';
import type { Identity } from '../../src/shared/identity.js';
import type { PortRange } from '../../src/shared/port.js';
import type { Session } from '../../src/worker/connection/session.js';
import type { DirectVerdict } from '../../src/worker/forward/direct.js';
import { GuardedPolicy } from '../../src/worker/guarded.js';
import type { IdentityLimits } from '../../src/worker/server.js';

const identity: Identity = { user: 'alice' };
const LOOPBACK: Address = { family: 4, text: '127.0.0.1', bytes: [127, 0, 0, 1] };

/** All four questions, each answered by `answer`. */
class Answering extends TunnelServer {
  readonly #answer: (signal: AbortSignal | undefined) => unknown;
  constructor(answer: (signal: AbortSignal | undefined) => unknown) {
    super();
    this.#answer = answer;
  }
  // A user's hook may answer anything at all: JavaScript does not look at our types.
  override checkDirect(_origin: unknown, _destination: unknown, _identity: unknown, signal: AbortSignal): boolean {
    return this.#answer(signal) as boolean;
  }
  override checkForwardAddress(_address: unknown, _identity: unknown, signal: AbortSignal): boolean {
    return this.#answer(signal) as boolean;
  }
  override checkDial(): boolean {
    return this.#answer(undefined) as boolean;
  }
  override checkDialPath(): boolean {
    return this.#answer(undefined) as boolean;
  }
}

function ask(hooks: TunnelServer, signal: AbortSignal = new AbortController().signal, timeoutMs = 20) {
  const guarded = new GuardedPolicy({ hooks, identity, timeoutMs });
  const destination = { kind: 'tcp', host: 'a', port: 1 } as const;
  return {
    direct: (): Promise<DirectVerdict> => guarded.checkDirect({ host: '', port: 0 }, destination, signal),
    later: (): Promise<DirectVerdict[]> =>
      Promise.all([
        guarded.checkDirect({ host: '', port: 0 }, destination, signal),
        guarded.checkForward({ kind: 'tcp', host: 'a', port: 1 }, signal),
      ]),
    now: (): Verdict[] => [guarded.checkDial(destination, LOOPBACK), guarded.checkDialPath('/a')],
  };
}

/** The refusal of an answer that is none; it says what came, and none of its content. */
function nonsense(kind: string): object {
  const detail = new RegExp(
    `^check\\w+: answered ${kind}; wanted true, false(?:, refuse\\(…\\), a Duplex or a server| or refuse\\(…\\))$`,
  );
  return { allow: false, code: 'HOOK_FAILED', detail };
}

/** What is thrown as `Refused` by a hook that has another copy of this package. */
class ForeignRefused extends Error {
  override readonly name = 'Refused';
  readonly verdict: unknown;
  constructor(verdict: unknown) {
    super('no');
    this.verdict = verdict;
  }
}

function throwing(thrown: unknown): () => never {
  return () => {
    throw thrown;
  };
}

const CASES: ReadonlyArray<readonly [name: string, answer: () => unknown, verdict: object]> = [
  ['true', () => true, { allow: true }],
  ['false', () => false, { allow: false, code: 'POLICY_DENIED' }],
  ['a verdict that allows', () => ({ allow: true }), { allow: true }],
  ['a verdict with a reason', () => ({ allow: false, code: 'CHANNEL_LIMIT' }), { allow: false, code: 'CHANNEL_LIMIT' }],
  [
    'a verdict with a reason of its own',
    () => ({ allow: false, code: 'BECAUSE' }),
    { allow: false, code: 'HOOK_FAILED' },
  ],
  [
    'a verdict with a reason from Object',
    () => ({ allow: false, code: 'toString' }),
    { allow: false, code: 'HOOK_FAILED' },
  ],
  ['a verdict without a reason', () => ({ allow: false }), { allow: false, code: 'HOOK_FAILED' }],
  ['a truthy verdict', () => ({ allow: 1 }), { allow: false, code: 'HOOK_FAILED' }],
  ['undefined', () => undefined, nonsense('undefined')],
  ['null', () => null, nonsense('null')],
  ['1', () => 1, nonsense('a number')],
  ['"true"', () => 'true', nonsense('a string')],
  ['a list', () => [true], nonsense('a list')],
  ['a function', () => () => true, nonsense('a function')],
  ['an empty object', () => ({}), nonsense('an object')],
  ['a throw', throwing(new Error('broken\nhook')), { allow: false, code: 'HOOK_FAILED', detail: /broken\\x0ahook$/ }],
  ['a throw of nothing', throwing(undefined), { allow: false, code: 'HOOK_FAILED', detail: /: undefined$/ }],
  ['a throw of Refused', throwing(new Refused(refuse('OWN_LISTENER'))), { allow: false, code: 'OWN_LISTENER' }],
  [
    'a throw of Refused with a reason',
    throwing(new Refused(refuse('POLICY_DENIED', 'for a reason'))),
    { allow: false, code: 'POLICY_DENIED', detail: /^for a reason$/ },
  ],
  [
    'a throw of the Refused of another copy of this package',
    throwing(new ForeignRefused({ allow: false, code: 'OWN_LISTENER' })),
    { allow: false, code: 'OWN_LISTENER' },
  ],
  [
    'a throw of a Refused that allows',
    throwing(new ForeignRefused({ allow: true })),
    { allow: false, code: 'HOOK_FAILED' },
  ],
  ['a throw of a Refused for nothing', throwing(new ForeignRefused(undefined)), { allow: false, code: 'HOOK_FAILED' }],
  [
    'a throw of a Refused with a reason of its own',
    throwing(new ForeignRefused({ allow: false, code: 'BECAUSE' })),
    { allow: false, code: 'HOOK_FAILED' },
  ],
  ['a throw of a verdict', throwing({ allow: false, code: 'OWN_LISTENER' }), { allow: false, code: 'HOOK_FAILED' }],
  ['a throw of true', throwing(true), { allow: false, code: 'HOOK_FAILED' }],
  ['a Refused that is answered', () => new Refused(refuse('OWN_LISTENER')), nonsense('an object')],
];
for (const [name, answer, verdict] of CASES)
  t.test(`${name}, at once and later`, async (t) => {
    t.match(ask(new Answering(answer)).now(), [verdict, verdict]);
    t.match(await ask(new Answering(answer)).later(), [verdict, verdict]);
    t.match(await ask(new Answering(async () => answer())).later(), [verdict, verdict]);
  });

/** That says yes besides is no help. */
function thenable(then: (answer: (value: unknown) => void) => void): object {
  return { allow: true, then };
}

t.test('a promise where an answer is due at once', async (t) => {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => {
    unhandled.push(reason);
  };
  process.on('unhandledRejection', onUnhandled);
  t.teardown(() => process.off('unhandledRejection', onUnhandled));
  const promises: ReadonlyArray<readonly [name: string, answer: () => unknown]> = [
    ['a yes', async () => true],
    ['limits', async () => ({ connections: 1, channels: 1, forwards: 1 })],
    ['port ranges', async () => [[1024, 2048]]],
    ['one that hangs', () => new Promise(() => {})],
    ['one that rejects', () => Promise.reject(new Error('later'))],
    ['one that rejects later', () => new Promise((_resolve, reject) => setImmediate(reject, new Error('later')))],
    ['one that refuses', () => Promise.reject(new Refused(refuse('OWN_LISTENER')))],
    ['a thenable', () => thenable((answer) => answer(true))],
    ['a thenable that throws', () => thenable(throwing(new Error('in then')))],
  ];
  for (const [name, answer] of promises) {
    const detail = (hook: string): string => `${hook}: answered a promise; this hook answers at once`;
    t.strictSame(
      ask(new Answering(answer)).now(),
      ['checkDial', 'checkDialPath'].map((hook) => refuse('HOOK_FAILED', detail(hook))),
      name,
    );
    t.throws(() => guard(answer).limits(), { code: 'HOOK_FAILED', message: detail('limits') }, name);
    t.throws(() => guard(answer).portRanges('a'), { code: 'HOOK_FAILED', message: detail('portRanges') }, name);
  }
  // Node tells of a rejection that nobody handles when the microtasks behind it are done; the late one comes after a turn.
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  t.same(unhandled, [], 'and no rejection is left to end the process');
});

/** The deadline's timer holds no process open, and here is nothing else that would. */
function stayAwake(t: Test): void {
  const awake = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(awake));
}

t.test('a hook that hangs', async (t) => {
  stayAwake(t);
  const signals: (AbortSignal | undefined)[] = [];
  const hooks = new Answering((signal) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  t.match(await ask(hooks).later(), [
    { allow: false, code: 'HOOK_TIMEOUT' },
    { allow: false, code: 'HOOK_TIMEOUT' },
  ]);
  t.same(
    signals.map((signal) => signal?.aborted),
    [true, true],
    'and it is told',
  );
});

t.test('a peer that leaves meanwhile', async (t) => {
  const ending = new AbortController();
  const asked = ask(new Answering(() => new Promise(() => {})), ending.signal, 60_000).later();
  ending.abort();
  t.match(await asked, [{ allow: false }, { allow: false }]);
});

t.test('a target in this program is a yes to a direct open', async (t) => {
  for (const target of [new PassThrough(), createHttpServer(), createServer()])
    for (const answer of [() => target, async () => target]) {
      const verdict = await ask(new Answering(answer)).direct();
      const found = verdict.allow && 'target' in verdict ? verdict.target : undefined;
      if (target instanceof PassThrough) t.ok(found?.kind === 'duplex' && found.duplex === target);
      else t.ok(found?.kind === 'server' && found.server === target, target.constructor.name);
    }
});

t.test('a server with a destroy() of its own (the package server-destroy) is a server', async (t) => {
  const server = Object.assign(createHttpServer(), { destroy: () => t.fail('destroyed') });
  const verdict = await ask(new Answering(() => server)).direct();
  t.match(verdict, { allow: true, target: { kind: 'server' } });
});

t.test('what is no target, or cannot be joined any more, denies', async (t) => {
  const destroyed = new PassThrough();
  destroyed.destroy();
  const once = { pipe() {}, on() {}, read() {}, write() {}, end() {}, destroy: true };
  for (const [name, target] of [
    ['a stream that is destroyed', destroyed],
    ['one that can only be read', new Readable({ read() {} })],
    ['one that can only be written', new Writable({ write() {} })],
    ['what only looks like a stream', once],
    ['a class', PassThrough],
  ] as const)
    t.match(await ask(new Answering(() => target)).direct(), { allow: false, code: 'HOOK_FAILED' }, name);
});

t.test('a stream that an error has destroyed: the error, which comes behind the answer, ends no process', async (t) => {
  const broken = (): Duplex => new PassThrough().destroy(new Error('dead'));
  // As a message of the peer's would: from the event loop, where the error comes before any promise goes on.
  const verdict = await new Promise((resolve) => setImmediate(() => resolve(ask(new Answering(broken)).direct())));
  t.match(verdict, { allow: false, code: 'HOOK_FAILED', detail: 'checkDirect: answered a stream that is destroyed' });
});

t.test('a stream of objects and not of bytes denies, and is destroyed', async (t) => {
  for (const mode of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    const stream = new Duplex({ read() {}, write() {}, [mode]: true });
    const verdict = await ask(new Answering(() => stream)).direct();
    t.match(verdict, { allow: false, code: 'HOOK_FAILED', detail: /^checkDirect: .*object mode/ }, mode);
    t.ok(stream.destroyed, mode);
  }
});

t.test('a target is an answer to nothing else, and none comes in by a verdict', async (t) => {
  const target = new PassThrough();
  const denied = { allow: false, code: 'HOOK_FAILED' };
  t.match((await ask(new Answering(() => target)).later())[1], denied, 'a bind');
  t.match(ask(new Answering(() => target)).now(), [denied, denied], 'a dial');
  const smuggled = ask(new Answering(() => ({ allow: true, target: 'anything' })));
  t.strictSame(await smuggled.later(), [{ allow: true }, { allow: true }]);
  t.strictSame(smuggled.now(), [{ allow: true }, { allow: true }]);
});

t.test('a stream that comes when nobody waits for it any more is destroyed; a server is not', async (t) => {
  stayAwake(t);
  for (const ended of ['the deadline', 'the peer'] as const) {
    const stream = new Duplex({
      read() {},
      write() {},
      destroy: (_error, done) => done(new Error('its own trouble')),
    });
    const server = createServer().listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    const destroyable = Object.assign(createServer(), { destroy: () => t.fail('destroyed') });
    const dead = new PassThrough();
    dead.destroy();
    for (const target of [stream, server, destroyable, dead]) {
      const ending = new AbortController();
      let answer = (_target: unknown): void => {};
      const hooks = new Answering(
        () =>
          new Promise((resolve) => {
            answer = resolve;
          }),
      );
      const asked = ask(hooks, ending.signal, ended === 'the peer' ? 60_000 : 20).direct();
      if (ended === 'the peer') ending.abort();
      t.match(await asked, { allow: false });
      answer(target);
      await new Promise(setImmediate);
    }
    t.ok(stream.destroyed, ended);
    t.ok(server.listening, 'it has other connections');
  }
});

/** A server whose hooks without a verdict answer `value`, whatever it is. */
class Loose extends TunnelServer {
  readonly #answer: () => unknown;
  constructor(answer: () => unknown) {
    super();
    this.#answer = answer;
  }
  override limits(): IdentityLimits {
    return this.#answer() as IdentityLimits;
  }
  override portRanges(): PortRange[] {
    return this.#answer() as PortRange[];
  }
  override onSession(...called: Parameters<TunnelServer['onSession']>): Promise<void> {
    calls.push(called);
    return this.#answer() as Promise<void>;
  }
}

const calls: Parameters<TunnelServer['onSession']>[] = [];

function guard(answer: () => unknown): GuardedPolicy {
  return new GuardedPolicy({ hooks: new Loose(answer), identity, timeoutMs: 1000 });
}

const NO_RATES = {
  bytesPerSecond: Number.POSITIVE_INFINITY,
  opensPerSecond: Number.POSITIVE_INFINITY,
  failedOpensPerMinute: Number.POSITIVE_INFINITY,
};
const NEVER = { expiresAtMs: Number.POSITIVE_INFINITY };

t.test('limits: three numbers and perhaps rates and the memory, or a fault', async (t) => {
  const limits = (connections: unknown, channels: unknown = 2, forwards: unknown = 3) => ({
    connections,
    channels,
    forwards,
    ...NO_RATES,
  });
  for (const [given, kept] of [
    [limits(1), limits(1)],
    [limits(0, 0, 0), limits(0, 0, 0)],
    [limits(5.9), limits(5)],
    [limits(Number.POSITIVE_INFINITY), limits(Number.MAX_SAFE_INTEGER)],
    [{ ...limits(1), more: 'of his own' }, limits(1)],
    [{ ...limits(1), bytesPerSecond: undefined }, limits(1)],
    [
      { ...limits(1), bytesPerSecond: 1.5 },
      { ...limits(1), bytesPerSecond: 1.5 },
    ],
  ])
    t.strictSame(guard(() => given).limits(), { ...NEVER, ...kept, memoryBytes: 0 });
  t.strictSame(
    JSON.parse(JSON.stringify(guard(() => limits(Number.POSITIVE_INFINITY)).limits())).connections,
    2 ** 53 - 1,
  );
  for (const name of Object.keys(NO_RATES))
    for (const value of [0, 0.9, -1, Number.NaN, '5MiB', null, 5n, {}])
      t.throws(
        () => guard(() => ({ ...limits(1), [name]: value })).limits(),
        { code: 'HOOK_FAILED', message: `limits: answered a ${name} that is no number from 1 to Infinity` },
        `${name} ${value}`,
      );
  for (const value of [0, -1, 1.5, Date.now(), Number.POSITIVE_INFINITY])
    t.equal(guard(() => ({ ...limits(1), expiresAtMs: value })).limits().expiresAtMs, value);
  for (const value of [Number.NaN, null, '2030-01-01', new Date(), 5n])
    t.throws(
      () => guard(() => ({ ...limits(1), expiresAtMs: value })).limits(),
      { code: 'HOOK_FAILED', message: 'limits: answered an expiresAtMs that is no number of milliseconds since 1970' },
      `expiresAtMs ${value}`,
    );
  t.equal(guard(() => ({ ...limits(1), memoryBytes: 5.5 })).limits().memoryBytes, 5);
  t.throws(() => guard(() => ({ ...limits(1), memoryBytes: '5' })).limits(), { code: 'HOOK_FAILED' });
  const bad = [Number.NaN, -1, Number.NEGATIVE_INFINITY, '5', null, undefined, 5n, {}, [5], true];
  for (const value of bad)
    for (const given of [limits(value), limits(1, value ?? null), limits(1, 2, value ?? null)])
      t.throws(() => guard(() => given).limits(), { code: 'HOOK_FAILED' }, String(value));
  for (const given of [undefined, null, 5, 'none', {}, Promise.resolve(limits(1))])
    t.throws(() => guard(() => given).limits(), { code: 'HOOK_FAILED' }, String(given));
  const broken = guard(throwing(new Error('the database is gone')));
  t.throws(() => broken.limits(), { code: 'HOOK_FAILED', message: /^limits: the database is gone$/ });
  const refusing = guard(throwing(new Refused(refuse('CHANNEL_LIMIT'))));
  t.throws(
    () => refusing.limits(),
    { code: 'HOOK_FAILED', message: /^limits: CHANNEL_LIMIT$/ },
    'no verdict is asked for',
  );
});

t.test('port ranges: a list of pairs of ports, or a fault', async (t) => {
  for (const ranges of [
    [],
    [[1, 65_535]],
    [
      [5, 5],
      [20_000, 20_009],
    ],
  ])
    t.strictSame(guard(() => ranges).portRanges('a'), ranges);
  for (const ranges of [
    undefined,
    null,
    {},
    '1-5',
    [1, 5],
    [[1]],
    [[1, 2, 3]],
    [[0, 5]],
    [[1, 65_536]],
    [[1.5, 2]],
    [['1', '5']],
    [[1, Number.NaN]],
    [[1, 5], null],
    Promise.resolve([[1, 5]]),
  ])
    t.throws(() => guard(() => ranges).portRanges('a'), { code: 'HOOK_FAILED' }, JSON.stringify(ranges));
  for (const [ranges, kind] of [
    [undefined, 'undefined'],
    [5, 'a number'],
    ['1-5', 'a string'],
    [[1, 5], 'a list'],
    [{}, 'an object'],
  ])
    t.throws(() => guard(() => ranges).portRanges('a'), {
      message: `portRanges: answered ${kind}; wanted a list of [low, high] pairs of ports`,
    });
  const broken = guard(throwing(new Error('no')));
  t.throws(() => broken.portRanges('a'), { code: 'HOOK_FAILED', message: /^portRanges: no$/ });
});

t.test('a session belongs to the hook: a fault of it is told, now or later, and nothing else', async (t) => {
  const session: Session = Object.create(null);
  const { signal } = new AbortController();
  const faults: string[] = [];
  const hand = async (answer: () => unknown): Promise<string[]> => {
    guard(answer).onSession(session, signal, (detail) => faults.push(detail));
    await new Promise(setImmediate);
    return faults.splice(0);
  };
  t.same(await hand(() => undefined), []);
  const [called] = calls;
  t.ok(called?.[0] === session && called[1] === identity && called[2] === signal);
  t.same(await hand(async () => 'whatever'), []);
  t.same(await hand(() => new Promise(() => {})), [], 'as long as it likes: it has no deadline');
  t.same(await hand(() => Promise.reject(new Error('two\nlines'))), ['onSession: two\\x0alines']);
  t.same(await hand(() => Promise.reject(undefined)), ['onSession: undefined']);
  t.same(await hand(throwing(new Error('at once'))), ['onSession: at once']);
});
