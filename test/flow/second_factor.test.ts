/** SECOND FACTOR: the code of an authenticator app behind a key or a password, as OpenSSH's client, dropbear, Paramiko and
 *  asyncssh ask for it; and that a code opens one connection, whichever worker has it. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ASK_BY_PROGRAM, askpass } from '../support/askpass.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { fixture } from '../support/paths.js';
import { mustRun, type Outcome, run, start } from '../support/process.js';
import { pythonWith } from '../support/programs.js';
import { BOB_PASSWORD, type Login, makeLogin, type Sallyport, startSallyport } from '../support/server.js';
import { HOST, spoken, sshConfig, sshRun } from '../support/ssh.js';
import { tempDir } from '../support/temp.js';
import { codeNow, OTHER_URI, withinOneStep, writeTotp, wrongCode } from '../support/totp.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;
/** Of BOB_PASSWORD, cost 5. */
const BCRYPT = '$2b$05$abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS';
const NO_KEY = ['-o', 'PubkeyAuthentication=no'];

/** Every user has the same second factor. */
async function startWithCodes(t: Test, workers: number, moreUsers: readonly string[] = []) {
  const totp = writeTotp(join(tempDir(t), 'users.totp'));
  const config = { defaults: { totp } };
  return { server: await startSallyport(t, { workers, withPassword: true, moreUsers, config }), totp };
}

/** There is no shell: exit status 1 comes after the login, 255 is a refusal. */
async function login(
  t: Test,
  server: Sallyport,
  who: Login,
  code: string,
  args: readonly string[] = [],
): Promise<Outcome & { readonly prompts: string[] }> {
  const { env, prompts } = askpass(t, { code, assword: BOB_PASSWORD });
  const outcome = await sshRun(t, server, who, [...args, ...ASK_BY_PROGRAM], [], { env });
  return { ...outcome, prompts: prompts() };
}

