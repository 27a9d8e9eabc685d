/** A hook may do what it likes: the connection gets a verdict, in time, and yes only where yes was said. */
import t from 'tap';
import type { Address } from '../../src/shared/address.js';
import type { Verdict } from '../../src/shared/errors.js';
import type { Identity } from '../../src/shared/identity.js';
import { GuardedPolicy } from '../../src/worker/guarded.js';
import { TunnelServer } from '../../src/worker/server.js';

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
    later: (): Promise<Verdict[]> =>
      Promise.all([
        guarded.checkDirect({ host: '', port: 0 }, destination, signal),
        guarded.checkForward({ kind: 'tcp', host: 'a', port: 1 }, signal),
      ]),
    now: (): Verdict[] => [guarded.checkDial(destination, LOOPBACK), guarded.checkDialPath('/a')],
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
  ['undefined', () => undefined, { allow: false, code: 'HOOK_FAILED' }],
  ['1', () => 1, { allow: false, code: 'HOOK_FAILED' }],
  ['"true"', () => 'true', { allow: false, code: 'HOOK_FAILED' }],
  ['an empty object', () => ({}), { allow: false, code: 'HOOK_FAILED' }],
  [
    'a throw',
    () => {
      throw new Error('broken\nhook');
    },
    { allow: false, code: 'HOOK_FAILED', detail: /broken\\x0ahook$/ },
  ],
  [
    'a throw of nothing',
    () => {
      throw undefined;
    },
    { allow: false, code: 'HOOK_FAILED' },
  ],
];
for (const [name, answer, verdict] of CASES)
  t.test(`${name}, at once and later`, async (t) => {
    t.match(ask(new Answering(answer)).now(), [verdict, verdict]);
    t.match(await ask(new Answering(answer)).later(), [verdict, verdict]);
    t.match(await ask(new Answering(async () => answer())).later(), [verdict, verdict]);
  });

t.test('a promise where an answer is due at once', async (t) => {
  t.match(ask(new Answering(async () => true)).now(), [{ allow: false, code: 'HOOK_FAILED' }, { allow: false }]);
});

t.test('a hook that hangs', async (t) => {
  // The deadline's timer holds no process open, and here is nothing else that would.
  const awake = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(awake));
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
