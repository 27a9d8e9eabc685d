/** CHECK and the command line itself: the real program, its lines and its exit codes. */
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cliEntry } from '../support/paths.js';
import { mustRun, type Outcome, run, start } from '../support/process.js';
import { tempDir } from '../support/temp.js';

function sallyport(t: Test, cwd: string, args: readonly string[]): Promise<Outcome> {
  return run(t, process.execPath, [cliEntry, ...args], { cwd, env: { HOME: cwd } });
}

function write(dir: string, name: string, text: string, mode = 0o600): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  chmodSync(file, mode); // whatever the umask is
  return file;
}

async function newKey(t: Test, file: string): Promise<void> {
  await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
}

t.test('a good config, found in the working folder or named', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'alice'));
  await newKey(t, join(dir, 'host_key'));
  write(
    dir,
    'sallyport.yaml',
    'workers: 1\nhostKeys: [host_key]\nlisten: ["127.0.0.1:0"]\nusers: {alice: {authorizedKeys: alice.pub}}\n',
  );
  const expected = 'good: 1 user, 1 worker, listens on 127.0.0.1:0\n';
  t.match(await sallyport(t, dir, ['check']), { code: 0, stdout: `sallyport.yaml: ${expected}`, stderr: '' });
  const file = join(dir, 'sallyport.yaml');
  t.match(await sallyport(t, '/', ['check', '--config', file]), {
    code: 0,
    stdout: `${file}: ${expected}`,
    stderr: '',
  });
});

t.test('every error at once, of the config, its key files and its host keys', async (t) => {
  const dir = tempDir(t);
  write(dir, 'ca.pub', 'junk\n');
  write(dir, 'cert.pub', 'junk\n');
  write(
    dir,
    'c.yaml',
    [
      'users:',
      '  alice: {authorizedKeys: none.pub, pasword: x}',
      'timeouts: {drain: 5}',
      'auth: {maxTries: 0, trustedUserCAKeys: ca.pub}',
      'hostKeys: [missing]',
      'hostCertificates: [cert.pub]',
      'log: {level: loud, audit: no/audit.jsonl}',
      'handler: none.mjs',
      '',
    ].join('\n'),
  );
  const { code, stdout } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.equal(code, 2);
  const lines = stdout.split('\n').filter((line) => !line.startsWith(' ')); // a handler's stack is below its line
  t.equal(lines.length, 11, stdout);
  t.match(
    lines[0],
    /^c\.yaml:2:27: users\.alice\.authorizedKeys: "none\.pub" \(\/.*\/none\.pub\) is not there, allowed: /,
  );
  t.match(lines[1], /^c\.yaml:2:37: users\.alice\.pasword: unknown key \(did you mean users\.alice\.password\?\)/);
  t.match(lines[2], /^c\.yaml:3:19: timeouts\.drain: 5 has no unit/);
  t.match(lines[3], /^c\.yaml:4:18: auth\.maxTries: 0 is out of range/);
  t.match(lines[4], /^c\.yaml:7:14: log\.level: "loud" is not known/);
  t.match(lines[5], /^\/.*\/ca\.pub:1:1: auth\.trustedUserCAKeys: /);
  t.match(lines[6], /^\/.*\/cert\.pub:1:1: hostCertificates: /);
  t.match(lines[7], /^c\.yaml:5:12: hostKeys\[0\]: .*missing: no such file/);
  t.match(lines[8], /^c\.yaml:7:27: log\.audit: cannot be opened: ENOENT/);
  t.match(lines[9], /^c\.yaml:8:10: handler: .*none\.mjs: does not load/);
});

t.test('a mistake is told once, and none that only follows from it', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'state'), { mode: 0o700 });
  write(dir, 'state/ssh_host_ed25519_key', 'junk\n');
  write(dir, 'c.yaml', 'hostKeys: 5\nusers: 7\nlog: {audit: state/audit.jsonl}\n');
  const { code, stdout } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.equal(code, 2);
  t.match(
    stdout,
    /^c\.yaml:1:11: hostKeys: [^\n]*\nc\.yaml:2:8: users: [^\n]*\n$/,
    'the keys of stateDir are not meant',
  );
});

