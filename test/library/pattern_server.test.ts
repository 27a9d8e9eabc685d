/** A server that decides by patterns, as a connection asks it: what a subclass does with `super`'s answer never makes a yes of
 *  its no. The patterns themselves have their tests in policy and patterns. */
import t from 'tap';
import { PatternServer } from '../../src/library/pattern_server.js';
import { Rules, type RulesOptions } from '../../src/library/rules.js';
import { SERVED } from '../../src/library/served.js';
import type { TunnelServer } from '../../src/library/tunnel_server.js';
import { type Address, parseAddress } from '../../src/shared/address.js';
import { ALLOW, type Verdict } from '../../src/shared/errors.js';
import type { BindAddress, Destination, Identity, Origin, TcpDestination } from '../../src/shared/identity.js';
import type { ListenerAddress } from '../../src/shared/ipc.js';
import type { DirectVerdict } from '../../src/worker/forward/direct.js';
import { GuardedPolicy } from '../../src/worker/guarded.js';
import type { DirectAnswer, HookVerdict } from '../../src/worker/server.js';
import { testConfig } from '../support/test_config.js';

const alice: Identity = { user: 'alice' };
const { signal } = new AbortController();
const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const unix = (path: string) => ({ kind: 'unix', path }) as const;

function at(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(text);
  return address;
}

function ask(server: TunnelServer) {
  const policy = new GuardedPolicy({ hooks: server, identity: alice, timeoutMs: 10_000 });
  return {
    direct: (destination: Destination): Promise<DirectVerdict> =>
      policy.checkDirect({ host: '', port: 0 }, destination, signal),
    forward: (bind: BindAddress): Promise<Verdict> => policy.checkForward(bind, signal),
    dial: (destination: TcpDestination, address: string): Verdict => policy.checkDial(destination, at(address)),
    dialPath: (path: string): Verdict => policy.checkDialPath(path),
    portRanges: (host: string) => policy.portRanges(host),
  };
}

const OPEN = 'example.org:443';
const RULES = new Rules({ permitOpen: [OPEN, '/run/app/*.sock'], permitListen: ['localhost:20000-20009'] });

class Patterns extends PatternServer {
  override rules(): Rules {
    return RULES;
  }
}

t.test('asked itself', async (t) => {
  const { direct, forward, dial, dialPath, portRanges } = ask(new Patterns());
  t.same(await direct(tcp('example.org', 443)), ALLOW);
  t.match(await direct(tcp('example.org', 80)), { allow: false, code: 'POLICY_DENIED' });
  t.match(await direct(tcp('127.0.0.1', 443)), { allow: false, code: 'PROTECTED_DESTINATION' });
  t.match(await direct(tcp('example.org', 0)), { allow: false, code: 'BAD_ADDRESS' });
  t.same(await direct(unix('/run/app/a.sock')), ALLOW);
  t.same(dial(tcp('example.org', 443), '192.0.2.1'), ALLOW);
  t.match(dial(tcp('example.com', 443), '127.0.0.1'), { allow: false, code: 'PROTECTED_DESTINATION' });
  t.same(dialPath('/run/app/a.sock'), ALLOW);
  t.match(dialPath('/etc/a.sock'), { allow: false, code: 'POLICY_DENIED' });
  t.same(await forward(tcp('localhost', 20_009)), ALLOW);
  t.match(await forward(tcp('localhost', 20_010)), { allow: false, code: 'POLICY_DENIED' });
  t.same(portRanges('localhost'), [[20_000, 20_009]]);
  t.same(portRanges('*'), []);
});

/** Ways to put a decision of one's own beside `super`'s. `more` is that decision; `both`: yes only where both say yes. */
const COMBINED: ReadonlyArray<
  readonly [name: string, combine: (asked: () => HookVerdict, more: boolean) => HookVerdict, both: boolean]
> = [
  ['super && more', (asked, more) => asked() && more, true],
  ['more && super', (asked, more) => more && asked(), true],
  ['super || more', (asked, more) => asked() || more, false],
  ['super ? more : false', (asked, more) => (asked() ? more : false), true],
  ['super ? more : true', (asked, more) => (asked() ? more : true), true],
  ['super !== false && more', (asked, more) => asked() !== false && more, true],
  ['!super ? false : more', (asked, more) => (!asked() ? false : more), true],
  ['Boolean(super) && more', (asked, more) => Boolean(asked()) && more, true],
];

