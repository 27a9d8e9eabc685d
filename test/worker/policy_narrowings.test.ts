/** What the patterns permit is permitted as far as every narrowing says so too. */
import t from 'tap';
import { type Address, parseAddress } from '../../src/shared/address.js';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import {
  bindRanges,
  type KeyNarrowing,
  mayDial,
  mayDialPath,
  mayListen,
  mayOpen,
  mayStayOpen,
  type Narrowing,
  type Rights,
  type Said,
} from '../../src/worker/policy.js';

function rights(open: readonly string[], listen: readonly string[], ...narrowings: readonly Narrowing[]): Rights {
  const patternOf = <P>(parsed: { readonly ok: true; readonly pattern: P } | { readonly ok: false }): readonly P[] =>
    parsed.ok ? [parsed.pattern] : [];
  return {
    permitOpen: open.flatMap((text) => patternOf(parseOpenPattern(text))),
    permitListen: listen.flatMap((text) => patternOf(parseListenPattern(text))),
    narrowings,
  };
}

function key(options: Partial<KeyNarrowing>): Narrowing {
  return { kind: 'key', portForwarding: true, permitOpen: null, permitListen: null, where: 'keys:1', ...options };
}

function at(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(text);
  return address;
}

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const unix = { kind: 'unix', path: '/run/app/a.sock' } as const;
const ALL = [
  ['*:*', 'localhost:*', '/run/app/*'],
  ['*:*', '/run/app/*'],
] as const;
const DENIED = { allow: false, code: 'POLICY_DENIED' } as const;
const YES = { allow: true } as const;

t.test('a key that restricts nothing changes nothing', async (t) => {
  const some = rights(...ALL, key({}), key({}));
  t.same(mayOpen(some, tcp('db.internal', 22)), YES);
  t.same(mayDial(some, tcp('db.internal', 22), at('10.0.0.1'), [], []), YES);
  t.same(mayOpen(some, unix), YES);
  t.same(mayDialPath(some, unix.path, []), YES);
  t.same(mayListen(some, tcp('localhost', 0)), YES);
  t.same(mayListen(some, unix), YES);
  t.same(mayOpen(some, tcp('127.0.0.1', 22)), YES);
  t.same(mayOpen(rights(['*:*'], [], key({})), tcp('127.0.0.1', 22)), { allow: false, code: 'PROTECTED_DESTINATION' });
});

t.test('a key without port forwarding opens and binds nothing, sockets neither', async (t) => {
  const none = rights(...ALL, key({ portForwarding: false }));
  const expected = { ...DENIED, detail: 'keys:1: no port forwarding' };
  t.same(mayOpen(none, tcp('db.internal', 22)), expected);
  t.same(mayDial(none, tcp('db.internal', 22), at('10.0.0.1'), [], []), expected);
  t.same(mayOpen(none, unix), expected);
  t.same(mayDialPath(none, unix.path, []), expected);
  t.same(mayListen(none, tcp('localhost', 8080)), expected);
  t.same(mayListen(none, unix), expected);
  t.equal(mayStayOpen(none, tcp('db.internal', 22), at('10.0.0.1')), false);
});

