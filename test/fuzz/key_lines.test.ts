/** KEY LINES: authorized_keys lines at random. No mutation makes a line grant what it did not grant before, and options mean what
 *  a second reader, written along sshd's own loops, takes them for. A failure prints fast-check's seed. */
import fc from 'fast-check';
import t from 'tap';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import { parseAuthorizedKeys } from '../../src/worker/auth/authorized_keys.js';
import { narrowingBy, parseKeyOptions, refusalBy } from '../../src/worker/auth/key_options.js';
import { mayListen, mayOpen, type Rights } from '../../src/worker/policy.js';
import { KNOWN } from '../worker/auth/keys.js';

const KEY = KNOWN[0]?.line ?? '';
const BLOB = Buffer.from(KEY.split(' ')[1] ?? '', 'base64');

/** Everything, so that what is left is the key's doing. */
const USER: Rights = {
  permitOpen: ['*:*', 'localhost:*', '/run/*'].flatMap((text) => {
    const parsed = parseOpenPattern(text);
    return parsed.ok ? [parsed.pattern] : [];
  }),
  permitListen: ['*:*', '/run/*'].flatMap((text) => {
    const parsed = parseListenPattern(text);
    return parsed.ok ? [parsed.pattern] : [];
  }),
};
const NOW_MS = Date.UTC(2026, 0, 1);
const PEERS = ['192.0.2.7', '198.51.100.1', '2001:db8::7', '127.0.0.1'];
const HOSTS = ['localhost', '127.0.0.1', '', '0.0.0.0', 'db.example', '*', '10.0.0.1', '::1'];
const PORTS = [0, 22, 443, 5432, 8080];
const PROBES = [
  ...HOSTS.flatMap((host) => PORTS.map((port) => ({ kind: 'tcp', host, port }) as const)),
  { kind: 'unix', path: '/run/a' } as const,
];

/** Every request that a line lets somebody make with the key, as texts. */
function granted(line: string): ReadonlySet<string> {
  const { keys } = parseAuthorizedKeys([{ text: line, file: 'f', line: 1 }]);
  const all = new Set<string>();
  for (const { blob, options } of keys) {
    if (!blob.equals(BLOB)) continue;
    const rights = { ...USER, narrowings: [narrowingBy(options, 'f:1')] };
    for (const peer of PEERS) {
      if (refusalBy(options, peer, NOW_MS) !== null) continue;
      const as = options.certAuthority ? `${peer} ca ${options.principals ?? 'own name'}` : peer;
      all.add(as);
      for (const probe of PROBES) {
        if (mayOpen(rights, probe).allow) all.add(`${as} open ${JSON.stringify(probe)}`);
        if (mayListen(rights, probe).allow) all.add(`${as} listen ${JSON.stringify(probe)}`);
      }
    }
  }
  return all;
}

const OPTION = fc.constantFrom(
  'restrict',
  'no-port-forwarding',
  'permitopen="db.example:5432"',
  'permitopen="[2001:db8::1]:8080"',
  'permitopen="[::1]:*"',
  'permitlisten="localhost:8080"',
  'permitlisten="8080"',
  'permitlisten="[::1]:8080"',
  'from="192.0.2.0/24,!192.0.2.9"',
  'from="192.0.2.?,host.example"',
  'expiry-time="20200101Z"',
  'expiry-time="203001011530Z"',
  'no-pty',
  'command="echo \\"a, b\\" restrict"',
  'environment="A_B=x y"',
  'no-touch-required',
);

/** What breaks a line without saying something else: a sign too many, one or two too few, its end cut off, other capitals. To
 *  lose `no-` or a whole option, or to have another digit in a year, is to say something else. */
type Mutation =
  | { readonly kind: 'insert'; readonly at: number; readonly text: string }
  | { readonly kind: 'delete'; readonly at: number; readonly count: number }
  | { readonly kind: 'case'; readonly at: number }
  | { readonly kind: 'cut'; readonly at: number };

const at = fc.nat(1_000_000);
const INSERTED = ['"', '\\', '\\"', ',', '=', ' ', '\t', '!', '?', '*', ':', '/', '[', ']', '\0', '\r', '#', '-', 'x'];
const insertion = fc.record({
  kind: fc.constant('insert' as const),
  at,
  text: fc.oneof(fc.constantFrom(...INSERTED), fc.string({ unit: 'binary', maxLength: 2 })),
});
const harmless: fc.Arbitrary<Mutation> = fc.oneof(insertion, fc.record({ kind: fc.constant('case' as const), at }));
const lossy: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('delete' as const), at, count: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ kind: fc.constant('cut' as const), at }),
);

function mutated(line: string, mutation: Mutation): string {
  const from = mutation.at % (line.length + 1);
  switch (mutation.kind) {
    case 'insert':
      return line.slice(0, from) + mutation.text.replaceAll('\n', '') + line.slice(from);
    case 'delete':
      return line.slice(0, from) + line.slice(from + mutation.count);
    case 'case': {
      const letter = line[from] ?? '';
      const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
      return line.slice(0, from) + other + line.slice(from + 1);
    }
    case 'cut':
      return line.slice(0, from);
  }
}

