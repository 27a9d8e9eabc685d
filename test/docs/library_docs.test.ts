/** LIBRARY DOCS: the programs of docs/library.md and docs/from-python.md. All compile against the package as its users import
 *  it, all that listen start, and the ones that the others are made of serve a real client.
 *  A `ts` block with an import line is a whole program, and its first line, `// NAME.ts`, the file that it goes into. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import root, { type Test } from 'tap';
import type { ErrorCode } from '../../src/index.js';
import type { EventName } from '../../src/shared/events.js';
import { askpass } from '../support/askpass.js';
import { exchange } from '../support/bytes.js';
import { projectRoot } from '../support/paths.js';
import { mustRun, type Outcome, type Running, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { type Login, makeLogin, type SshEndpoint } from '../support/server.js';
import { HOST, spoken, sshConfig, sshRun, tunnel } from '../support/ssh.js';
import { connect, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { codeNow } from '../support/totp.js';
import { compile } from '../support/typescript.js';

const DOCS = ['library.md', 'from-python.md'] as const;
/** What the programs say for "your own". */
const THEIRS = {
  address: '127.0.0.1:2222',
  keyLine: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvAZ5Dp8t2pTdFvSMzIPCjF1kZuOj5Trw0VzMmBa4CV',
  fingerprint: 'SHA256:o/d+p5y4mDc3h4HQumG9zaOBpaCZKu22TcpqtO5tRU4',
} as const;
/** Classes for others to serve. */
const HANDLERS: readonly string[] = ['tenants'];
/** Where the docs tell a reader to copy something. */
const EXAMPLES = ['sftp_folder.ts', 'sftp_adapter.ts'] as const;
const BY_PASSWORD = ['-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1', '-o', 'PubkeyAuthentication=no'];

/** Every event and every code: the compiler holds these to the types, and a test the docs to these. */
const EVENTS: { readonly [name in EventName]: true } = {
  'server.listening': true,
  'server.draining': true,
  'server.stopped': true,
  'config.reloaded': true,
  'config.rejected': true,
  'worker.started': true,
  'worker.adopted': true,
  'worker.exited': true,
  'source.penalised': true,
  'connection.accepted': true,
  'connection.refused': true,
  'connection.closed': true,
  'auth.partial': true,
  'auth.succeeded': true,
  'auth.failed': true,
  'auth.weakHash': true,
  'channel.opened': true,
  'channel.closed': true,
  'channel.refused': true,
  'forward.bound': true,
  'forward.refused': true,
  'forward.released': true,
};
const CODES: { readonly [code in ErrorCode]: true } = {
  CONFIG_INVALID: true,
  HOST_KEY_INVALID: true,
  LISTEN_FAILED: true,
  ALREADY_LISTENING: true,
  NOT_LISTENING: true,
  HANDLER_INVALID: true,
  WORKER_START_FAILED: true,
  SSH2_INCOMPATIBLE: true,
  POOL_BUSY: true,
  HOOK_TIMEOUT: true,
  HOOK_FAILED: true,
  INTERNAL: true,
};

function readDoc(name: (typeof DOCS)[number]): string {
  return readFileSync(join(projectRoot, 'docs', name), 'utf8');
}

/** The whole programs, by the name of their file without its ending. */
function programsOf(text: string): ReadonlyMap<string, string> {
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const whole = blocks.filter((block) => /^import /m.test(block));
  return new Map(
    whole.map((block) => {
      const name = /^\/\/ (\w+)\.ts\n/.exec(block)?.[1];
      if (name === undefined) throw new Error(`no \`// NAME.ts\` in the first line of\n${block}`);
      return [name, block];
    }),
  );
}

/** The programs with what is the reader's own filled in, compiled in one run below the project's root, from where
 *  `import 'sallyport'` finds the build. @returns the folder */