t.test('the folder of an audit: there, or the stateDir, which a start makes', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'host_key'));
  const config = (audit: string) =>
    `workers: 1\nlisten: ["127.0.0.1:0"]\nhostKeys: [host_key]\nstateDir: fresh\nusers: {}\nlog: {audit: ${audit}}\n`;
  write(dir, 'good.yaml', config('fresh/audit.jsonl'));
  t.match(await sallyport(t, dir, ['check', '--config', 'good.yaml']), { code: 0 });
  const server = start(t, process.execPath, [cliEntry, 'serve', '--config', 'good.yaml'], { cwd: dir });
  await server.waitFor(/server\.listening/);
  t.equal(statSync(join(dir, 'fresh')).mode & 0o777, 0o700, 'its start makes it, also for the audit alone');
  t.match(await server.stop(), { code: 0 });
  for (const [audit, wrong] of [
    ['none/audit.jsonl', /^bad\.yaml:6:14: log\.audit: cannot be opened: ENOENT[^\n]*, allowed: /],
    ['fresh', /^bad\.yaml:6:14: log\.audit: .*fresh is a folder, allowed: /],
    ['host_key/audit.jsonl', /^bad\.yaml:6:14: log\.audit: cannot be opened: ENOTDIR/],
  ] as const) {
    write(dir, 'bad.yaml', config(audit));
    t.match(await sallyport(t, dir, ['check', '--config', 'bad.yaml']), { code: 2, stdout: wrong }, audit);
    t.match(await sallyport(t, dir, ['serve', '--config', 'bad.yaml']), { code: 2, stderr: /log\.audit: / }, audit);
  }
});

t.test('host keys: there, private, and private to us', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'good'));
  await newKey(t, join(dir, 'open'));
  chmodSync(join(dir, 'open'), 0o644);
  write(dir, 'junk', 'junk\n');
  write(dir, 'c.yaml', 'hostKeys:\n  - good\n  - missing\n  - open\n  - junk\n  - good.pub\n');
  chmodSync(join(dir, 'good.pub'), 0o600);
  const { code, stdout } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.equal(code, 2);
  const lines = stdout.trimEnd().split('\n');
  t.equal(lines.length, 4, stdout);
  t.match(lines[0], /^c\.yaml:3:5: hostKeys\[1\]: .*missing: no such file/);
  t.match(lines[1], /^c\.yaml:4:5: hostKeys\[2\]: .*open: others may read/);
  t.match(lines[2], /^c\.yaml:5:5: hostKeys\[3\]: .*junk: this is no private key/);
  t.match(lines[3], /^c\.yaml:6:5: hostKeys\[4\]: .*good\.pub: this is a public key/);
});

t.test(
  'algorithms: a name that is weak or unknown, one twice, none, and signatures that no host key makes',
  async (t) => {
    const dir = tempDir(t);
    await newKey(t, join(dir, 'good'));
    const head = 'hostKeys: [good]\nlisten: ["127.0.0.1:0"]\nalgorithms:\n';
    const cases: ReadonlyArray<readonly [key: string, says: RegExp]> = [
      [
        'kex: [curve25519-sha256, diffie-hellman-group14-sha1]',
        /^c\.yaml:4:\d+: algorithms\.kex\[1\]: "diffie-hellman-group14-sha1" is not known, allowed: .*mlkem768x25519-sha256, curve/,
      ],
      [
        'ciphers: [aes128-cbc]',
        /algorithms\.ciphers\[0\]: "aes128-cbc" is not known, allowed: .*aes128-gcm@openssh\.com/,
      ],
      ['macs: [hmac-sha1]', /algorithms\.macs\[0\]: "hmac-sha1" is not known, allowed: .*hmac-sha2-512/],
      ['hostKeys: [ssh-rsa]', /algorithms\.hostKeys\[0\]: "ssh-rsa" is not known, allowed: .*rsa-sha2-512/],
      ['kex: []', /algorithms\.kex: is empty, allowed: a list of at least one of/],
      ['macs: [hmac-sha2-256, hmac-sha2-256]', /algorithms\.macs\[1\]: "hmac-sha2-256" is there already/],
      ['compression: [zlib]', /algorithms\.compression: unknown key/],
      [
        'hostKeys: [rsa-sha2-512]',
        /^c\.yaml:4:13: algorithms\.hostKeys: none is what the host keys sign with, allowed: at least one of ssh-ed25519$/m,
      ],
    ];
    for (const [key, says] of cases) {
      write(dir, 'c.yaml', `${head}  ${key}\n`);
      const { code, stdout } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
      t.equal(code, 2, key);
      t.match(stdout, says);
    }
    write(dir, 'c.yaml', `${head}  hostKeys: [rsa-sha2-512, ssh-ed25519]\n  kex: [ecdh-sha2-nistp256]\n`);
    t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), { code: 0 });
    write(dir, 'd.yaml', 'listen: ["127.0.0.1:0"]\nalgorithms: { hostKeys: [rsa-sha2-512] }\n');
    const { stdout } = await sallyport(t, dir, ['check', '--config', 'd.yaml']);
    t.match(stdout, /allowed: at least one of ssh-ed25519, ecdsa-sha2-nistp256/, 'such keys would be made');
  },
);