t.test('permitopen leaves what it lists, of what the patterns permit', async (t) => {
  const some = rights(
    ['10.0.0.0/8:*', '*.internal:5432', 'localhost:*', '/run/app/*'],
    ['localhost:*'],
    key({
      permitOpen: [
        { host: 'localhost', port: 80 },
        { host: 'db.internal', port: 'any' },
        { host: '10.0.0.1', port: 22 },
      ],
    }),
  );
  const expected = { ...DENIED, detail: 'keys:1: permitopen' };
  t.same(mayOpen(some, tcp('localhost', 80)), YES);
  t.same(mayOpen(some, tcp('127.0.0.1', 80)), expected, 'localhost is not 127.0.0.1');
  t.same(mayOpen(some, tcp('LOCALHOST', 80)), expected, 'letter by letter');
  t.same(mayOpen(some, tcp('localhost', 81)), expected);
  t.same(mayOpen(some, tcp('db.internal', 5432)), YES);
  t.same(mayOpen(some, tcp('x.internal', 5432)), expected);
  t.same(mayOpen(some, tcp('10.0.0.1', 22)), YES);
  t.same(mayOpen(some, tcp('10.0.0.2', 22)), expected);
  t.same(mayOpen(some, tcp('192.0.2.1', 22)), DENIED, "not the user's");
  t.same(mayOpen(some, unix), expected, 'no socket is among them');
  t.same(mayDialPath(some, unix.path, []), expected);
  t.same(mayDial(some, tcp('db.internal', 5432), at('10.0.0.9'), [], []), YES);
  t.same(mayDial(some, tcp('x.internal', 5432), at('10.0.0.9'), [], []), expected);
  t.equal(mayStayOpen(some, tcp('localhost', 80), at('127.0.0.1')), true);
  t.equal(mayStayOpen(some, tcp('localhost', 81), at('127.0.0.1')), false);
  t.same(mayListen(some, tcp('localhost', 8080)), YES, 'binding is another matter');
});

t.test('permitlisten leaves what it lists', async (t) => {
  const some = rights(
    ['*:*'],
    ['*:*', '/run/app/*'],
    key({
      permitListen: [
        { host: 'localhost', port: 8080 },
        { host: '127.0.0.?', port: 'any' },
        { host: '', port: 9000 },
      ],
    }),
  );
  const expected = { ...DENIED, detail: 'keys:1: permitlisten' };
  for (const [host, port, verdict] of [
    ['localhost', 8080, YES],
    ['LocalHost', 8080, YES],
    ['localhost', 8081, expected],
    ['localhost', 0, expected],
    ['127.0.0.1', 8080, YES],
    ['127.0.0.2', 0, YES],
    ['127.0.0.10', 8080, expected],
    ['', 9000, YES],
    ['*', 9000, expected],
    ['0.0.0.0', 9000, expected],
  ] as const)
    t.same(mayListen(some, tcp(host, port)), verdict, `${host} ${port}`);
  t.same(mayListen(some, unix), expected);
  t.same(mayOpen(some, tcp('192.0.2.1', 22)), YES, 'opening is another matter');
});

t.test('patterns of a webhook: what both cover, and ports that both have', async (t) => {
  const { permitOpen, permitListen } = rights(['db.internal:*', '127.0.0.0/8:*'], ['localhost:2000-3000']);
  const inner = { kind: 'patterns', permitOpen, permitListen, where: 'webhook' } as const;
  const some = rights(['*:5432', '127.0.0.1:80'], ['localhost:1024-2500', 'localhost:2900-65535'], inner);
  t.same(mayOpen(some, tcp('db.internal', 5432)), YES);
  t.same(mayOpen(some, tcp('x.internal', 22)), DENIED);
  t.same(mayOpen(some, tcp('10.0.0.1', 5432)), { ...DENIED, detail: 'webhook' });
  t.same(mayDial(some, tcp('x.internal', 5432), at('10.0.0.1'), [], []), { ...DENIED, detail: 'webhook' });
  t.same(mayDial(some, tcp('db.internal', 5432), at('10.0.0.1'), [], []), YES);
  t.same(mayDial(some, tcp('db.internal', 5432), at('127.0.0.1'), [], []), {
    allow: false,
    code: 'PROTECTED_DESTINATION',
  });
  t.same(mayOpen(some, tcp('127.0.0.1', 80)), YES);
  t.same(bindRanges(some, 'localhost'), [
    [2000, 2500],
    [2900, 3000],
  ]);
  t.same(mayListen(some, tcp('localhost', 2000)), YES);
  t.same(mayListen(some, tcp('localhost', 1024)), { ...DENIED, detail: 'webhook' });
  t.same(mayListen(some, tcp('localhost', 0)), YES);
  const apart = rights([], ['localhost:1024-1999'], inner);
  t.match(mayListen(apart, tcp('localhost', 0)), DENIED, 'port 0 where no port is left');
});