async function compiled(t: Test, programs: ReadonlyMap<string, string>, login: Login): Promise<string> {
  const folder = mkdtempSync(join(projectRoot, 'build', 'docs-snippets-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const keyLine = readFileSync(`${login.keyFile}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  const listing = await mustRun(t, 'ssh-keygen', ['-l', '-f', `${login.keyFile}.pub`]);
  const ours = { address: '127.0.0.1:0', keyLine, fingerprint: listing.split(' ')[1] ?? '' };
  for (const [name, text] of programs)
    writeFileSync(
      join(folder, `${name}.ts`),
      text
        .replaceAll(THEIRS.address, ours.address)
        .replaceAll(THEIRS.keyLine, ours.keyLine)
        .replaceAll(THEIRS.fingerprint, ours.fingerprint),
    );
  for (const file of EXAMPLES) copyFileSync(join(projectRoot, 'examples', file), join(folder, file));
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { rootDir: '.', outDir: 'out', declaration: false, sourceMap: false },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const outcome = await compile(t, folder);
  t.equal(outcome.stdout + outcome.stderr, '', 'the compiler has nothing to say');
  t.equal(outcome.code, 0);
  return join(folder, 'out');
}

interface Served extends SshEndpoint {
  readonly program: Running;
}

/** Starts a program, which prints where it listens. */
async function serve(t: Test, folder: string, name: string): Promise<Served> {
  const program = start(t, process.execPath, [join(folder, `${name}.js`)], { cwd: tempDir(t) });
  const [, port] = await program.waitFor(/port: (\d+)\D/);
  return { program, host: '127.0.0.1', port: Number(port) };
}

root.test('the tables name every event and every code', async (t) => {
  const text = readDoc('library.md');
  for (const word of [...Object.keys(EVENTS), ...Object.keys(CODES)]) t.match(text, `\`${word}\``);
});

root.test('the files that are pointed at are there', async (t) => {
  for (const name of DOCS) {
    const text = readDoc(name);
    const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = '']) => join(projectRoot, 'docs', path));
    for (const path of links) t.ok(existsSync(path), path);
  }
  const listed = readDoc('library.md').match(/Longer programs .*/s)?.[0] ?? '';
  const examples = [...listed.matchAll(/`(\w+\.ts)`/g)].map(([, file = '']) => join(projectRoot, 'examples', file));
  t.not(examples.length, 0);
  for (const path of examples) t.ok(existsSync(path), path);
});

