/** Layers: fake look-ups and a timer that the test fires; the system's own look-up once, for localhost. */
import t from 'tap';
import type { After } from '../../../src/shared/timer.js';
import { type Resolution, Resolver, type ResolverOptions, systemLookup } from '../../../src/worker/forward/resolve.js';

/** Look-ups that end when the test says so. */
class Lookups {
  readonly names: string[] = [];
  readonly #ends: Array<PromiseWithResolvers> = [];

  readonly lookup = (name: string): Promise<readonly string[]> => {
    const end = withResolvers();
    this.names.push(name);
    this.#ends.push(end);
    return end.promise;
  };
  answer(index: number, addresses: readonly string[]): void {
    this.#ends[index]?.resolve(addresses);
  }
  fail(index: number, code: string): void {
    this.#ends[index]?.reject(Object.assign(new Error(code), { code }));
  }
}

interface PromiseWithResolvers {
  promise: Promise<readonly string[]>;
  resolve: (addresses: readonly string[]) => void;
  reject: (error: Error) => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve: PromiseWithResolvers['resolve'] = () => {};
  let reject: PromiseWithResolvers['reject'] = () => {};
  const promise = new Promise<readonly string[]>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Timers that run out when the test says so. */
class Timers {
  readonly #armed = new Set<() => void>();
  readonly delays: number[] = [];