t.test('patterns of a webhook that speaks of one kind alone', async (t) => {
  const user = [
    ['127.0.0.1:80', '/run/a.sock'],
    ['localhost:2000-3000', '/run/b.sock'],
  ] as const;
  const none = { permitOpen: null, permitListen: null };
  const unix = (path: string) => ({ kind: 'unix', path }) as const;
  for (const [narrowing, open, listen] of [
    [none, YES, YES],
    [{ ...none, permitOpen: [] }, { ...DENIED, detail: 'webhook' }, YES],
    [{ ...none, permitListen: [] }, YES, { ...DENIED, detail: 'webhook' }],
  ] as const) {
    const some = rights(...user, { kind: 'patterns', ...narrowing, where: 'webhook' });
    const protectedOpen = open === YES ? YES : { ...open, code: 'PROTECTED_DESTINATION' };
    t.same(mayOpen(some, tcp('127.0.0.1', 80)), protectedOpen);
    t.same(mayDial(some, tcp('127.0.0.1', 80), at('127.0.0.1'), [], []), protectedOpen);
    t.same(mayOpen(some, unix('/run/a.sock')), open);
    t.match(mayOpen(some, unix('/run/c.sock')), DENIED, 'never wider');
    t.match(mayOpen(some, tcp('192.0.2.1', 80)), DENIED, 'never wider');
    t.same(mayListen(some, tcp('localhost', 2000)), listen);
    t.same(mayListen(some, tcp('localhost', 0)), listen);
    t.same(mayListen(some, unix('/run/b.sock')), listen);
    t.match(mayListen(some, tcp('localhost', 1999)), DENIED, 'never wider');
    t.same(bindRanges(some, 'localhost'), listen === YES ? [[2000, 3000]] : []);
  }
});

t.test('all of them have to say yes', async (t) => {
  const some = rights(
    ...ALL,
    key({ permitOpen: [{ host: '*', port: 80 }], where: 'keys:1' }),
    key({ permitOpen: [{ host: 'a.example', port: 'any' }], where: 'ca:2' }),
  );
  t.same(mayOpen(some, tcp('a.example', 80)), YES);
  t.same(mayOpen(some, tcp('b.example', 80)), { ...DENIED, detail: 'ca:2: permitopen' });
  t.same(mayOpen(some, tcp('a.example', 81)), { ...DENIED, detail: 'keys:1: permitopen' });
});

t.test('whoever wants to know why hears every condition, and the verdict stays the same', async (t) => {
  const narrowings = [
    key({ where: 'keys:1' }),
    key({ portForwarding: false, where: 'keys:2' }),
    key({ where: 'keys:3' }),
  ];
  const cases = [
    { some: rights(...ALL, ...narrowings), heard: ['user yes', 'keys:1 yes', 'keys:2 no', 'keys:3 yes'] },
    { some: rights([], [], ...narrowings), heard: ['user no', 'keys:1 yes', 'keys:2 no', 'keys:3 yes'] },
  ];
  for (const { some, heard } of cases) {
    const asks = [
      (hear?: (said: Said) => void) => mayOpen(some, tcp('db.internal', 22), hear),
      (hear?: (said: Said) => void) => mayDial(some, tcp('db.internal', 22), at('10.0.0.1'), [], [], hear),
      (hear?: (said: Said) => void) => mayDialPath(some, unix.path, [], hear),
      (hear?: (said: Said) => void) => mayListen(some, tcp('localhost', 8080), hear),
    ];
    for (const ask of asks) {
      const said: string[] = [];
      const verdict = ask(({ by, verdict: { allow } }) => said.push(`${by?.where ?? 'user'} ${allow ? 'yes' : 'no'}`));
      t.same(said, heard);
      t.same(verdict, ask());
    }
  }
});