t.test('host keys that lie in stateDir by now, and a stateDir that cannot be', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'state'), { mode: 0o700 });
  write(dir, 'c.yaml', 'stateDir: ./state\n');
  t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), { code: 0 }, 'none yet: they will be made');
  await newKey(t, join(dir, 'state', 'ssh_host_ed25519_key'));
  t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), { code: 0 });
  chmodSync(join(dir, 'state', 'ssh_host_ed25519_key'), 0o644);
  t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), {
    code: 2,
    stdout: /stateDir: .*ssh_host_ed25519_key: others may read this private key \(mode 644\): chmod 600 it/,
  });
  write(dir, 'e.yaml', 'listen: ["127.0.0.1:0"]\nstateDir: ./open\n');
  mkdirSync(join(dir, 'open'));
  chmodSync(join(dir, 'open'), 0o777);
  const open = /others may write in it, so they could change its host keys and sockets: chmod o-w it/;
  const said = await sallyport(t, dir, ['check', '--config', 'e.yaml']);
  t.match(said, { code: 2, stdout: open }, 'before there are keys, too');
  t.match(said.stdout, /^e\.yaml:2:11: stateDir: /);
  t.match(await sallyport(t, dir, ['serve', '--config', 'e.yaml']), { code: 2, stderr: open });
  // As one of another user's, into which root alone could look.
  symlinkSync('loop', join(dir, 'loop'));
  write(dir, 'f.yaml', 'workers: 0\nstateDir: ./loop\n');
  const closed = await sallyport(t, dir, ['check', '--config', 'f.yaml']);
  t.match(closed, { code: 2, stdout: /^f\.yaml:1:10: workers: .*\nf\.yaml:2:11: stateDir: .*ELOOP.*, allowed: / });
  await newKey(t, join(dir, 'elsewhere'));
  write(dir, 'g.yaml', 'listen: ["127.0.0.1:0"]\nstateDir: ./open\nhostKeys: [./elsewhere]\n');
  t.match(await sallyport(t, dir, ['check', '--config', 'g.yaml']), { code: 2, stdout: open }, 'its sockets are there');
  t.match(await sallyport(t, dir, ['serve', '--config', 'g.yaml']), { code: 2, stderr: open });
  write(dir, 'd.yaml', 'stateDir: ./c.yaml/below\n');
  t.match(await sallyport(t, dir, ['check', '--config', 'd.yaml']), {
    code: 2,
    stdout: /stateDir: .*c\.yaml is a file, allowed: a path of folders/,
  });
});

t.test('a key that will open nothing is a warning with its own file and line', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'alice'));
  write(
    dir,
    'keys',
    `${await mustRun(t, 'cat', [join(dir, 'alice.pub')])}\nrestrct ssh-ed25519 AAAA\nssh-ed25519 AAAA\n`,
  );
  write(dir, 'c.yaml', 'users: {alice: {authorizedKeys: keys}}\n');
  const { code, stderr } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.equal(code, 0);
  const lines = stderr.trimEnd().split('\n');
  t.equal(lines.length, 2, stderr);
  t.match(
    lines[0],
    /\/keys:3:1: users\.alice\.authorizedKeys: warning: restrct: unknown option \(did you mean restrict\?\)/,
  );
  t.match(lines[1], /\/keys:4:1: users\.alice\.authorizedKeys: warning: /);

  write(dir, 'broken', 'ssh-ed25519 AAAA\n');
  const noKey = 'users: {alice: {authorizedKeys: broken}}\n';
  write(dir, 'none.yaml', noKey);
  write(dir, 'handler.yaml', `handler: ./handler.js\n${noKey}`);
  t.match((await sallyport(t, dir, ['check', '--config', 'none.yaml'])).stderr, /: cannot log in\n$/);
  t.notMatch((await sallyport(t, dir, ['check', '--config', 'handler.yaml'])).stderr, /cannot log in/);
});

