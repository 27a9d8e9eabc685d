/** EXPLAIN: what it says of logins and requests, case by case; and the command itself, its lines and its exit codes. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ExplainOptions, explain } from '../../src/cli/explain.js';
import type { Condition, Explained, Outcome } from '../../src/library/explained.js';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { cliEntry } from '../support/paths.js';
import { run } from '../support/process.js';
import { startTarget } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { type CertificateFields, certify, writeKeyFile } from '../worker/auth/certificates.js';
import { ed25519, skEd25519, type TestKey } from '../worker/auth/keys.js';

/** A folder with keys, key files and a config. `line` of authorized_keys, `file` of the key's public half. */
interface House {
  readonly dir: string;
  readonly key: (name: string) => { readonly line: string; readonly file: string };
  readonly write: (name: string, text: string) => string;
}

function house(t: Test): House {
  const dir = tempDir(t);
  const keys = new Map<string, { readonly line: string; readonly file: string }>();
  const write = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const key = (name: string) => {
    const known = keys.get(name);
    if (known !== undefined) return known;
    const pair = newKeyPair('ed25519', name);
    write(name, pair.privateKey);
    const made = { line: pair.publicKey.trim(), file: write(`${name}.pub`, pair.publicKey) };
    keys.set(name, made);
    return made;
  };
  return { dir, key, write };
}