root.test('the programs', { timeout: 240_000 }, async (t) => {
  if (!need(t, ['ssh', 'ssh-keygen', 'sshpass'])) return;
  const lists = DOCS.map((name) => programsOf(readDoc(name)));
  const programs = new Map(lists.flatMap((list) => [...list]));
  t.equal(
    programs.size,
    lists.map(({ size }) => size).reduce((sum, size) => sum + size),
    'no name is used twice',
  );
  const all = [...programs.values()].join('');
  for (const [what, text] of Object.entries(THEIRS)) t.match(all, text, `the ${what} that is filled in`);
  const alice = await makeLogin(t, tempDir(t), 'alice');
  const folder = await compiled(t, programs, alice);
  if (!t.passing()) return;

  const withPassword = (password: string) => ({ program: ['sshpass', '-p', password, 'ssh'] });

  for (const name of programs.keys()) {
    if (HANDLERS.includes(name)) continue;
    await t.test(`${name} listens`, async (t) => {
      const { program, port } = await serve(t, folder, name);
      t.ok(port > 0, program.describe());
      const exit = await program.stop();
      t.ok(exit.signal === 'SIGTERM' || exit.code === 0, program.describe());
    });
  }

  await t.test('ten_lines: the password logs in, another does not', async (t) => {
    const server = await serve(t, folder, 'ten_lines');
    const inside = await sshRun(t, server, alice, BY_PASSWORD, [], withPassword('foo'));
    t.equal(inside.code, 1, 'a login, and no shell');
    t.match(spoken(inside), /This server only carries tunnels/);
    t.equal((await sshRun(t, server, alice, BY_PASSWORD, [], withPassword('bar'))).code, 255);
  });

  await t.test('keys: the key logs in', async (t) => {
    const server = await serve(t, folder, 'keys');
    t.equal((await sshRun(t, server, alice, [])).code, 1);
    const stranger = await makeLogin(t, tempDir(t), 'stranger');
    t.equal((await sshRun(t, server, stranger, [])).code, 255);
  });

  await t.test('inside: a page and an echo that have no port', async (t) => {
    const server = await serve(t, folder, 'inside');
    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: alice }]);
    const open = (destination: string): Running =>
      start(t, 'sshpass', ['-p', 'foo', 'ssh', '-F', config, ...BY_PASSWORD, '-W', destination, HOST]);
    const page = open('page:80');
    page.stdin.write('GET / HTTP/1.1\r\nHost: page\r\n\r\n');
    await page.waitFor(/Hello alice from 127\.0\.0\.1/);
    const echo = open('echo:7');
    echo.stdin.end('there and back\n');
    t.equal((await echo.exited).code, 0);
    t.equal(echo.stdout, 'there and back\n');
    const nothing = open('nothing:1');
    t.equal((await nothing.exited).code, 255);
    t.match(nothing.stderr, /administratively prohibited: not permitted/);
    await server.program.waitFor(/there is no nothing:1/);
  });

  await t.test('in_a_row: the key, and then the password', async (t) => {
    const server = await serve(t, folder, 'in_a_row');
    const both = ['-v', '-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1'];
    const outcome = await sshRun(t, server, alice, both, [], withPassword('foo'));
    t.equal(outcome.code, 1, spoken(outcome));
    t.match(outcome.stderr, /with partial success/);
    t.equal((await sshRun(t, server, alice, [])).code, 255, 'the key alone');
  });

  await t.test('questions: words, and then the code of an app', async (t) => {
    const server = await serve(t, folder, 'questions');
    const login = (answers: Record<string, string>): Promise<Outcome> =>
      sshRun(t, server, alice, BY_PASSWORD, [], { env: askpass(t, answers).env });
    const uri = 'otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
    const right = { Word: 'foo', Number: '7' };
    const inside = await login({ ...right, code: codeNow(uri) });
    t.equal(inside.code, 1, spoken(inside));
    t.equal((await login({ ...right, code: codeNow(uri) })).code, 255, 'a code that was used');
    t.equal((await login({ Word: 'foo', Number: '8' })).code, 255);
  });

  await t.test('sessions: a command', async (t) => {
    const server = await serve(t, folder, 'sessions');
    t.match(await sshRun(t, server, alice, BY_PASSWORD, ['whoami'], withPassword('foo')), {
      code: 0,
      stdout: 'alice\n',
    });
    const other = await sshRun(t, server, alice, BY_PASSWORD, ['rm'], withPassword('foo'));
    t.equal(other.code, 1);
    t.match(spoken(other), /whoami or sftp/);
  });

  await t.test('cluster and tenants: a tenant has its ports and no other', async (t) => {
    const server = await serve(t, folder, 'cluster');
    const acme: Login = { ...alice, name: 'acme' };
    const echo = await startEcho(t);
    const { allocatedPorts, client } = await tunnel(t, server, acme, ['-R', `0:localhost:${echo.port}`]);
    const [port = 0] = allocatedPorts;
    t.ok(port >= 20_000 && port <= 20_999, `port ${port} is of the tenant's range`);
    const { sent, received } = await exchange(await connect(t, port), 'a tenant', 100_000);
    t.same(received, sent);
    await server.program.waitFor(/"user":"acme\/alice"/);
    const foreign = await sshRun(t, server, acme, ['-N', '-R', '21000:localhost:1']);
    t.match(foreign, { code: 255, stderr: /remote port forwarding failed/ });
    t.equal((await sshRun(t, server, { ...alice, name: 'globex' }, [])).code, 255, 'the key of another tenant');
    await client.stop();
    t.same(await server.program.stop(), { code: 0, signal: null });
  });
});