t.test('CAs and revoked keys that cannot be read are errors, with their file and line', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'alice'));
  write(dir, 'ca.pub', '# the CA\n\ncert-authority ssh-ed25519 AAAA\n');
  write(dir, 'revoked', 'SSHKRL\n\0');
  write(
    dir,
    'c.yaml',
    'auth: {trustedUserCAKeys: ca.pub, revokedKeys: revoked}\nusers: {alice: {authorizedKeys: alice.pub}}\n',
  );
  const { code, stdout } = await sallyport(t, dir, ['check', '--config', 'c.yaml']);
  t.equal(code, 2);
  t.match(stdout, /\/ca\.pub:3:1: auth\.trustedUserCAKeys: no key, expected TYPE BASE64/);
  t.match(stdout, /\/revoked:1:1: auth\.revokedKeys: is cut short in its header/);
  write(dir, 'c.yaml', 'auth: {trustedUserCAKeys: alice.pub, revokedKeys: alice.pub}\nusers: {bob: }\n');
  t.match(await sallyport(t, dir, ['check', '--config', 'c.yaml']), { code: 0, stderr: '' });
});

t.test('a bind address that grants nothing is a warning, of the check and of the start', async (t) => {
  const dir = tempDir(t);
  await newKey(t, join(dir, 'alice'));
  // The second key keeps the server from starting: this is about what it says before.
  const user = 'users: {alice: {authorizedKeys: alice.pub, permitListen: ["app.internal:80"]}}\n';
  write(dir, 'good.yaml', user);
  write(dir, 'bad.yaml', `${user}bogus: 1\n`);
  const warning =
    /^\w+\.yaml:1:59: users\.alice\.permitListen\[0\]: warning: "app\.internal:80": a name cannot be bound in this version; allowed are /;
  t.match(await sallyport(t, dir, ['check', '--config', 'good.yaml']), { code: 0, stderr: warning });
  t.match(await sallyport(t, dir, ['serve', '--config', 'bad.yaml']), { code: 2, stderr: warning });
});

t.test('files that are no config are refused with a place, whatever they are', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'folder'));
  write(dir, 'big.yaml', `# ${'x'.repeat(2 ** 20)}\n`);
  write(dir, 'open.yaml', '', 0o666);
  writeFileSync(join(dir, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
  symlinkSync(join(dir, 'nowhere'), join(dir, 'dangling.yaml'));
  const cases: ReadonlyArray<readonly [string, string]> = [
    ['none.yaml', 'is not there'],
    ['dangling.yaml', 'is not there'],
    ['folder', 'is a folder'],
    ['big.yaml', 'is larger than 1MiB'],
    ['binary.yaml', 'is not UTF-8 text'],
    ['/dev/zero', 'is larger than 1MiB'],
    ['open.yaml', 'may be written by everybody on this machine: chmod o-w it'],
  ];
  for (const [file, wrong] of cases)
    t.match(await sallyport(t, dir, ['check', '--config', file]), {
      code: 2,
      stdout: `${file}:1:1: file: ${wrong}, allowed: a YAML file\n`,
    });
});

t.test('without a file there is nothing to check; a file that cannot be followed is not "no file"', async (t) => {
  const dir = tempDir(t);
  t.match(await sallyport(t, dir, ['check']), { code: 0, stdout: /^no config file .* quick start\n$/ });
  symlinkSync(join(dir, 'nowhere'), join(dir, 'sallyport.yaml'));
  t.match(await sallyport(t, dir, ['check']), { code: 2, stdout: /^sallyport\.yaml:1:1: file: is not there/ });
});

