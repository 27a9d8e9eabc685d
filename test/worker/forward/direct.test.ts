/** A direct open with real targets: which questions are asked in which order, and what a no at each of them does. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import type { Address } from '../../../src/shared/address.js';
import { ALLOW, refuse, type Verdict } from '../../../src/shared/errors.js';
import { unconnectedSocket } from '../../../src/shared/handles.js';
import type { Destination } from '../../../src/shared/identity.js';
import { type DirectOutcome, type DirectVerdict, openDirect } from '../../../src/worker/forward/direct.js';
import { Resolver } from '../../../src/worker/forward/resolve.js';
import { deferred } from '../../support/deadline.js';
import { freePort, startEcho } from '../../support/targets.js';
import { tempDir } from '../../support/temp.js';

async function open(
  t: Test,
  destination: Destination,
  options: {
    readonly check?: (destination: Destination) => DirectVerdict | Promise<DirectVerdict>;
    readonly checkDial?: (candidate: Address) => Verdict;
    readonly checkDialPath?: (path: string) => Verdict;
    readonly names?: Readonly<Record<string, readonly string[]>>;
    readonly signal?: AbortSignal;
  } = {},
): Promise<{ outcome: DirectOutcome; asked: string[]; made: number }> {
  const asked: string[] = [];
  let made = 0;
  const outcome = await openDirect({ host: '', port: 0 }, destination, {
    policy: {
      checkDirect: async () => {
        asked.push('direct');
        return (await options.check?.(destination)) ?? ALLOW;
      },
      checkDial: (_destination, candidate) => {
        asked.push(candidate.text);
        return options.checkDial?.(candidate) ?? ALLOW;
      },
      checkDialPath: (path) => {
        asked.push(path);
        return options.checkDialPath?.(path) ?? ALLOW;
      },
    },
    resolver: new Resolver({
      lookup: async (name) => {
        asked.push(`look up ${name}`);
        const found = options.names?.[name];
        if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
        return [...found];
      },
    }),
    owner: 'alice',
    connectTimeoutMs: 5000,
    createSocket: () => {
      made++;
      return unconnectedSocket({ buffer: Buffer.alloc(1000), callback: () => true });
    },
    signal: options.signal ?? new AbortController().signal,
  });
  if (outcome.ok && 'socket' in outcome) t.teardown(() => outcome.socket.destroy());
  return { outcome, asked, made };
}

const at = (port: number, host = '127.0.0.1'): Destination => ({ kind: 'tcp', host, port });

t.test('the order: may it ask, look up, may this address be dialled', async (t) => {
  const { port } = await startEcho(t);
  const { outcome, asked } = await open(t, at(port, 'db.internal'), { names: { 'db.internal': ['127.0.0.1'] } });
  t.ok(outcome.ok);
  t.same(asked, ['direct', 'look up db.internal', '127.0.0.1']);
});

t.test('a no at the first question: nobody is asked what the name means', async (t) => {
  const { outcome, asked, made } = await open(t, at(80, 'db.internal'), { check: () => refuse('POLICY_DENIED') });
  t.match(outcome, { ok: false, code: 'POLICY_DENIED' });
  t.same([asked, made], [['direct'], 0]);
});

t.test('every address is asked about, and only those with a yes are dialled', async (t) => {
  const { port } = await startEcho(t);
  const names = { mixed: ['127.0.0.2', '127.0.0.1', '::1'] };
  const { outcome, asked } = await open(t, at(port, 'mixed'), {
    names,
    checkDial: ({ text }) => (text === '127.0.0.1' ? ALLOW : refuse('PROTECTED_DESTINATION')),
  });
  t.ok(outcome.ok && 'socket' in outcome && outcome.socket.remoteAddress === '127.0.0.1');
  t.same(asked.slice(2).sort(), ['127.0.0.1', '127.0.0.2', '::1']);

  const none = await open(t, at(port, 'mixed'), { names, checkDial: () => refuse('OWN_LISTENER') });
  t.match(none.outcome, { ok: false, code: 'OWN_LISTENER' });
  t.equal(none.made, 0);
});

t.test('a target inside this program: nothing is resolved, asked about further or dialled', async (t) => {
  const duplex = new PassThrough();
  const target = { kind: 'duplex', duplex } as const;
  for (const destination of [at(80, 'no.such.name'), { kind: 'unix', path: '/no/such.sock' } as const]) {
    const { outcome, asked, made } = await open(t, destination, { check: () => ({ allow: true, target }) });
    t.ok(outcome.ok && 'target' in outcome && outcome.target === target, 'handed on as it is');
    t.same([asked, made], [['direct'], 0]);
  }
  t.notOk(duplex.destroyed);
  const { outcome, asked } = await open(t, at(0), { check: () => ({ allow: true, target }) });
  t.match(outcome, { ok: false, code: 'BAD_ADDRESS' }, 'port 0 is none for a target either');
  t.same(asked, []);
});

t.test('names that mean nothing, and ports where nobody listens', async (t) => {
  t.match((await open(t, at(80, 'no.such.name'))).outcome, { ok: false, code: 'NAME_NOT_FOUND' });
  t.match((await open(t, at(await freePort()))).outcome, { ok: false, code: 'CONNECT_REFUSED' });
});

t.test('ports and paths that cannot be are refused, whatever the policy says', async (t) => {
  const bad: Destination[] = [
    ...[0, 65_536, 0xffff_ffff].map((port) => at(port)),
    ...['', 'a.sock', '\0abstract', `/tmp/${'a'.repeat(108)}`, '/tmp/a\nb'].map(
      (path) => ({ kind: 'unix', path }) as const,
    ),
  ];
  for (const destination of bad) {
    const { outcome, made } = await open(t, destination);
    t.match(outcome, { ok: false, code: 'BAD_ADDRESS' });
    t.equal(made, 0);
  }
});

t.test('a Unix socket: the real path is asked about and dialled', async (t) => {
  const dir = tempDir(t);
  await startEcho(t, `${dir}/real.sock`);
  symlinkSync(`${dir}/real.sock`, `${dir}/link.sock`);
  const through = await open(t, { kind: 'unix', path: `${dir}/link.sock` });
  t.match(through.outcome, { ok: true, realPath: `${dir}/real.sock` });
  t.same(through.asked, ['direct', `${dir}/real.sock`]);
  const denied = await open(
    t,
    { kind: 'unix', path: `${dir}/link.sock` },
    { checkDialPath: () => refuse('POLICY_DENIED') },
  );
  t.match(denied.outcome, { ok: false, code: 'POLICY_DENIED' });
  t.equal(denied.made, 0);

  t.match((await open(t, { kind: 'unix', path: `${dir}/none.sock` })).outcome, { ok: false, code: 'CONNECT_REFUSED' });
  mkdirSync(`${dir}/folder`);
  t.match((await open(t, { kind: 'unix', path: `${dir}/folder` })).outcome, { ok: false });
  symlinkSync(`${dir}/loop`, `${dir}/loop`);
  symlinkSync(`${dir}/none.sock`, `${dir}/dangling`);
  for (const name of ['loop', 'dangling'])
    t.match(
      (await open(t, { kind: 'unix', path: `${dir}/${name}` })).outcome,
      { ok: false, code: 'POLICY_DENIED' },
      `${name}: it is not told whether there is anything behind a link`,
    );
  t.match((await open(t, { kind: 'unix', path: `${dir}/real.sock/a` })).outcome, { ok: false, code: 'CONNECT_FAILED' });
});

t.test('a peer that goes meanwhile: nothing is dialled', async (t) => {
  const { port } = await startEcho(t);
  const ending = new AbortController();
  const answer = deferred<Verdict>();
  const opening = open(t, at(port), { check: () => answer.promise, signal: ending.signal });
  ending.abort();
  answer.resolve(ALLOW);
  const { outcome, made } = await opening;
  t.match(outcome, { ok: false });
  t.equal(made, 0);
});
