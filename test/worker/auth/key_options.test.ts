/** The options of an authorized_keys line, by table: sshauthopt_parse and auth_authorise_keyopts of OpenSSH 9.2. */
import t from 'tap';
import {
  type KeyOptions,
  NO_OPTIONS,
  narrowingBy,
  parseKeyOptions,
  refusalBy,
  remarksOn,
} from '../../../src/worker/auth/key_options.js';

t.test('what each option says', async (t) => {
  const rows: ReadonlyArray<readonly [string, Partial<KeyOptions>]> = [
    ['restrict', { portForwarding: false }],
    ['RESTRICT', { portForwarding: false }],
    ['no-port-forwarding', { portForwarding: false }],
    ['No-Port-Forwarding', { portForwarding: false }],
    ['port-forwarding', {}],
    ['restrict,port-forwarding', {}],
    ['port-forwarding,restrict', { portForwarding: false }],
    ['no-port-forwarding,port-forwarding', {}],
    ['restrict,pty,agent-forwarding,X11-forwarding,user-rc', { portForwarding: false }],
    ['pty,no-pty,no-agent-forwarding,no-X11-forwarding,no-user-rc,agent-forwarding,x11-forwarding,user-rc', {}],
    ['permitopen="a:1"', { permitOpen: [{ host: 'a', port: 1 }] }],
    [
      'PermitOpen="a:1",permitopen="[::1]:*"',
      {
        permitOpen: [
          { host: 'a', port: 1 },
          { host: '::1', port: 'any' },
        ],
      },
    ],
    ['permitlisten="8080"', { permitListen: [{ host: '*', port: 8080 }] }],
    [
      'permitlisten="localhost:8080",permitopen="b:2"',
      {
        permitListen: [{ host: 'localhost', port: 8080 }],
        permitOpen: [{ host: 'b', port: 2 }],
      },
    ],
    ['from="10.0.0.0/8,!10.1.*"', { from: '10.0.0.0/8,!10.1.*' }],
    ['expiry-time="20260102Z"', { expiresAtMs: Date.UTC(2026, 0, 2) }],
    ['expiry-time="202601020304Z",expiry-time="20260102Z"', { expiresAtMs: Date.UTC(2026, 0, 2) }],
    ['cert-authority', { certAuthority: true }],
    ['cert-authority,principals="a,b,,c"', { certAuthority: true, principals: ['a', 'b'] }],
    ['cert-authority,principals=",a"', { certAuthority: true, principals: [] }],
    ['principals="a",cert-authority', { certAuthority: true, principals: ['a'] }],
    ['cert-authority,principals=""', { certAuthority: true, principals: [] }],
    ['command="sh -c \\"x\\""', { command: 'sh -c "x"' }],
    ['command="a\\b\\\\"c"', { command: 'a\\b\\"c' }],
    ['command=""', { command: '' }],
    ['command="a b\tc,no-pty"', { command: 'a b\tc,no-pty' }],
    ['environment="A_1=b c=d",environment="A_1="', {}],
    ['tunnel="0",tunnel="Any"', {}],
    ['no-touch-required', { touchRequired: false }],
    ['no-touch-required,touch-required', {}],
    ['verify-required', { verifyRequired: true }],
    ['verify-required,no-verify-required', {}],
    [',,restrict,,', { portForwarding: false }],
    [',', {}],
  ];
  for (const [text, expected] of rows)
    for (const blank of [' ', '\t'])
      t.same(
        parseKeyOptions(`${text}${blank}ssh-ed25519 AAAA`),
        { ok: true, options: { ...NO_OPTIONS, ...expected }, rest: `${blank}ssh-ed25519 AAAA` },
        text,
      );
});