flow(t, 'OpenSSH', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const moreUsers = ['late', 'early', 'too-late', 'too-early', 'guessed', 'slow', 'changed'];
  const { server, totp } = await startWithCodes(t, workers, moreUsers);
  const { alice, bob } = server;
  const named = (name: string): Login => ({ ...alice, name });

  await t.test('behind a key', async (t) => {
    const from = server.events.mark();
    const outcome = await login(t, server, alice, codeNow());
    t.equal(outcome.code, 1, spoken(outcome));
    t.match(outcome.prompts, [/Verification code: $/]);
    t.match(await server.events.wait('auth.partial', { user: 'alice' }, from), { method: 'publickey' });
    const event = await server.events.wait('auth.succeeded', { user: 'alice' }, from);
    t.match(event, { method: 'keyboard-interactive', fingerprint: /^SHA256:/ });
  });

  await t.test('a code that was used is refused, by whichever worker', async (t) => {
    const from = server.events.mark();
    const { env } = askpass(t, { code: codeNow(undefined, 1) });
    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: alice }]);
    const args = ['-F', config, '-v', '-N', ...ASK_BY_PROGRAM, HOST];
    const first = start(t, 'ssh', args, { env, mayMissSignals: true });
    await first.waitFor(/Entering interactive session/);
    const again = await login(t, server, alice, codeNow(undefined, 1));
    t.equal(again.code, 255, spoken(again));
    await server.events.wait('auth.failed', { user: 'alice', reason: 'CODE_REPLAYED' }, from);
    const served = server.events.list('connection.accepted', {}, from).map(({ worker }) => worker);
    t.equal(new Set(served).size, workers, 'the second went to another worker, where there is one');
    await first.stop();
  });

  await t.test('behind a password, and within one conversation', async (t) => {
    for (const [skew, ways] of [
      [0, 'password,keyboard-interactive'],
      [1, 'keyboard-interactive'],
    ] as const) {
      const args = [...NO_KEY, '-o', `PreferredAuthentications=${ways}`];
      const outcome = await login(t, server, bob, codeNow(undefined, skew), args);
      t.equal(outcome.code, 1, spoken(outcome));
      t.match(outcome.prompts, [/assword: $/, /Verification code: $/], ways);
    }
  });

  await t.test('a wrong code', async (t) => {
    const from = server.events.mark();
    const outcome = await login(t, server, alice, wrongCode());
    t.match(outcome, { code: 255, stderr: /Permission denied/ });
    await server.events.wait('auth.failed', { user: 'alice', reason: 'CODE_WRONG' }, from);
  });

  await t.test('clocks may differ by one step', async (t) => {
    const rows = [
      ['late', -1, 1],
      ['early', 1, 1],
      ['too-late', -2, 255],
      ['too-early', 2, 255],
    ] as const;
    for (const [name, skew, code] of rows) {
      const outcome = await withinOneStep(() => login(t, server, named(name), codeNow(undefined, skew)));
      t.equal(outcome.code, code, `${name}: ${spoken(outcome)}`);
    }
  });

  await t.test('without the first factor nobody is asked for a code', async (t) => {
    const stranger = await makeLogin(t, tempDir(t), 'mallory');
    for (const name of ['alice', 'mallory']) {
      const outcome = await login(t, server, { ...stranger, name }, codeNow(), [
        '-o',
        'PreferredAuthentications=publickey',
      ]);
      t.equal(outcome.code, 255);
      t.match(outcome.stderr, 'Permission denied (publickey,password,keyboard-interactive)');
      t.same(outcome.prompts, []);
    }
  });

  await t.test('guessing is slow, however many connections guess', async (t) => {
    const from = server.events.mark();
    const guess = (code: string) => login(t, server, named('guessed'), code, ['-o', 'NumberOfPasswordPrompts=5']);
    for (let i = 0; i < 2; i++) await guess(wrongCode());
    await server.events.waitAll(10, 'auth.failed', { user: 'guessed', reason: 'CODE_WRONG' }, from);
    t.equal((await login(t, server, named('guessed'), codeNow())).code, 255, 'the right one too');
    await server.events.wait('auth.failed', { user: 'guessed', reason: 'CODE_LIMIT' }, from);
    t.equal((await login(t, server, named('slow'), codeNow())).code, 1, 'and nobody else');
  });

  await t.test('a new secret ends whose login stood on the old one', async (t) => {
    const from = server.events.mark();
    const { env } = askpass(t, { code: codeNow(), assword: BOB_PASSWORD });
    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: named('changed') }]);
    const client = start(t, 'ssh', ['-F', config, '-v', '-N', ...ASK_BY_PROGRAM, HOST], { env, mayMissSignals: true });
    await client.waitFor(/Entering interactive session/);
    writeTotp(totp, OTHER_URI);
    await server.reload();
    await server.events.wait('connection.closed', { user: 'changed', reason: 'RIGHTS_WITHDRAWN' }, from);
    t.equal((await login(t, server, named('changed'), codeNow())).code, 255, 'a code of the old one is none');
    t.equal(
      (await login(t, server, named('changed'), codeNow(OTHER_URI))).code,
      1,
      'and those of the new one count anew',
    );
  });
});

flow(t, 'the next server knows what the one before it has let in with', { needs: NEEDS }, async (t, workers) => {
  const { server } = await startWithCodes(t, workers);
  const { env } = askpass(t, { code: codeNow() });
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: server.alice }]);
  const client = start(t, 'ssh', ['-F', config, '-v', '-N', ...ASK_BY_PROGRAM, HOST], { env, mayMissSignals: true });
  await client.waitFor(/Entering interactive session/);
  const next = await server.takeover();
  await next.events.waitAll(workers, 'worker.adopted');
  t.equal((await login(t, next, next.alice, codeNow())).code, 255);
  await next.events.wait('auth.failed', { user: 'alice', reason: 'CODE_REPLAYED' });
  t.equal((await login(t, next, next.alice, codeNow(undefined, 1))).code, 1, 'the next code');
  await client.stop();
});