for (const [name, combine, both] of COMBINED)
  t.test(`an override keeps the no of super: ${name}`, async (t) => {
    for (const more of [true, false]) {
      class Combined extends Patterns {
        override checkDirect(...asked: [Origin, Destination, Identity, AbortSignal]): DirectAnswer {
          return combine(() => super.checkDirect(...asked) as HookVerdict, more);
        }
        override checkForwardAddress(...asked: [BindAddress, Identity, AbortSignal]): HookVerdict {
          return combine(() => super.checkForwardAddress(...asked) as HookVerdict, more);
        }
        override checkDial(...asked: [TcpDestination, Address, Identity]): HookVerdict {
          return combine(() => super.checkDial(...asked), more);
        }
        override checkDialPath(...asked: [string, Identity]): HookVerdict {
          return combine(() => super.checkDialPath(...asked), more);
        }
      }
      class Later extends Patterns {
        override async checkDirect(...asked: [Origin, Destination, Identity, AbortSignal]): Promise<DirectAnswer> {
          const answer = (await super.checkDirect(...asked)) as HookVerdict;
          return combine(() => answer, more);
        }
        override async checkForwardAddress(...asked: [BindAddress, Identity, AbortSignal]): Promise<HookVerdict> {
          const answer = await super.checkForwardAddress(...asked);
          return combine(() => answer, more);
        }
      }
      const yes = more || !both;
      for (const asked of [ask(new Combined()), ask(new Later())]) {
        t.equal((await asked.direct(tcp('example.org', 443))).allow, yes, `checkDirect, more ${more}`);
        t.equal((await asked.forward(tcp('localhost', 20_000))).allow, yes, `checkForwardAddress, more ${more}`);
        const denied = more ? { allow: false, code: 'POLICY_DENIED' } : { allow: false };
        t.match(await asked.direct(tcp('example.org', 80)), denied, `checkDirect, more ${more}`);
        t.match(await asked.direct(unix('/etc/a.sock')), denied, `checkDirect of a path, more ${more}`);
        t.match(await asked.forward(tcp('localhost', 80)), denied, `checkForwardAddress, more ${more}`);
      }
      const { dial, dialPath } = ask(new Combined());
      t.equal(dial(tcp('example.org', 443), '192.0.2.1').allow, yes);
      t.equal(dialPath('/run/app/a.sock').allow, yes);
      t.match(dial(tcp('example.org', 80), '192.0.2.1'), { allow: false }, `checkDial, more ${more}`);
      t.match(dialPath('/etc/a.sock'), { allow: false }, `checkDialPath, more ${more}`);
    }
  });

t.test('the reason of super comes through an override', async (t) => {
  class More extends Patterns {
    override checkDirect(...asked: [Origin, Destination, Identity, AbortSignal]) {
      return super.checkDirect(...asked) && asked[2].user !== 'mallory';
    }
    override checkDial(...asked: [TcpDestination, Address, Identity]) {
      return super.checkDial(...asked) && asked[2].user !== 'mallory';
    }
  }
  const { direct, dial } = ask(new More());
  t.match(await direct(tcp('169.254.169.254', 443)), { allow: false, code: 'PROTECTED_DESTINATION' });
  t.match(await direct(tcp('example.org', 0)), { allow: false, code: 'BAD_ADDRESS' });
  t.match(dial(tcp('example.com', 443), '::1'), { allow: false, code: 'PROTECTED_DESTINATION' });
  t.same(dial(tcp('example.org', 443), '192.0.2.1'), ALLOW);
});

t.test('without rules nothing is permitted', async (t) => {
  for (const server of [
    new PatternServer(),
    new (class extends PatternServer {
      override rules(): Rules {
        return new Rules();
      }
    })(),
  ]) {
    const { direct, forward, dial, dialPath, portRanges } = ask(server);
    t.match(await direct(tcp('example.org', 443)), { allow: false, code: 'POLICY_DENIED' });
    t.match(await direct(unix('/run/app/a.sock')), { allow: false, code: 'POLICY_DENIED' });
    t.match(await forward(tcp('localhost', 20_000)), { allow: false, code: 'POLICY_DENIED' });
    t.match(await forward(tcp('localhost', 0)), { allow: false, code: 'POLICY_DENIED' });
    t.match(dial(tcp('example.org', 443), '192.0.2.1'), { allow: false, code: 'POLICY_DENIED' });
    t.match(dialPath('/run/app/a.sock'), { allow: false, code: 'POLICY_DENIED' });
    t.same(portRanges('localhost'), []);
  }
});