t.test('what spoils a line', async (t) => {
  for (const [text, why] of [
    ['restrict', /no key after them/],
    ['restrict,', /no key after them/],
    ['restrictive ', /^restrictive: unknown option/],
    ['restrict=yes ', /^restrict: no quote at the start/],
    ['restrict="yes" ', /^restrict: takes no value/],
    ['restrict"" ', /^restrict: " where a comma or a blank is expected/],
    ['no-restrict ', /^no-restrict: unknown option/],
    ['no-cert-authority ', /unknown option/],
    ['no-no-pty ', /unknown option/],
    ['no-command="x" ', /unknown option/],
    ['permitopn="a:1" ', /^permitopn: unknown option \(did you mean permitopen\?\)/],
    ['permitopen ', /^permitopen: no value/],
    ['permitopen= ', /no quote at the start/],
    ['permitopen=a:1 ', /no quote at the start/],
    ["permitopen='a:1' ", /no quote at the start/],
    ['permitopen= "a:1" ', /no quote at the start/],
    ['permitopen="a:1 ', /no quote at the end/],
    ['permitopen="a:1\\" ', /no quote at the end/],
    ['permitopen="a:1"x ', /^permitopen: x where a comma/],
    ['permitopen="a" ', /no HOST:PORT/],
    ['permitopen="8080" ', /no HOST:PORT/],
    ['permitopen="a:0" ', /bad port/],
    ['permitopen="" ', /no HOST:PORT/],
    ['permitopen="none" ', /no HOST:PORT/],
    ['permitlisten="a:b" ', /bad port/],
    ['permitlisten="" ', /bad port/],
    ['from="" ', /an empty entry/],
    ['from="10.0.0.1/8" ', /bits beyond/],
    ['from="a",from="b" ', /stands twice/],
    ['command="a",command="a" ', /stands twice/],
    ['cert-authority,principals="a",principals="a" ', /stands twice/],
    ['principals="a" ', /only a line with cert-authority/],
    ['expiry-time="tomorrow" ', /no time/],
    ['expiry-time="" ', /no time/],
    ['environment="A" ', /no NAME=value/],
    ['environment="=b" ', /no NAME=value/],
    ['environment="a b=c" ', /no NAME=value/],
    ['environment="é=c" ', /no NAME=value/],
    ['tunnel="" ', /tun device/],
    ['tunnel="-1" ', /tun device/],
    ['tunnel="2147483646" ', /tun device/],
    ['"restrict" ', /an option without a name/],
    ['="x" ', /unknown option/],
    ['restrict;pty ', /unknown option/],
    ['restrict\u00a0', /unknown option/],
    ['\ufeffrestrict ', /unknown option/],
    ['restrict\r\n', /unknown option/],
    ['x\u001b[31m ', /unknown option/],
  ] as const) {
    const parsed = parseKeyOptions(text);
    t.match(parsed, { ok: false, why }, JSON.stringify(text));
    if (!parsed.ok) t.notMatch(parsed.why, /\p{Cc}/u, 'fit for a log');
  }
});

t.test('long ones take no long time', async (t) => {
  const many = Array.from({ length: 4_097 }, (_, at) => `permitopen="h${at}:1"`);
  t.match(parseKeyOptions(`${many.join(',')} `), { ok: true });
  t.match(parseKeyOptions(`${[...many, 'permitopen="x:1"'].join(',')} `), { ok: false, why: /too many/ });
  t.match(parseKeyOptions(`command="${'\\"'.repeat(500_000)}" `), { ok: true });
  t.match(parseKeyOptions(`${','.repeat(1_000_000)} `), { ok: true });
  t.match(parseKeyOptions('x'.repeat(1_000_000)), { ok: false });
  t.match(parseKeyOptions('"'.repeat(1_000_000)), { ok: false });
});

t.test('expiry-time', async (t) => {
  const local = (...parts: [number, number, number, number?, number?, number?]): number => new Date(...parts).getTime();
  for (const [text, expected] of [
    ['20260102Z', Date.UTC(2026, 0, 2)],
    ['20260102z', Date.UTC(2026, 0, 2)],
    ['20260102UTC', Date.UTC(2026, 0, 2)],
    ['202601020304Z', Date.UTC(2026, 0, 2, 3, 4)],
    ['20260102030405Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['20260102', local(2026, 0, 2)],
    ['202601020304', local(2026, 0, 2, 3, 4)],
    ['20260102030405', local(2026, 0, 2, 3, 4, 5)],
    ['20240229Z', Date.UTC(2024, 1, 29)],
    ['99991231235959Z', Date.UTC(9999, 11, 31, 23, 59, 59)],
    ['20250229Z', null],
    ['20260431Z', null],
    ['20261301Z', null],
    ['20260001Z', null],
    ['20260100Z', null],
    ['2026010224Z', null],
    ['202601022400Z', null],
    ['202601020060Z', null],
    ['20260102000061Z', Date.UTC(2026, 0, 2, 0, 1, 1)],
    ['20260102000062Z', null],
    ['19691231Z', null],
    ['19700101Z', null],
    ['00000101Z', null],
    ['2026-01-02', null],
    ['20260102 ', null],
    [' 20260102', null],
    ['20260102ZZ', null],
    ['Z', null],
    ['2026010', null],
    ['always', null],
  ] as const) {
    const parsed = parseKeyOptions(`expiry-time="${text}" `);
    t.equal(parsed.ok ? parsed.options.expiresAtMs : null, expected, text);
  }
});

t.test('whom the options let in', async (t) => {
  const second = Date.UTC(2026, 0, 2);
  const expiring: KeyOptions = { ...NO_OPTIONS, expiresAtMs: second };
  t.equal(refusalBy(expiring, '192.0.2.1', second - 1), null);
  t.equal(refusalBy(expiring, '192.0.2.1', second + 999), null, 'through that second, as sshd has it');
  t.same(refusalBy(expiring, '192.0.2.1', second + 1_000), {
    code: 'KEY_EXPIRED',
    why: 'expired at 2026-01-02T00:00:00.000Z',
  });
  const near: KeyOptions = { ...NO_OPTIONS, from: '10.0.0.0/8,!10.1.0.0/16,2001:db8::/32' };
  t.equal(refusalBy(near, '10.0.0.1', 0), null);
  t.equal(refusalBy(near, '2001:db8::1', 0), null);
  t.same(refusalBy(near, '10.1.0.1', 0), { code: 'KEY_SOURCE', why: '10.1.0.1 is not in from=' });
  t.match(refusalBy(near, '192.0.2.1', 0), { code: 'KEY_SOURCE' });
  t.equal(refusalBy(NO_OPTIONS, '192.0.2.1', second), null);
});

t.test('what grants less than it seems to is remarked on', async (t) => {
  for (const [options, remarks] of [
    ['permitopen="*:80",permitopen="a.example:80",from="10.*,host.example"', []],
    ['permitopen="*.example:80"', [/^permitopen: "\*\.example" is no pattern/]],
    ['from="host.example,*.example.org"', [/^from: has no address that may come/]],
    ['from="host.example,!10.0.0.1"', [/^from: has no address that may come/]],
    ['from="!10.0.0.1"', [/^from: has no address that may come/]],
    ['from="fd00::/8"', []],
    ['from="?"', []],
    [
      'from="::ffff:10.8.0.1"',
      [/^from: "::ffff:10\.8\.0\.1" lets in nobody, as in sshd: who comes by IPv4 is compared as IPv4/],
    ],
    [
      'from="10.8.0.0/16,!::FFFF:a08:1,::ffff:*.1"',
      [/"!::FFFF:a08:1" refuses nobody/, /"::ffff:\*\.1" lets in nobody/],
    ],
    ['from="0:0:0:0:0:ffff:10.8.0.0/112"', [/lets in nobody/]],
    ['from="::ffff:0:a08:1,::/0,::fffe:10.8.0.1,::ffff:0:0/95"', []],
  ] as const) {
    const parsed = parseKeyOptions(`${options} `);
    const found = parsed.ok ? remarksOn(parsed.options) : [];
    t.equal(found.length, remarks.length, options);
    t.match(found, remarks, options);
  }
});

t.test('command, pty and environment bear on no forward', async (t) => {
  const parsed = parseKeyOptions('command="/bin/true",no-pty,environment="A=b",no-X11-forwarding ');
  t.same(parsed.ok ? narrowingBy(parsed.options, 'keys:1') : null, {
    ...{ kind: 'key', portForwarding: true, permitOpen: null, permitListen: null, where: 'keys:1' },
  });
});