t.test('a mutated line grants nothing that it did not grant before', async (t) => {
  let stillGrants = 0;
  fc.assert(
    fc.property(
      fc.array(OPTION, { minLength: 1, maxLength: 4 }),
      fc.array(harmless, { maxLength: 1 }),
      fc.option(lossy, { nil: undefined }),
      (options, inserted, loss) => {
        const line = `${options.join(',')} ${KEY} a "comment"`;
        const before = granted(line);
        let text = line;
        for (const mutation of loss === undefined ? inserted : [...inserted, loss]) text = mutated(text, mutation);
        const after = granted(text);
        if (after.size > 0) stillGrants++;
        for (const right of after) if (!before.has(right)) throw new Error(`${JSON.stringify(text)} grants ${right}`);
      },
    ),
    { numRuns: 10_000 },
  );
  t.ok(stillGrants > 500, `mutations spoil some lines and not all: ${stillGrants}`);
});

/** The loops of sshauthopt_parse, letter by letter, for what bears on us. Null where sshd refuses the line. */
function model(line: string): { readonly forwarding: boolean; readonly ca: boolean; readonly lists: string } | null {
  let at = 0;
  let [forwarding, ca] = [true, false];
  const lists: string[] = [];
  const singles = new Map<string, string>();
  const flag = (name: string, negatable: boolean): boolean | null => {
    const negated = negatable && line.slice(at, at + 3).toLowerCase() === 'no-';
    const start = negated ? at + 3 : at;
    if (line.slice(start, start + name.length).toLowerCase() !== name) return null;
    at = start + name.length;
    return !negated;
  };
  const dequote = (): string | null => {
    if (line[at] !== '"') return null;
    let value = '';
    let i = at + 1;
    while (i < line.length && line[i] !== '"') {
      if (line[i] === '\\' && line[i + 1] === '"') i++;
      value += line[i++];
    }
    if (i >= line.length) return null;
    at = i + 1;
    return value;
  };
  const named = (name: string): boolean => {
    const term = `${name}=`;
    if (line.slice(at, at + term.length).toLowerCase() !== term) return false;
    at += term.length;
    return true;
  };
  const others = ['agent-forwarding', 'x11-forwarding', 'touch-required', 'verify-required', 'pty', 'user-rc'];
  while (at < line.length && line[at] !== ' ' && line[at] !== '\t') {
    let set: boolean | null = flag('restrict', false);
    if (set !== null) forwarding = false;
    else if (flag('cert-authority', false) !== null) ca = true;
    else {
      set = flag('port-forwarding', true);
      if (set !== null) forwarding = set;
      else if (!others.some((name) => flag(name, true) !== null)) {
        const name = [
          'command',
          'principals',
          'from',
          'expiry-time',
          'environment',
          'permitopen',
          'permitlisten',
          'tunnel',
        ];
        const which = name.find(named);
        if (which !== undefined) {
          const value = dequote();
          if (value === null) return null;
          if (which === 'permitopen' || which === 'permitlisten') lists.push(`${which} ${value}`);
          else if (which === 'command' || which === 'principals' || which === 'from') {
            if (singles.has(which)) return null;
            singles.set(which, value);
          }
        }
      }
    }
    if (at >= line.length || line[at] === ' ' || line[at] === '\t') break;
    if (line[at] !== ',') return null;
    at++;
    if (at >= line.length) return null;
  }
  if (singles.has('principals') && !ca) return null;
  return { forwarding, ca, lists: [...lists, singles.get('from') ?? 'from anywhere', line.slice(at)].join('|') };
}

t.test('options are read as a reader along the loops of sshd reads them', async () => {
  const name = fc.constantFrom(
    ...[
      'restrict',
      'pty',
      'no-pty',
      'port-forwarding',
      'no-port-forwarding',
      'cert-authority',
      'user-rc',
      'No-X11-Forwarding',
    ],
    ...[
      'verify-required',
      'no-touch-required',
      'from',
      'permitopen',
      'permitlisten',
      'command',
      'principals',
      'xyz',
      'no-',
      '',
    ],
  );
  const value = fc.oneof(
    fc.constantFrom(
      '',
      '="localhost:80"',
      '="8080"',
      '="10.0.0.0/8"',
      '="a \\" b"',
      '="\\\\"',
      '="',
      '=x',
      '""',
      '="a"b',
    ),
    fc.string({ unit: fc.constantFrom('"', '\\', 'a', ' ', ',', '='), maxLength: 8 }).map((text) => `="${text}"`),
  );
  const option = fc.tuple(name, value).map((parts) => parts.join(''));
  const between = fc.constantFrom(',', ',', ',', ',', ',,', ' ', '\t', '');
  const line = fc
    .array(fc.tuple(option, between), { maxLength: 5 })
    .map((parts) => `${parts.flat().join('')} ssh-ed25519 AAAA`);
  fc.assert(
    fc.property(line, (text) => {
      const [ours, theirs] = [parseKeyOptions(text), model(text)];
      if (!ours.ok) {
        // What a value has to be is told by tables (test/worker/auth/key_options.test.ts), not here.
        if (theirs !== null && !/no \[?HOST|bad port|entry|bits beyond/.test(ours.why))
          throw new Error(`${JSON.stringify(text)} is refused: ${ours.why}`);
        return;
      }
      if (theirs === null) throw new Error(`${JSON.stringify(text)} is accepted`);
      const { portForwarding, certAuthority, permitOpen, permitListen, from } = ours.options;
      if (portForwarding !== theirs.forwarding || certAuthority !== theirs.ca) throw new Error(JSON.stringify(text));
      const permits = [...(permitOpen ?? []), ...(permitListen ?? [])].length;
      const listed = theirs.lists.split('|').filter((entry) => entry.startsWith('permit')).length;
      if (permits !== listed || !theirs.lists.endsWith(`|${ours.rest}`)) throw new Error(JSON.stringify(text));
      if (from !== null && !theirs.lists.includes(from)) throw new Error(JSON.stringify(text));
    }),
    { numRuns: 10_000 },
  );
});