  readonly after: After = (delayMs, fire) => {
    this.delays.push(delayMs);
    this.#armed.add(fire);
    return () => this.#armed.delete(fire);
  };
  get armed(): number {
    return this.#armed.size;
  }
  fireAll(): void {
    for (const fire of [...this.#armed]) fire();
  }
}

function setUp(options: Partial<ResolverOptions> = {}): { resolver: Resolver; lookups: Lookups; timers: Timers } {
  const lookups = new Lookups();
  const timers = new Timers();
  const resolver = new Resolver({ lookup: lookups.lookup, after: timers.after, ...options });
  return { resolver, lookups, timers };
}

function texts(resolution: Resolution): readonly string[] | string {
  return resolution.ok ? resolution.addresses.map(({ text }) => text) : resolution.code;
}

/** Lets what follows a look-up's end run. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

t.test('literals and localhost need no look-up', async (t) => {
  const { resolver, lookups } = setUp();
  for (const [host, expected] of [
    ['10.0.0.1', ['10.0.0.1']],
    ['127.1', ['127.0.0.1']],
    ['[::1]', ['::1']],
    ['::ffff:10.0.0.1', ['10.0.0.1']],
    ['localhost', ['127.0.0.1', '::1']], // RFC 6761 §6.3
    ['LocalHost.', ['127.0.0.1', '::1']],
    ['db.localhost', ['127.0.0.1', '::1']],
    ['bad host', 'NAME_NOT_FOUND'],
    ['', 'NAME_NOT_FOUND'],
  ] as const) {
    t.same(texts(await resolver.resolve(host)), expected, host);
  }
  t.same(lookups.names, []);
});

t.test('a name is asked for once, and its addresses are canonical, unique and few', async (t) => {
  const { resolver, lookups, timers } = setUp();
  const pending = resolver.resolve('DB.Internal.');
  lookups.answer(0, ['::ffff:10.0.0.1', '10.0.0.1', 'fe80::1%eth0', 'junk', '2001:DB8::1']);
  t.same(texts(await pending), ['10.0.0.1', '2001:db8::1']);
  t.same(lookups.names, ['db.internal']);
  t.same(timers.delays, [3000]);
  t.equal(timers.armed, 0, 'the deadline is disarmed');

  const many = resolver.resolve('many.example');
  lookups.answer(
    1,
    Array.from({ length: 1000 }, (_, at) => `10.0.${at >> 8}.${at & 255}`),
  );
  const resolution = await many;
  t.equal(resolution.ok && resolution.addresses.length, 16);
});

t.test('failures have stable codes', async (t) => {
  for (const [code, expected] of [
    ['ENOTFOUND', 'NAME_NOT_FOUND'],
    ['ENODATA', 'NAME_NOT_FOUND'],
    ['EAI_AGAIN', 'NAME_TIMEOUT'],
    ['EMFILE', 'RESOURCE_SHORTAGE'],
    ['EWHATEVER', 'NAME_NOT_FOUND'],
  ] as const) {
    const { resolver, lookups } = setUp();
    const pending = resolver.resolve('x.example');
    lookups.fail(0, code);
    t.equal(texts(await pending), expected, code);
  }
  const { resolver, lookups } = setUp();
  const empty = resolver.resolve('x.example');
  lookups.answer(0, []);
  t.equal(texts(await empty), 'NAME_NOT_FOUND');
  const thrower = new Resolver({
    lookup: () => {
      throw new Error('at once');
    },
  });
  t.equal(texts(await thrower.resolve('x.example')), 'NAME_NOT_FOUND', 'a look-up that throws is a failed one');
  t.same(thrower.load, { active: 0, queued: 0 });
});

t.test('an abandoned look-up keeps its place until it ends', async (t) => {
  const { resolver, lookups, timers } = setUp({ maxActive: 1 });
  const first = resolver.resolve('slow.example');
  const second = resolver.resolve('next.example');
  t.same(resolver.load, { active: 1, queued: 1 });
  timers.fireAll();
  t.equal(texts(await first), 'NAME_TIMEOUT');
  t.equal(texts(await second), 'NAME_TIMEOUT', 'time in the queue counts');
  t.same(resolver.load, { active: 1, queued: 0 });
  const third = resolver.resolve('third.example');
  t.same(lookups.names, ['slow.example'], 'no place yet');
  lookups.answer(0, ['10.0.0.1']);
  await settle();
  t.same(lookups.names, ['slow.example', 'third.example'], 'who had given up is never looked up');
  lookups.answer(1, ['10.0.0.3']);
  t.same(texts(await third), ['10.0.0.3']);
  await settle();
  t.same(resolver.load, { active: 0, queued: 0 });
});

t.test('the queue is bounded and keeps its order', async (t) => {
  const { resolver, lookups } = setUp({ maxActive: 1, maxQueued: 2 });
  const pending = ['a', 'b', 'c', 'd'].map((name) => resolver.resolve(name));
  t.equal(texts((await pending[3]) ?? { ok: true, addresses: [] }), 'RESOURCE_SHORTAGE');
  for (let index = 0; index < 3; index++) {
    lookups.answer(index, [`10.0.0.${index}`]);
    await settle();
  }
  t.same(lookups.names, ['a', 'b', 'c']);
});

t.test('one owner cannot fill the queue', async (t) => {
  const { resolver, lookups } = setUp({ maxActive: 1, maxQueued: 8, maxQueuedPerOwner: 2 });
  const dead = ['dead0', 'dead1', 'dead2', 'dead3'].map((name) => resolver.resolve(name, { owner: 'mallory' }));
  t.equal(texts((await dead[3]) ?? { ok: true, addresses: [] }), 'RESOURCE_SHORTAGE');
  const bystander = resolver.resolve('db.example', { owner: 'alice' });
  t.equal(resolver.load.queued, 3);
  for (let index = 0; index < 3; index++) {
    lookups.fail(index, 'ENOTFOUND');
    await settle();
  }
  lookups.answer(3, ['10.0.0.1']);
  t.same(texts(await bystander), ['10.0.0.1']);
});

t.test('one owner cannot take every place', async (t) => {
  const { resolver, lookups } = setUp({ maxActive: 2, maxActivePerOwner: 1 });
  void resolver.resolve('dead1.example', { owner: 'mallory' });
  void resolver.resolve('dead2.example', { owner: 'mallory' });
  const bystander = resolver.resolve('db.example', { owner: 'alice' });
  t.same(lookups.names, ['dead1.example', 'db.example']);
  lookups.answer(1, ['10.0.0.1']);
  t.same(texts(await bystander), ['10.0.0.1']);
  await settle();
  t.same(lookups.names, ['dead1.example', 'db.example'], 'her second one still waits for her first');
  lookups.fail(0, 'ENOTFOUND');
  await settle();
  t.same(lookups.names, ['dead1.example', 'db.example', 'dead2.example']);
});

t.test('several owners together cannot take every place either', async (t) => {
  const { resolver, lookups } = setUp();
  const mallories = ['mallory', 'mallet', 'trudy'];
  for (const owner of mallories) for (let count = 0; count < 8; count++) void resolver.resolve('dead', { owner });
  t.same(resolver.load, { active: 7, queued: 17 }, '4, 2 and 1');
  const bystander = resolver.resolve('db.example', { owner: 'alice' });
  lookups.answer(7, ['10.0.0.1']);
  t.same(texts(await bystander), ['10.0.0.1']);
  await settle();
  t.same(resolver.load, { active: 7, queued: 17 }, 'her place is not one of theirs now');
  const other = resolver.resolve('www.example', { owner: 'bob' });
  lookups.answer(8, ['10.0.0.2']);
  t.same(texts(await other), ['10.0.0.2']);
  for (let index = 0; index < 4; index++) lookups.fail(index, 'EAI_AGAIN');
  await settle();
  t.ok(resolver.load.active >= 4 && resolver.load.active < 8, 'what has ended makes room for what waits');
  t.equal(resolver.load.active + resolver.load.queued, 20);
});

t.test('an abort ends the call and leaves the queue', async (t) => {
  const { resolver, lookups, timers } = setUp({ maxActive: 1 });
  const control = new AbortController();
  const running = resolver.resolve('a', { signal: control.signal });
  const queued = resolver.resolve('b', { signal: control.signal });
  control.abort();
  t.equal(texts(await running), 'NAME_TIMEOUT');
  t.equal(texts(await queued), 'NAME_TIMEOUT');
  t.equal(texts(await resolver.resolve('c', { signal: control.signal })), 'NAME_TIMEOUT', 'aborted before the call');
  t.equal(timers.armed, 0);
  t.same(resolver.load, { active: 1, queued: 0 });
  t.same(lookups.names, ['a']);
});

t.test('the system knows localhost', async (t) => {
  const found = await systemLookup('localhost');
  t.ok(found.includes('127.0.0.1') || found.includes('::1'), found.join());
});