t.test('bad usage: exit code 2 and a hint', async (t) => {
  const dir = tempDir(t);
  const cases: ReadonlyArray<readonly [readonly string[], RegExp]> = [
    [['chek'], /^error: unknown command 'chek' \(did you mean check\?\)\n/],
    [['frobnicate'], /^error: unknown command 'frobnicate'\n/],
    [['--bogus'], /^error: unknown option '--bogus'/],
    [['check', 'extra'], /^error: too many arguments/],
    [['check', '--config'], /^error: option .* argument missing/],
  ];
  for (const [args, message] of cases) {
    const outcome = await sallyport(t, dir, args);
    t.match(outcome, { code: 2, stdout: '', stderr: message }, args.join(' '));
    t.match(outcome.stderr, /sallyport --help/, args.join(' '));
  }
  t.match(await sallyport(t, dir, ['--help']), { code: 0, stdout: /hash-password/ });
  t.match(await sallyport(t, dir, ['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
});

t.test(
  'a handler is loaded and made by `check`, and one that is not whole ends `serve` with the same words',
  async (t) => {
    const dir = tempDir(t);
    const library = new URL('../../src/index.js', import.meta.url).href;
    write(
      dir,
      'good.mjs',
      `import { TunnelServer } from '${library}';\nexport default class extends TunnelServer {}\n`,
    );
    write(dir, 'none.mjs', 'export const nothing = 1;\n');
    write(dir, 'named.yaml', 'workers: 1\nhandler: none.mjs\n');
    t.match(await sallyport(t, dir, ['check', '--handler', 'good.mjs']), {
      code: 0,
      stdout: /^config: good: decides by .*good\.mjs, /,
      stderr: '',
    });
    const wrong = /none\.mjs: has no default export; wanted: export default class extends TunnelServer/;
    for (const [args, place] of [
      [['--handler', 'none.mjs'], /^command line: handler: /],
      [['--config', 'named.yaml'], /^named\.yaml:2:10: handler: /],
      [['--config', 'named.yaml', '--handler', 'none.mjs'], /^command line: handler: /],
    ] as const) {
      const checked = await sallyport(t, dir, ['check', ...args]);
      t.match(checked, { code: 2, stdout: place, stderr: '' }, args.join(' '));
      t.match(checked.stdout, wrong);
      const served = await sallyport(t, dir, ['serve', '--listen', '127.0.0.1:0', ...args]);
      t.match(served, { code: 2, stdout: '', stderr: wrong }, args.join(' '));
    }
  },
);

t.test('serve tells the same errors, and those of its own options', async (t) => {
  const dir = tempDir(t);
  write(dir, 'bad.yaml', 'bogus: 1\n');
  t.match(await sallyport(t, dir, ['serve', '--config', 'bad.yaml', '--workers', '0', '--listen', 'x']), {
    code: 2,
    stdout: '',
    stderr:
      /^bad\.yaml:1:1: users: warning: [^\n]*\nbad\.yaml:1:1: bogus: unknown key[^\n]*\ncommand line: listen\[0\]: "x" is not HOST:PORT[^\n]*\ncommand line: workers: 0 is out of range[^\n]*\n$/,
  });
  t.match(await sallyport(t, dir, ['--log-level', 'loud']), {
    code: 2,
    stderr: /^command line: log\.level: "loud" is not known/m,
  });
});

t.test('--json: one object with all that is said, and the same exit codes', async (t) => {
  const dir = tempDir(t);
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await sallyport(t, dir, ['check', '--json', ...args]);
    t.match(stdout, /^\{.*\}\n$/, 'one line');
    return { code, stderr, ...JSON.parse(stdout) };
  };
  t.match(await json(), { code: 0, config: null, good: true, summary: /^no config file .*quick start$/ });
  write(dir, 'c.yaml', 'workers: 1\nlisten: ["127.0.0.1:0"]\nusers: {}\n');
  t.strictSame(await json('--config', 'c.yaml'), {
    code: 0,
    stderr: '',
    config: 'c.yaml',
    good: true,
    errors: [],
    warnings: ['c.yaml:3:8: users: warning: there is no user: nobody can log in'],
    summary: 'c.yaml: good: 0 users, 1 worker, listens on 127.0.0.1:0',
  });
  write(dir, 'd.yaml', 'workers: 0\nhandler: none.mjs\n');
  t.match(await json('--config', 'd.yaml'), {
    code: 2,
    good: false,
    errors: [/^d\.yaml:1:10: workers: /, /^d\.yaml:2:10: handler: .*none\.mjs: does not load: there is no such file$/],
    summary: null,
  });
});
