/** AUTH: RFC 4252 seen through OpenSSH: who gets in, and that all who do not are told the same. */
import t from 'tap';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import type { Outcome } from '../support/process.js';
import { BOB_PASSWORD, type Login, makeLogin, startSallyport } from '../support/server.js';
import { spoken, sshRun, tunnel } from '../support/ssh.js';
import { tempDir } from '../support/temp.js';

/** Password logins only, one prompt, so that a refusal comes after one try. */
const ASK_ONCE = ['-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1', '-o', 'PubkeyAuthentication=no'];
const PASSWORD_WAYS = ['password', 'keyboard-interactive'] as const;

/** The client's last words with the user's name taken out: they must not differ. */
function refusal(outcome: Outcome, { name }: Login): { code: number | null; text: string } {
  return { code: outcome.code, text: spoken(outcome).replaceAll(name, 'USER') };
}

const NEEDS = ['ssh', 'ssh-keygen', 'sshpass'] as const;

flow(t, 'login', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers, withPassword: true, config: { auth: { maxTries: 3 } } });
  const { alice, bob } = server;
  const dir = tempDir(t);
  const stranger: Login = await makeLogin(t, dir, 'mallory');
  const withPassword = (password: string) => ({ program: ['sshpass', '-p', password, 'ssh'] });

  await t.test('the right key gets in', async (t) => {
    const from = server.events.mark();
    await tunnel(t, server, alice, []);
    const event = await server.events.wait('auth.succeeded', { user: 'alice' }, from);
    t.match(String(event.fingerprint), /^SHA256:/);
  });

  for (const way of PASSWORD_WAYS) {
    await t.test(`the right password gets in by ${way}`, async (t) => {
      const args = [...ASK_ONCE, '-o', `PreferredAuthentications=${way}`];
      // There is no shell: exit status 1 comes after the login, 255 would be a refusal.
      const outcome = await sshRun(t, server, bob, args, [], withPassword(BOB_PASSWORD));
      t.equal(outcome.code, 1, spoken(outcome));
    });

    await t.test(`wrong password, user without one and unknown user are refused alike by ${way}`, async (t) => {
      const args = [...ASK_ONCE, '-o', `PreferredAuthentications=${way}`];
      const [wrong, without, unknown] = [
        refusal(await sshRun(t, server, bob, args, [], withPassword('wrong')), bob),
        refusal(await sshRun(t, server, alice, args, [], withPassword(BOB_PASSWORD)), alice),
        refusal(await sshRun(t, server, stranger, args, [], withPassword(BOB_PASSWORD)), stranger),
      ];
      t.match(wrong, { code: 255, text: /Permission denied/ });
      t.same(without, wrong);
      t.same(unknown, wrong);
    });
  }

  await t.test("a key that is nobody's, another user's key and an unknown user are refused alike", async (t) => {
    const logins: Login[] = [
      { name: 'alice', keyFile: stranger.keyFile },
      { name: 'alice', keyFile: bob.keyFile },
      { name: 'mallory', keyFile: stranger.keyFile },
      { name: 'mallory', keyFile: alice.keyFile },
      { name: '__proto__', keyFile: alice.keyFile },
    ];
    const [first, ...others] = await Promise.all(
      logins.map(async (login) => refusal(await sshRun(t, server, login, []), login)),
    );
    t.match(first, { code: 255, text: /Permission denied/ });
    for (const other of others) t.same(other, first);
  });

  await t.test('tries are counted', async (t) => {
    const keys = await Promise.all(['1', '2', '3', '4', '5'].map((name) => makeLogin(t, tempDir(t), name)));
    const many = keys.flatMap(({ keyFile }) => ['-i', keyFile]);
    const from = server.events.mark();
    const outcome = await sshRun(t, server, { name: 'alice', keyFile: stranger.keyFile }, many);
    t.match(outcome, { code: 255, stderr: /Too many authentication failures/ });
    await server.events.wait('connection.closed', { reason: 'AUTH_EXHAUSTED' }, from);
  });

  await t.test('the log tells who was refused and by what key', async (t) => {
    const from = server.events.mark();
    await sshRun(t, server, { name: 'mallory', keyFile: alice.keyFile }, []);
    t.match(await server.events.wait('auth.failed', { user: 'mallory' }, from), { fingerprint: /^SHA256:/ });
    await sshRun(t, server, { name: 'alice', keyFile: stranger.keyFile }, []);
    const event = await server.events.wait('auth.failed', { user: 'alice' }, from);
    t.match(event, { fingerprint: /^SHA256:/, reason: 'KEY_NOT_ACCEPTED' });
  });
});