for (const module of ['paramiko', 'asyncssh'] as const)
  flow(t, module, { needs: [module, 'ssh-keygen'] }, async (t, workers) => {
    const { server } = await startWithCodes(t, workers, ['key', 'password', 'interactive']);
    for (const way of ['key', 'password', 'interactive'] as const) {
      const name = way === 'key' ? 'key' : 'bob';
      const skew = way === 'interactive' ? 1 : 0;
      const ask = async (code: string): Promise<string[]> => {
        const { host, port, alice, dir } = server;
        const args = [host, String(port), name, alice.keyFile, way, BOB_PASSWORD, code];
        const python = pythonWith(module) ?? 'python3';
        const script = fixture(`code_${module}.py`);
        const { stdout } = await run(t, python, ['-W', 'ignore', script, ...args], { env: { HOME: dir } });
        return stdout.split('\n').filter((line) => /^(PROMPT|LEFT|IN)/.test(line));
      };
      const asked = [...(way === 'interactive' ? ['PROMPT Password: '] : []), 'PROMPT Verification code: '];
      const left = module === 'paramiko' && way !== 'interactive' ? ["LEFT ['keyboard-interactive']"] : [];
      t.same(await ask(codeNow(undefined, skew)), [...left, ...asked, 'IN'], way);
      t.notOk((await ask(wrongCode())).includes('IN'), `${way}, a wrong code`);
    }
  });

flow(t, 'dbclient', { needs: ['dbclient', 'dropbearconvert', 'ssh-keygen'] }, async (t, workers) => {
  const { server } = await startWithCodes(t, workers);
  const key = join(server.dir, 'alice.dropbear');
  await mustRun(t, 'dropbearconvert', ['openssh', 'dropbear', server.alice.keyFile, key]);
  const args = ['-y', '-y', '-N', '-i', key, '-p', String(server.port), 'alice@127.0.0.1'];
  const from = server.events.mark();
  // It answers every hidden prompt from there, and what it finds there is all that it has.
  const client = start(t, 'dbclient', args, { env: { HOME: server.dir, DROPBEAR_PASSWORD: codeNow() } });
  const event = await server.events.wait('auth.succeeded', { user: 'alice' }, from);
  t.match(event, { method: 'keyboard-interactive' });
  await client.stop();
});

flow(t, 'a hash that is cheaper to guess than new ones: told once', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers, withPassword: true });
  const { bob } = server;
  const args = [...NO_KEY, '-o', 'PreferredAuthentications=password'];
  const from = server.events.mark();
  t.equal((await login(t, server, bob, '', args)).code, 1);
  // bcrypt, cost 5, of BOB_PASSWORD
  const users = { ...server.config.users, bob: { ...server.config.users.bob, password: BCRYPT } };
  await server.reload({ ...server.config, users });
  t.equal((await login(t, server, { ...bob, name: 'alice' }, '', args)).code, 255);
  t.same(server.events.list('auth.weakHash', {}, from), []);
  // One on each worker: the first stays.
  const { env } = askpass(t, { assword: BOB_PASSWORD });
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: bob }]);
  const client = start(t, 'ssh', ['-F', config, '-v', '-N', ...args, ...ASK_BY_PROGRAM, HOST], {
    env,
    mayMissSignals: true,
  });
  await client.waitFor(/Entering interactive session/);
  const second = server.events.mark();
  for (let i = 0; i < 2; i++) t.equal((await login(t, server, bob, '', args)).code, 1);
  await server.events.waitAll(2, 'connection.closed', { user: 'bob' }, second);
  await client.stop();
  const told = server.events.list('auth.weakHash', {}, from);
  t.equal(told.length, 1, JSON.stringify(told));
  t.match(told, [{ user: 'bob', detail: /^bcrypt with cost 5 is cheaper to guess than .*hash-password/ }]);
});