interface Told {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function tell(user: string, options: ExplainOptions): Promise<Told> {
  let [out, err] = ['', ''];
  const say = {
    out(text: string) {
      out += text;
    },
    err(line: string) {
      err += `${line}\n`;
    },
  };
  const code = await explain(user, options, say);
  return { code, out, err };
}

async function explained(user: string, options: ExplainOptions): Promise<Explained> {
  const { out, err } = await tell(user, { ...options, json: true });
  if (out === '') throw new Error(err);
  return JSON.parse(out);
}

/** `no keys:3: permitopen=…`, with the folder cut off. */
function lines(conditions: readonly Condition[], dir: string): readonly string[] {
  return conditions.map(({ outcome, where, says, address }) =>
    [outcome, ...(address === undefined ? [] : [`[${address}]`]), where ?? '-', says]
      .join(' ')
      .replaceAll(`${dir}/`, ''),
  );
}

t.test('logins by a key', async (t) => {
  const { dir, key, write } = house(t);
  const [twice, once, ca, spoilt] = ['twice', 'once', 'ca', 'spoilt'].map(key);
  write(
    'keys',
    [
      '# keys of alice',
      `expiry-time="20200101Z" ${twice?.line}`,
      `from="10.0.0.0/8",expiry-time="20300101Z" ${twice?.line}`,
      `restrict ${twice?.line}`,
      '',
      `from="192.0.2.0/24" ${once?.line}`,
      `cert-authority ${ca?.line}`,
      `frobnicate ${spoilt?.line}`,
    ].join('\n'),
  );
  const { type, blob } = skEd25519();
  write('keys', `${readFileSync(join(dir, 'keys'), 'utf8')}\nverify-required ${type} ${blob.toString('base64')}\n`);
  writeKeyFile(dir, 'security', { ...skEd25519(), type, blob });
  const config = write('c.yaml', 'users:\n  alice:\n    authorizedKeys: keys\n  bob: {authorizedKeys: bob.pub}\n');
  key('bob');
  const cases: ReadonlyArray<{
    readonly name: string;
    readonly key: string;
    readonly user?: string;
    readonly from?: string;
    readonly at?: string;
    readonly outcome: Outcome;
    readonly code?: string;
    readonly says: RegExp;
  }> = [
    {
      name: 'the first line that lets the peer in holds',
      key: 'twice',
      from: '10.1.2.3',
      outcome: 'allowed',
      says: /ignored keys:2 expired at 2020-01-01T00:00:00.000Z\nallowed keys:3 the key SHA256:\S+, from="10.0.0.0\/8" has the peer, until 2030-01-01T00:00:00.000Z\nignored keys:4 the same key: a line above holds/,
    },
    {
      name: 'from elsewhere another line holds',
      key: 'twice',
      from: '192.0.2.1',
      outcome: 'allowed',
      says: /ignored keys:2 .*\nignored keys:3 192.0.2.1 is not in from=\nallowed keys:4 the key/,
    },
    { name: 'before its expiry', key: 'twice', at: '20191231Z', outcome: 'allowed', says: /allowed keys:2 the key/ },
    {
      name: 'by ISO time',
      key: 'twice',
      at: '2019-12-31T23:59:59Z',
      outcome: 'allowed',
      says: /allowed keys:2 the key/,
    },
    {
      name: 'no line lets it in',
      key: 'once',
      from: '2001:db8::1',
      outcome: 'refused',
      code: 'KEY_SOURCE',
      says: /refused keys:6 2001:db8::1 is not in from=/,
    },
    { name: 'without --from', key: 'once', outcome: 'refused', code: 'KEY_SOURCE', says: /127.0.0.1 is not in from=/ },
    {
      name: 'a key that signs certificates logs nobody in',
      key: 'ca',
      outcome: 'refused',
      code: 'KEY_NOT_ACCEPTED',
      says: /refused - no line of the user is for the key SHA256:/,
    },
    {
      name: 'a line that is not understood',
      key: 'spoilt',
      outcome: 'refused',
      code: 'KEY_NOT_ACCEPTED',
      says: /refused keys:8 frobnicate: unknown option: the key is not accepted/,
    },
    {
      name: 'a security key',
      key: 'security',
      outcome: 'allowed',
      says: /allowed keys:9 the key SHA256:\S+, a security key has to check PIN or finger/,
    },
    {
      name: "another user's key",
      key: 'twice',
      user: 'bob',
      outcome: 'refused',
      code: 'KEY_NOT_ACCEPTED',
      says: /allowed c.yaml:4 users.bob\nrefused - no line of the user is for the key/,
    },
    {
      name: 'nobody',
      key: 'twice',
      user: '__proto__',
      outcome: 'refused',
      code: 'KEY_NOT_ACCEPTED',
      says: /refused c.yaml:1 users: there is no __proto__/,
    },
    { name: 'no name', key: 'twice', user: 'a\nb', outcome: 'refused', code: 'UNKNOWN_USER', says: /no name that/ },
  ];
  for (const { name, user = 'alice', key: file, from, at, outcome, code = null, says } of cases) {
    const options = { config, key: join(dir, `${file}.pub`), ...(from && { from }), ...(at && { at }) };
    const { login } = await explained(user, options);
    t.match({ outcome: login.outcome, code: login.code }, { outcome, code }, name);
    t.match(lines(login.conditions, dir).join('\n'), says, name);
  }
});

t.test('logins by a certificate', async (t) => {
  const { dir, write } = house(t);
  const [trusted, own, user] = [ed25519(), ed25519(), ed25519()];
  const lineOf = (key: TestKey): string => `${key.type} ${key.blob.toString('base64')}`;
  const file = (name: string, ca: TestKey, fields: CertificateFields = {}): string =>
    write(
      `${name}-cert.pub`,
      `ssh-ed25519-cert-v01@openssh.com ${certify(user, ca, fields).toString('base64')} a comment\n`,
    );
  write('cas', `# CAs\n${lineOf(trusted)}\n`);
  write('revoked', `${lineOf(ed25519())}\n`);
  write(
    'keys',
    [
      `cert-authority,from="10.0.0.0/8" ${lineOf(own)}`,
      `cert-authority,principals="ops",permitopen="db:1",expiry-time="20300101Z" ${lineOf(own)}`,
      lineOf(user),
    ].join('\n'),
  );
  const rest = 'users:\n  alice: {authorizedKeys: keys}\n  bob: {}\n';
  const config = write('c.yaml', `auth: {trustedUserCAKeys: cas, revokedKeys: revoked}\n${rest}`);
  const cases: ReadonlyArray<{
    readonly name: string;
    readonly certificate: string;
    readonly user?: string;
    readonly more?: ExplainOptions;
    readonly code: string | null;
    readonly login: RegExp;
    readonly open?: RegExp;
  }> = [
    {
      name: 'of a CA for all',
      certificate: file('all', trusted, { serial: 7n, keyId: 'laptop', validBeforeS: 4_000_000_000n }),
      code: null,
      login:
        /\nallowed cas:2 the certificate laptop \(serial 7\) by the CA SHA256:\S+, until 2096-10-02T07:06:40.000Z\n/,
      open: /allowed cas:2 forwards as the user may, without permitopen\nallowed certificate laptop \(serial 7\) forwards as/,
    },
    {
      name: 'without permit-port-forwarding',
      certificate: file('none', trusted, { extensions: [] }),
      code: null,
      login: /allowed cas:2 /,
      open: /allowed cas:2 .*\nrefused certificate id \(serial 1\) no port forwarding/,
    },
    {
      name: 'of the CA of a line, the second one',
      certificate: file('ops', own, { principals: ['ops'] }),
      code: null,
      login:
        /ignored keys:1 127.0.0.1 is not in from=\nallowed keys:2 the certificate id .*, until 2030-01-01T00:00:00.000Z/,
      open: /refused keys:2 none of them covers it: permitopen="db:1"\nallowed certificate id/,
    },
    {
      name: 'of the CA of a line, and none lets it in',
      certificate: file('dev', own, { principals: ['dev'] }),
      more: { from: '10.0.0.1' },
      code: 'CERT_INVALID',
      login:
        /refused keys:1 none of its principals may log in as alice: it is for dev\nrefused keys:2 none of its principals/,
    },
    {
      name: 'expired, and the key beside it lets in',
      certificate: file('old', trusted, { validBeforeS: 1_000n }),
      more: { key: write('user.pub', `${lineOf(user)}\n`) },
      code: null,
      login: /ignored cas:2 expired at 1970-01-01T00:16:40.000Z\nallowed keys:3 the key SHA256/,
    },
    {
      name: 'expired, but not then',
      certificate: file('then', trusted, { validBeforeS: 1_900_000_000n }),
      more: { at: '2030-03-17T17:46:40Z' },
      code: 'CERT_INVALID',
      login: /refused cas:2 expired at 2030-03-17T17:46:40.000Z/,
    },
    {
      name: 'of a stranger',
      certificate: file('stranger', ed25519()),
      code: 'KEY_NOT_ACCEPTED',
      login: /refused - no line of the user is for the certificate id \(serial 1\) by the CA SHA256:/,
    },
    {
      name: 'forged',
      certificate: file('forged', trusted, { signatureOf: (part) => user.sign(part) }),
      code: 'CERT_INVALID',
      login: /refused - not signed by its CA/,
    },
    {
      name: 'of the CA of another user',
      certificate: file('bob', own, { principals: ['bob'] }),
      user: 'bob',
      code: 'KEY_NOT_ACCEPTED',
      login: /allowed c.yaml:4 users.bob\nrefused - no line of the user is for/,
    },
  ];
  for (const { name, certificate, user: as = 'alice', more, code, login, open } of cases) {
    const said = await explained(as, { config, certificate, open: ['192.0.2.1:443'], ...more });
    t.equal(said.login.code, code, name);
    t.match(lines(said.login.conditions, dir).join('\n'), login, name);
    if (open !== undefined) t.match(lines(said.requests[0]?.conditions ?? [], dir).join('\n'), open, name);
  }
  write('revoked', `${lineOf(user)}\n`);
  const revoked = await explained('alice', {
    config,
    certificate: join(dir, 'all-cert.pub'),
    key: join(dir, 'user.pub'),
  });
  t.match(revoked.login, { outcome: 'refused', code: 'KEY_REVOKED' });
  t.match(lines(revoked.login.conditions, dir).join('\n'), /refused revoked the key is revoked/);
  const asked = await explained('bob', { config });
  t.match(asked.login, { outcome: 'depends' }, 'a CA for all may let in whoever has no key');
});

t.test('logins without a key: what would be asked for', async (t) => {
  const { dir, key, write } = house(t);
  key('alice');
  const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  write('erin.totp', `otpauth://totp/sallyport:erin?secret=${'A'.repeat(32)}\n`);
  const users = [
    'users:',
    '  alice: {authorizedKeys: alice.pub}',
    `  bob: {password: '${hash}'}`,
    `  carol: {authorizedKeys: alice.pub, password: '${hash}'}`,
    '  dave: {}',
    '  erin: {authorizedKeys: alice.pub, totp: erin.totp}',
  ].join('\n');
  const one = write('one.yaml', users);
  const word = write('word.yaml', `auth: {methods: [password]}\n${users}`);
  const hook = write('hook.yaml', `auth: {webhook: {url: 'http://127.0.0.1:9/'}}\n${users}`);
  const alice = join(dir, 'alice');
  const cases: ReadonlyArray<readonly [config: string, user: string, key: string | null, Outcome, RegExp]> = [
    [one, 'alice', null, 'depends', /depends one.yaml:2 a key or certificate of the user would be asked for/],
    [one, 'bob', null, 'depends', /depends one.yaml:3 password: the password would be asked for/],
    [one, 'bob', alice, 'refused', /no line of the user is for the key/],
    [one, 'dave', null, 'refused', /refused one.yaml:5 has nothing to log in by that auth.methods offers/],
    [
      one,
      'erin',
      alice,
      'depends',
      /allowed alice.pub:1 .*\ndepends one.yaml:6 totp: a code of the authenticator would be asked/,
    ],
    [one, 'carol', alice, 'allowed', /allowed alice.pub:1 the key SHA256/],
    [word, 'carol', alice, 'refused', /allowed alice.pub:1 the key .*\nrefused word.yaml:1 auth.methods: password$/],
    [word, 'carol', null, 'depends', /depends word.yaml:5 password: the password would be asked for/],
    [word, 'alice', null, 'refused', /refused word.yaml:3 has nothing to log in by that auth.methods offers/],
    [
      hook,
      'alice',
      alice,
      'depends',
      /allowed alice.pub:1 the key .*\ndepends hook.yaml:1 auth.webhook: would be asked/,
    ],
    [hook, 'mallory', alice, 'depends', /depends hook.yaml:1 users: there is no mallory: auth.webhook decides/],
    [hook, 'bob', alice, 'refused', /no line of the user is for the key/],
  ];
  for (const [config, user, file, outcome, says] of cases) {
    const { login } = await explained(user, { config, ...(file === null ? {} : { key: file }) });
    const name = `${user} by ${file === null ? 'nothing' : 'a key'}, ${config.replace(`${dir}/`, '')}`;
    t.equal(login.outcome, outcome, name);
    t.match(lines(login.conditions, dir).join('\n'), says, name);
  }
});

t.test('requests', async (t) => {
  const { dir, key, write } = house(t);
  mkdirSync(join(dir, 'run'));
  mkdirSync(join(dir, 'state'));
  await startTarget(t, (socket) => socket.destroy(), join(dir, 'run', 'a.sock'));
  await startTarget(t, (socket) => socket.destroy(), join(dir, 'secret.sock'));
  symlinkSync(join(dir, 'secret.sock'), join(dir, 'run', 'link.sock'));
  symlinkSync(join(dir, 'gone.sock'), join(dir, 'run', 'dangling.sock'));
  symlinkSync(dir, join(dir, 'run', 'up'));
  const line = (options: string, name: string): string => `${options} ${key(name).line}`.trim();
  write(
    'keys',
    [
      line('', 'plain'),
      line('restrict', 'nothing'),
      line('permitopen="db.internal:5432",permitopen="127.0.0.1:*"', 'opens'),
      line('permitlisten="localhost:8080",permitlisten="9000"', 'listens'),
    ].join('\n'),
  );
  const config = write(
    'c.yaml',
    [
      "listen: ['127.0.0.1:2222']",
      'stateDir: state',
      'defaults:',
      "  permitListen: ['localhost:8000-8100', '*:9000']",
      'users:',
      '  alice:',
      '    authorizedKeys: keys',
      '    permitOpen:',
      "      - '*:*'",
      "      - 'localhost:80'",
      `      - '${dir}/run/*.sock'`,
      '      - "127.0.0.1:2222"',
      `      - '${dir}/state/*.sock'`,
      `    permitListen: ['localhost:2222,8000-8100', '*:9000', '${dir}/run/*', '${dir}/run/up/*', '${dir}/state/*']`,
      '  bob: {authorizedKeys: keys}',
      '  carol: {authorizedKeys: keys, limits: {channels: 0, forwards: 0}}',
    ].join('\n'),
  );
  type Row = readonly [user: string, key: string, target: string, Outcome, code: string | null, says: RegExp];
  const opens: readonly Row[] = [
    [
      'alice',
      'plain',
      '192.0.2.1:443',
      'allowed',
      null,
      /^allowed c.yaml:9 users.alice.permitOpen\[0\]: \*:\*\nallowed keys:1 forwards as the user may, without permitopen$/,
    ],
    [
      'alice',
      'plain',
      '127.0.0.1:80',
      'allowed',
      null,
      /^allowed c.yaml:10 users.alice.permitOpen\[1\]: localhost:80\n/,
    ],
    [
      'alice',
      'plain',
      '0x7f.1:81',
      'refused',
      'PROTECTED_DESTINATION',
      /refused c.yaml:8 users.alice.permitOpen: 127.0.0.1 is protected \(loopback\), and none of them names it: \*:\* /,
    ],
    ['alice', 'plain', '169.254.169.254:80', 'refused', 'PROTECTED_DESTINATION', /protected \(link-local\)/],
    [
      'alice',
      'plain',
      '127.0.0.1:2222',
      'refused',
      'OWN_LISTENER',
      /refused listen 127.0.0.1:2222 is the server itself/,
    ],
    [
      'alice',
      'plain',
      'localhost:80',
      'allowed',
      null,
      /allowed \[127.0.0.1\] c.yaml:10 .*\n.*\nallowed \[::1\] c.yaml:10 /,
    ],
    ['alice', 'plain', 'localhost:81', 'refused', 'PROTECTED_DESTINATION', /refused \[127.0.0.1\] c.yaml:8 /],
    [
      'alice',
      'plain',
      'db.internal:5432',
      'depends',
      null,
      /depends - depends on the address: names are looked up with --resolve/,
    ],
    ['alice', 'opens', 'db.internal:5432', 'depends', null, /allowed keys:3 permitopen="db.internal:5432"/],
    ['alice', 'opens', '127.0.0.1:80', 'allowed', null, /allowed keys:3 permitopen="127.0.0.1:\*"$/],
    [
      'alice',
      'opens',
      'localhost:80',
      'refused',
      'POLICY_DENIED',
      /^allowed c.yaml:9 .*\nrefused keys:3 none of them covers it: permitopen="db.internal:5432",permitopen="127.0.0.1:\*"$/,
    ],
    [
      'alice',
      'nothing',
      '192.0.2.1:443',
      'refused',
      'POLICY_DENIED',
      /^allowed c.yaml:9 .*\nrefused keys:2 no port forwarding$/,
    ],
    [
      'alice',
      'nothing',
      '127.0.0.1:81',
      'refused',
      'PROTECTED_DESTINATION',
      /refused c.yaml:8 .*\nrefused keys:2 no port forwarding/,
    ],
    [
      'alice',
      'plain',
      `${dir}/run/a.sock`,
      'allowed',
      null,
      /^allowed c.yaml:11 users.alice.permitOpen\[2\]: run\/\*.sock\n/,
    ],
    ['alice', 'opens', `${dir}/run/a.sock`, 'refused', 'POLICY_DENIED', /refused keys:3 none of them covers it/],
    [
      'alice',
      'plain',
      `${dir}/run/link.sock`,
      'refused',
      'POLICY_DENIED',
      /^allowed - leads to secret.sock\nrefused c.yaml:8 /,
    ],
    ['alice', 'plain', `${dir}/run/dangling.sock`, 'refused', 'POLICY_DENIED', /refused - a link that leads nowhere/],
    ['alice', 'plain', `${dir}/run/none.sock`, 'allowed', null, /allowed - no such socket now: CONNECT_REFUSED/],
    [
      'alice',
      'plain',
      `${dir}/secret.sock`,
      'refused',
      'POLICY_DENIED',
      /^refused c.yaml:8 users.alice.permitOpen: none of them covers it/,
    ],
    ['bob', 'plain', '192.0.2.1:443', 'allowed', null, /^allowed - permitOpen\[0\] \(default\): \*:\*\n/],
    [
      'carol',
      'plain',
      '192.0.2.1:443',
      'refused',
      'CHANNEL_LIMIT',
      /refused c.yaml:16 users.carol.limits: channels: 0$/,
    ],
  ];
  const listens: readonly Row[] = [
    [
      'alice',
      'plain',
      'localhost:8080',
      'allowed',
      null,
      /^allowed c.yaml:14 users.alice.permitListen\[0\]: localhost:2222,8000-8100\n/,
    ],
    ['alice', 'plain', '8080', 'allowed', null, /permitListen\[0\]/],
    [
      'alice',
      'plain',
      ':8080',
      'refused',
      'POLICY_DENIED',
      /^refused c.yaml:14 users.alice.permitListen: none of them covers it/,
    ],
    ['alice', 'plain', '*:9000', 'allowed', null, /permitListen\[1\]: \*:9000/],
    ['alice', 'plain', 'localhost:0', 'allowed', null, /allowed - a free port of 2222,8000-8100,9000$/],
    [
      'alice',
      'plain',
      'localhost:2222',
      'refused',
      'PORT_TAKEN',
      /refused listen port 2222 is the server's own, on every address/,
    ],
    ['alice', 'plain', 'host.example:9000', 'refused', 'BAD_ADDRESS', /a name is not looked up to be bound/],
    ['alice', 'plain', '224.0.0.1:9000', 'refused', 'BAD_ADDRESS', /that is nothing to be asked for/],
    ['alice', 'listens', 'localhost:8080', 'allowed', null, /allowed keys:4 permitlisten="localhost:8080"$/],
    ['alice', 'listens', ':9000', 'allowed', null, /allowed keys:4 permitlisten="\*:9000"$/],
    [
      'alice',
      'listens',
      'localhost:8081',
      'refused',
      'POLICY_DENIED',
      /^allowed .*\nrefused keys:4 none of them covers it: permitlisten="localhost:8080",permitlisten="\*:9000"$/,
    ],
    ['alice', 'listens', 'localhost:0', 'refused', 'POLICY_DENIED', /refused keys:4 /],
    ['alice', 'nothing', 'localhost:8080', 'refused', 'POLICY_DENIED', /refused keys:2 no port forwarding/],
    [
      'alice',
      'plain',
      `${dir}/run/new.sock`,
      'allowed',
      null,
      /^allowed c.yaml:14 users.alice.permitListen\[2\]: run\/\*\n/,
    ],
    [
      'alice',
      'plain',
      `${dir}/run/up/new.sock`,
      'refused',
      'POLICY_DENIED',
      /allowed - leads to new.sock\nrefused c.yaml:14 /,
    ],
    [
      'bob',
      'plain',
      'localhost:8080',
      'allowed',
      null,
      /^allowed c.yaml:4 defaults.permitListen\[0\]: localhost:8000-8100\n/,
    ],
    [
      'bob',
      'plain',
      'localhost:7999',
      'refused',
      'POLICY_DENIED',
      /^refused c.yaml:4 defaults.permitListen: none of them/,
    ],
    [
      'carol',
      'plain',
      'localhost:8080',
      'refused',
      'FORWARD_LIMIT',
      /refused c.yaml:16 users.carol.limits: forwards: 0$/,
    ],
  ];
  const ask = async (kind: 'open' | 'listen', rows: readonly Row[]): Promise<void> => {
    for (const [user, file, target, outcome, code, says] of rows) {
      const options = { config, key: join(dir, `${file}.pub`), [kind]: [target] };
      const { requests } = await explained(user, options);
      const [request] = requests;
      const name = `${kind} ${target.replace(`${dir}/`, '')} of ${user} by ${file}`;
      t.match(request, { kind, outcome, code }, name);
      t.match(lines(request?.conditions ?? [], dir).join('\n'), says, name);
    }
  };
  await ask('open', opens);
  await ask('listen', listens);
  for (const own of ['primary.sock', 'takeover.sock', 'primary.sock.17'])
    t.match(await explained('alice', { config, key: key('plain').file, listen: [`${dir}/state/${own}`] }), {
      requests: [{ outcome: 'refused', code: 'PORT_TAKEN' }],
    });

  const all = await explained('alice', { config, key: key('plain').file, open: ['192.0.2.1:1', '127.0.0.1:81'] });
  t.match([all.outcome, ...all.requests.map(({ outcome }) => outcome)], ['refused', 'allowed', 'refused']);
  const resolved = await explained('alice', {
    config,
    key: key('plain').file,
    open: ['sub.localhost:80'],
    resolve: true,
  });
  t.match(resolved.requests, [{ outcome: 'allowed' }]);

  const refused = await explained('alice', { config, key: key('stranger').file, open: ['192.0.2.1:1'] });
  t.match(refused.requests, [{ outcome: 'refused', code: 'KEY_NOT_ACCEPTED' }]);
  t.match(lines(refused.requests[0]?.conditions ?? [], dir), ['refused - the login is refused', /^allowed c.yaml:9 /]);
});

t.test('the command: lines, exit codes, and what it cannot answer', async (t) => {
  const { dir, key, write } = house(t);
  key('alice');
  write('sallyport.yaml', "users:\n  alice:\n    authorizedKeys: alice.pub\n    permitOpen: ['localhost:80']\n");
  const sallyport = (...args: readonly string[]) =>
    run(t, process.execPath, [cliEntry, 'explain', ...args], { cwd: dir, env: { HOME: dir } });
  const good = await sallyport('alice', '--key', 'alice', '--at', '20300102Z', '--open', 'localhost:80');
  t.equal(good.code, 0, good.stderr);
  const [, fingerprint] = /the key (SHA256:\S+)/.exec(good.stdout) ?? [];
  t.equal(
    good.stdout.replaceAll(`${dir}/`, ''),
    [
      'alice from 127.0.0.1 at 2030-01-02T00:00:00.000Z',
      'login: allowed',
      '  yes sallyport.yaml:2: users.alice',
      `  yes alice.pub:1: the key ${fingerprint}`,
      '  yes limits (default): at most 10 connections, 1024 channels of each, 16 forwards at a time',
      'open localhost:80: allowed',
      '  yes 127.0.0.1: sallyport.yaml:4: users.alice.permitOpen[0]: localhost:80',
      '  yes 127.0.0.1: alice.pub:1: forwards as the user may, without permitopen',
      '  yes ::1: sallyport.yaml:4: users.alice.permitOpen[0]: localhost:80',
      '  yes ::1: alice.pub:1: forwards as the user may, without permitopen',
      '',
    ].join('\n'),
  );
  t.match(await sallyport('alice', '-i', 'alice.pub', '-o', 'localhost:81', '-l', '8080'), {
    code: 1,
    stdout:
      /\nopen localhost:81: refused \(POLICY_DENIED\)\n {2}no {2}sallyport.yaml:4: .*\n(?:.*\n)*listen localhost:8080: allowed\n/,
    stderr: '',
  });
  t.match(await sallyport(), { code: 2, stderr: /missing required argument 'user'/ });

  const config = join(dir, 'sallyport.yaml');
  const hooked = write('hooked.yaml', 'handler: ./handler.js\nusers: {alice: {authorizedKeys: alice.pub}}\n');
  t.match(
    await tell('alice', { config: hooked, key: key('alice').file }),
    {
      code: 0,
      out: /^alice .*\n.*handler.js decides: what follows is what the config says without it\nlogin: allowed\n/,
    },
    'the module is not there, and is not asked for',
  );
  write('bad.yaml', 'users: {alice: {permitOpen: ["x"]}}\n');
  write('junk.pub', '\nssh-ed25519 AAAA\n');
  write('lonely', newKeyPair('ed25519', 'lonely').privateKey);
  const mistakes: ReadonlyArray<readonly [ExplainOptions, RegExp]> = [
    [{ config: join(dir, 'none.yaml') }, /none.yaml:1:1: file: is not there/],
    [{ config: join(dir, 'bad.yaml') }, /bad.yaml:1:\d+: users.alice.permitOpen\[0\]: "x": no ports/],
    [{ config, key: join(dir, 'nope') }, /^error: .*nope is not there/],
    [{ config, key: join(dir, 'junk.pub') }, /^error: .*junk.pub:2: /],
    [{ config, key: join(dir, 'lonely') }, /is a private key: make the public one by `ssh-keygen -y -f /],
    [{ config, from: 'localhost' }, /^error: --from localhost: no IP address/],
    [{ config, at: 'tomorrow' }, /^error: --at tomorrow: no time, write /],
  ];
  for (const [options, says] of mistakes) {
    const told = await tell('alice', options);
    t.match(told, { code: 2, out: '', err: says }, JSON.stringify(options).replaceAll(dir, ''));
  }

  // What cannot be asked about keeps nobody from asking about the rest.
  const open = ['localhost', 'a.example:80', 'localhost:0', '/a/../b', 'fe80::1%lo:1'];
  const asked = { config, open, listen: ['localhost:65536', '8080'] };
  const told = await tell('alice', asked);
  t.match(told, { code: 2, out: /\nlogin: .*\nopen a\.example:80: .*\nlisten localhost:8080: /s });
  t.equal(told.out.match(/^(?:open|listen) /gm)?.length, 2);
  const said = [
    /^error: --open localhost: write HOST:PORT/,
    /^error: --open localhost:0: port 0 cannot be opened$/,
    /^error: --open \/a\/..\/b: a path must be normalised/,
    /^error: --open fe80::1%lo:1: /,
    /^error: --listen localhost:65536: write HOST:PORT/,
  ];
  t.match(told.err.trimEnd().split('\n'), said);
  const { errors, requests } = JSON.parse((await tell('alice', { ...asked, json: true })).out);
  t.equal(errors.length, said.length);
  t.match(requests, [{ target: 'a.example:80' }, { target: 'localhost:8080' }]);
});

t.test('a name is covered by a pattern for names, and perhaps by one for addresses', async (t) => {
  const { dir, key, write } = house(t);
  key('alice');
  const config = write(
    'c.yaml',
    "users: {alice: {authorizedKeys: keys, permitOpen: ['10.0.0.0/8:*', '*.internal:443', 'localhost:22']}}\n",
  );
  const open = ['db.internal:443', 'db.internal:80', 'db.example:22', 'localhost:22'];
  write('keys', `restrict ${key('alice').line}\n`); // localhost is told by its addresses where it is allowed
  const { out } = await tell('alice', { config, key: join(dir, 'alice.pub'), open, json: true });
  const { requests } = JSON.parse(out);
  const patterns = requests.map(({ conditions }: { conditions: { outcome: string; says: string }[] }) => conditions[0]);
  t.match(patterns, [
    { outcome: 'allowed', says: 'users.alice.permitOpen[1]: *.internal:443' },
    { outcome: 'depends', says: 'users.alice.permitOpen[0]: 10.0.0.0/8:*, if the name leads there' },
    { outcome: 'depends', says: 'users.alice.permitOpen[0]: 10.0.0.0/8:*, if the name leads there' },
    { outcome: 'allowed', says: 'users.alice.permitOpen[2]: localhost:22' },
  ]);
});

t.test('why a pattern that looks as if it covered a request does not', async (t) => {
  const { dir, key, write } = house(t);
  key('alice');
  const config = write(
    'c.yaml',
    "users: {alice: {authorizedKeys: alice.pub, permitOpen: ['db.internal:5432', '10.0.0.0/8:22', '192.0.2.0/24:1-9']}}\n",
  );
  const all = 'db.internal:5432 10.0.0.0/8:22 192.0.2.0/24:1-9';
  const cases: ReadonlyArray<readonly [string, string]> = [
    ['10.1.2.3:5432', '(db.internal:5432 is for requests by that name, not by an address that it may have)'],
    ['10.1.2.3:23', '(10.0.0.0/8:22 has other ports)'],
    ['192.0.2.7:5432', '(db.internal:5432 is for requests by that name, not by an address that it may have)'],
    ['DB.internal.:5433', '(db.internal:5432 has other ports)'],
    ['other.internal:5432', ''],
    ['203.0.113.1:80', ''],
  ];
  const open = cases.map(([target]) => target);
  const { out } = await tell('alice', { config, key: join(dir, 'alice.pub'), open, json: true });
  const said: Explained = JSON.parse(out);
  for (const [index, [target, why]] of cases.entries()) {
    const { outcome, conditions } = said.requests[index] ?? { outcome: null, conditions: [] };
    t.equal(outcome, 'refused', target);
    const because = why === '' ? '' : ` ${why}`;
    t.equal(conditions[0]?.says, `users.alice.permitOpen: none of them covers it${because}: ${all}`, target);
  }

  const patterns = { config, open: ['10.0.0.0/8:22', '*.internal:5432', 'a_b!:1'] };
  const { err } = await tell('alice', patterns);
  t.match(err.trimEnd().split('\n'), [
    'error: --open 10.0.0.0/8:22: a client asks for one host: name an address of 10.0.0.0/8',
    'error: --open *.internal:5432: a client asks for one host, not for a pattern',
    'error: --open a_b!:1: character not allowed in a host name',
  ]);
});