t.test('rules that throw or are none deny, and the log says so', async (t) => {
  for (const [rules, detail] of [
    [() => undefined, /./],
    [() => ({ permitOpen: [OPEN] }), /./],
    [async () => RULES, /./],
    [
      () => {
        throw new Error('the database is gone');
      },
      /the database is gone$/,
    ],
  ] as const) {
    class Broken extends PatternServer {
      override rules(): Rules {
        return rules() as unknown as Rules;
      }
    }
    const { direct, forward, dial, dialPath, portRanges } = ask(new Broken());
    const denied = { allow: false, code: 'HOOK_FAILED', detail } as const;
    t.match(await direct(tcp('example.org', 443)), denied);
    t.match(await forward(tcp('localhost', 20_000)), denied);
    t.match(dial(tcp('example.org', 443), '192.0.2.1'), denied);
    t.match(dialPath('/run/app/a.sock'), denied);
    t.throws(() => portRanges('localhost'), detail);
  }
});

t.test('Rules: patterns, or a mistake that says what would be right', async (t) => {
  const permits = async (rules: Rules): Promise<boolean> => {
    class One extends PatternServer {
      override rules(): Rules {
        return rules;
      }
    }
    return (await ask(new One()).direct(tcp('example.org', 443))).allow;
  };
  t.ok(await permits(new Rules({ permitOpen: [OPEN] })));
  for (const nothing of [undefined, {}, { permitOpen: undefined, permitListen: undefined }, { permitOpen: [] }])
    t.notOk(await permits(new Rules(nothing)), JSON.stringify(nothing));
  t.notOk(await permits(new Rules({ permitListen: ['*:443'] })), 'what may be bound may not be opened');

  for (const key of ['permitOpen', 'permitListen'] as const) {
    // JavaScript lets anything in: a text is a list of its letters, and `*` among them would be a pattern.
    for (const value of [OPEN, '*', '', null, 7, true, {}, { 0: OPEN }, [7], [OPEN, null], [[OPEN]], new Set([OPEN])])
      t.throws(
        () => new Rules({ [key]: value } as RulesOptions),
        { name: 'TunnelError', code: 'CONFIG_INVALID', message: new RegExp(`^${key}: .*allowed: such as `) },
        `${key} ${JSON.stringify(value)}`,
      );
    for (const pattern of ['', 'example.org', 'example.org:', 'example.org:0', 'example.org:65536', 'example.org:9-1'])
      t.throws(
        () => new Rules({ [key]: ['localhost:80', pattern] }),
        { code: 'CONFIG_INVALID', message: new RegExp(`^"${pattern}": .*(write|allowed are) `) },
        `${key} ${pattern}`,
      );
  }
  const kept = [OPEN];
  const rules = new Rules({ permitOpen: kept });
  kept[0] = '*:*';
  kept.length = 0;
  t.ok(await permits(rules), 'what was given may change');
});

t.test("the server's own listeners are refused, whatever a subclass says of its addresses", async (t) => {
  const all = new Rules({ permitOpen: ['127.0.0.1:*', 'localhost:*', '/run/*.sock'] });
  class Own extends PatternServer {
    override rules(): Rules {
      return all;
    }
  }
  class Hidden extends Own {
    override get addresses(): readonly ListenerAddress[] {
      return [];
    }
  }
  class Shadowed extends Own {
    constructor() {
      super();
      Object.defineProperty(this, 'addresses', { value: [] });
      Object.assign(this, { listeners: () => [], _addresses: [] });
    }
  }
  for (const server of [new Own(), new Hidden(), new Shadowed()]) {
    server[SERVED].configure(
      testConfig(),
      [
        { kind: 'tcp', address: '127.0.0.1', port: 8022 },
        { kind: 'unix', path: '/run/admin.sock' },
      ],
      {},
    );
    const { dial, dialPath } = ask(server);
    const name = server.constructor.name;
    t.match(dial(tcp('localhost', 8022), '127.0.0.1'), { allow: false, code: 'OWN_LISTENER' }, name);
    t.match(dialPath('/run/admin.sock'), { allow: false, code: 'OWN_LISTENER' }, name);
    t.same(dial(tcp('localhost', 8023), '127.0.0.1'), ALLOW, name);
    t.same(dialPath('/run/other.sock'), ALLOW, name);
    await server[SERVED].closed();
    t.same(server[SERVED].listeners(), [], 'none when it has closed');
  }
});

t.test('a list that is misspelt is no empty one', async (t) => {
  const misspelt: object = { permitopen: ['10.0.0.1:443'] };
  t.throws(() => new Rules(misspelt), {
    code: 'CONFIG_INVALID',
    message: 'permitopen: unknown key (did you mean permitOpen?), allowed: permitOpen, permitListen',
  });
});
