/** CERTIFICATES: logins by OpenSSH's client with certificates of `ssh-keygen -s`, and what becomes of them: rights, revocation,
 *  the end of their time. Security keys, which this machine has not, log in by a client of our own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { flow } from '../support/flow.js';
import { loginBy } from '../support/key_login.js';
import { mustRun, run } from '../support/process.js';
import { directOpen, openDirectChannel, openRefusal, rawClient } from '../support/raw_client.js';
import {
  hostKeyFingerprint,
  type Login,
  replaceFile,
  type Sallyport,
  startSallyport,
  type WrittenConfig,
} from '../support/server.js';
import { sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { certify, type KeyFile, makeKeyFile, signByKeygen } from '../worker/auth/certificates.js';
import { ed25519, skEcdsa, skEd25519 } from '../worker/auth/keys.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

function withAuth(config: WrittenConfig, auth: Readonly<Record<string, unknown>>): WrittenConfig {
  return { ...config, auth: { ...Object(config.auth), ...auth } };
}

function withUser(config: WrittenConfig, name: string, change: Readonly<Record<string, unknown>>): WrittenConfig {
  return { ...config, users: { ...config.users, [name]: { ...config.users[name], ...change } } };
}

async function fingerprintOf(t: Test, file: string): Promise<string> {
  return (await mustRun(t, 'ssh-keygen', ['-l', '-f', file])).split(' ')[1] ?? '';
}

/** The server with a CA for all users, and a maker of alice's keys. `auth` as in the config. */
async function startWithCa(
  t: Test,
  workers: number,
  auth: (dir: string) => Readonly<Record<string, unknown>> = () => ({}),
) {
  const server = await startSallyport(t, { workers });
  const ca = await makeKeyFile(t, server.dir, 'ca', ['-t', 'ed25519']);
  await server.reload(withAuth(server.config, { trustedUserCAKeys: `${ca.file}.pub`, ...auth(server.dir) }));
  let count = 0;
  const key = async (args: readonly string[] = ['-t', 'ed25519']): Promise<KeyFile> =>
    makeKeyFile(t, server.dir, `key${count++}`, args);
  /** A new key of alice's with a certificate. */
  const certified = async (args: readonly string[], by: KeyFile = ca): Promise<Login> => {
    const made = await key();
    await signByKeygen(t, by, made, ['-I', 'alice@laptop', ...args]);
    return { name: 'alice', keyFile: made.file };
  };
  return { server, ca, key, certified };
}

async function refusal(t: Test, server: Sallyport, login: Login): Promise<string> {
  const from = server.events.mark();
  const outcome = await sshRun(t, server, login, []);
  t.match(outcome, { code: 255, stderr: /Permission denied/ });
  await server.events.wait('connection.closed', {}, from);
  // Beside the certificate the client offers the key in it, which is nobody's.
  const failed = server.events.list('auth.failed', { user: login.name }, from).find(({ keyId }) => keyId !== undefined);
  return `${failed?.reason}: ${failed?.detail}`;
}

flow(t, 'certificates of a CA for all users', { needs: NEEDS }, async (t, workers) => {
  const { server, ca, key, certified } = await startWithCa(t, workers);
  const echo = await startEcho(t);

  await t.test('carries a tunnel; the log tells what an auditor wants to know', async (t) => {
    const login = await certified(['-n', 'alice,bob', '-z', '18446744073709551615', '-V', '-1m:+1h']);
    const near = await freePort();
    const from = server.events.mark();
    await tunnel(t, server, login, ['-L', `${near}:localhost:${echo.port}`, '-R', '0:localhost:1']);
    (await connect(t, near)).destroy();
    await server.events.wait('channel.opened', { user: 'alice' }, from);
    t.match(await server.events.wait('auth.succeeded', {}, from), {
      user: 'alice',
      keyId: 'alice@laptop',
      serial: '18446744073709551615',
      ca: await fingerprintOf(t, ca.file),
      fingerprint: await fingerprintOf(t, login.keyFile),
    });
  });

  await t.test('of every kind of key, by every kind of CA', async (t) => {
    const kinds = [
      ['ecdsa', '256'],
      ['ecdsa', '384'],
      ['ecdsa', '521'],
      ['rsa', '2048'],
    ] as const;
    const cas: KeyFile[] = [];
    for (const [type, bits] of kinds) cas.push(await key(['-t', type, '-b', bits]));
    await server.reload(withAuth(server.config, { trustedUserCAKeys: [...cas, ca].map(({ line }) => line) }));
    for (const [at, [type, bits]] of kinds.entries()) {
      const made = await key(['-t', type, '-b', bits]);
      await signByKeygen(t, cas[at] ?? ca, made, ['-I', type, '-n', 'alice']);
      // No shell: exit status 1 comes after the login.
      t.match(await sshRun(t, server, { name: 'alice', keyFile: made.file }, []), { code: 1 }, `${type} ${bits}`);
    }
  });

  await t.test('what is refused, and why', async (t) => {
    const stranger = await key();
    const rows: ReadonlyArray<readonly [readonly string[], RegExp, KeyFile?]> = [
      [['-n', 'bob'], /^CERT_INVALID: .*none of its principals/],
      [[], /^CERT_INVALID: .*none of its principals/],
      [['-n', 'alice', '-V', '-2h:-1h'], /^CERT_INVALID: .*expired at/],
      [['-n', 'alice', '-V', '+1h:+2h'], /^CERT_INVALID: .*not valid before/],
      [['-n', 'alice', '-O', 'critical:x@example.com=y'], /^CERT_INVALID: .*x@example.com is not supported/],
      [['-n', 'alice', '-O', 'source-address=10.0.0.0/8'], /^KEY_SOURCE: .*source-address/],
      [['-n', 'alice'], /^KEY_NOT_ACCEPTED/, stranger],
    ];
    for (const [args, why, by] of rows)
      t.match(await refusal(t, server, await certified(args, by)), why, args.join(' '));
    const unknown = { ...(await certified(['-n', 'mallory'])), name: 'mallory' };
    t.match(await refusal(t, server, unknown), /^KEY_NOT_ACCEPTED/);
  });

  await t.test('options: tunnels need permit-port-forwarding, force-command is of sessions', async (t) => {
    const near = await freePort();
    const from = server.events.mark();
    const noForwards = await certified(['-n', 'alice', '-O', 'clear', '-O', 'permit-pty']);
    await tunnel(t, server, noForwards, ['-L', `${near}:localhost:${echo.port}`]);
    (await connect(t, near)).on('error', () => {});
    t.match(await server.events.wait('channel.refused', { user: 'alice' }, from), {
      reason: 'POLICY_DENIED',
      detail: /^certificate alice@laptop \(serial 0\): no port forwarding/,
    });
    const [forced, through] = [await certified(['-n', 'alice', '-O', 'force-command=date']), await freePort()];
    await tunnel(t, server, forced, ['-L', `${through}:localhost:${echo.port}`]);
    (await connect(t, through)).destroy();
    await server.events.wait('channel.opened', {}, from);
    const here = await certified(['-n', 'alice', '-O', 'source-address=127.0.0.0/8,::1/128']);
    t.match(await sshRun(t, server, here, []), { code: 1 });
  });
});

flow(t, "certificates of a user's own CA", { needs: NEEDS }, async (t, workers) => {
  const { server, key, certified } = await startWithCa(t, workers);
  const [own, echo] = [await key(), await startEcho(t)];
  const options = `cert-authority,principals="ops,dev",permitopen="localhost:${echo.port}"`;
  await server.reload(withUser(server.config, 'alice', { authorizedKeys: [`${options} ${own.line}`] }));
  t.match(await refusal(t, server, await certified(['-n', 'alice'], own)), /^CERT_INVALID: .*none of its principals/);
  t.match(
    await refusal(t, server, { name: 'bob', keyFile: (await certified(['-n', 'ops'], own)).keyFile }),
    /^KEY_NOT/,
  );
  const login = await certified(['-n', 'ops'], own);
  const [near, other] = [await freePort(), await freePort()];
  await tunnel(t, server, login, ['-L', `${near}:localhost:${echo.port}`, '-L', `${other}:127.0.0.1:${echo.port}`]);
  const from = server.events.mark();
  (await connect(t, near)).destroy();
  await server.events.wait('channel.opened', {}, from);
  (await connect(t, other)).on('error', () => {});
  t.match(await server.events.wait('channel.refused', {}, from), { reason: 'POLICY_DENIED', detail: /permitopen/ });
  // The line as it is now holds for who is there.
  const narrower = `cert-authority,principals="ops",restrict ${own.line}`;
  await server.reload(withUser(server.config, 'alice', { authorizedKeys: [narrower] }));
  (await connect(t, near)).on('error', () => {});
  const denied = await server.events.waitAll(2, 'channel.refused', {}, from);
  t.match(denied[1], { detail: /no port forwarding/ });
});

flow(t, 'revoked keys and CAs', { needs: NEEDS }, async (t, workers) => {
  const { server, ca, certified } = await startWithCa(t, workers);
  const krl = join(server.dir, 'revoked.krl');
  const revoke = async (...lines: string[]): Promise<void> => {
    writeFileSync(join(server.dir, 'spec'), `${lines.join('\n')}\n`);
    await mustRun(t, 'ssh-keygen', ['-q', '-k', '-f', `${krl}.new`, '-s', `${ca.file}.pub`, join(server.dir, 'spec')]);
    await mustRun(t, 'mv', [`${krl}.new`, krl]);
  };
  await revoke('serial: 999');
  await server.reload(withAuth(server.config, { revokedKeys: krl }));
  const plain = server.bob;
  const [seven, eight, byId] = [
    await certified(['-n', 'alice', '-z', '7']),
    await certified(['-n', 'alice', '-z', '8']),
    await certified(['-n', 'alice', '-I', 'lost', '-z', '9']),
  ];
  for (const login of [seven, eight, byId, plain]) await tunnel(t, server, login, []);
  let from = server.events.mark();
  const cut = async (count: number, why: object): Promise<void> => {
    const closed = await server.events.waitAll(count, 'connection.closed', { reason: 'RIGHTS_WITHDRAWN' }, from);
    t.match(
      closed,
      Array.from({ length: count }, () => why),
    );
    from = server.events.mark();
  };
  await revoke('serial: 999', 'serial: 7', 'id: lost');
  await server.reload();
  await cut(2, { user: 'alice' });
  t.match(await refusal(t, server, seven), /^KEY_REVOKED: .*by its serial/);
  t.match(await refusal(t, server, byId), /^KEY_REVOKED: .*by its key id/);
  t.match(await sshRun(t, server, eight, []), { code: 1 });

  // Without a signal: the file is looked at every two seconds.
  from = server.events.mark();
  await revoke('serial: 999', 'serial: 7', 'serial: 10', 'id: lost');
  await server.events.wait('config.reloaded', {}, from);
  t.match(await refusal(t, server, await certified(['-n', 'alice', '-z', '10'])), /^KEY_REVOKED: .*by its serial/);

  // A file that is broken changes nothing.
  replaceFile(krl, 'SSHKRL\n\0 and no more');
  from = server.events.mark();
  server.signal('SIGHUP');
  t.match(await server.events.wait('config.rejected', {}, from), {
    errors: [/revoked\.krl:1:1: auth\.revokedKeys: .*/],
  });
  t.match(await refusal(t, server, seven), /^KEY_REVOKED/, 'the former list is in force');

  // A plain key, in a list of public keys; then the CA.
  from = server.events.mark();
  replaceFile(krl, `# lost\n${(await mustRun(t, 'cat', [`${plain.keyFile}.pub`])).trim()}\n`);
  await server.reload();
  await cut(1, { user: 'bob' });
  const outcome = await sshRun(t, server, plain, []);
  t.match(outcome, { code: 255 });
  await server.events.wait('auth.failed', { user: 'bob', reason: 'KEY_REVOKED' }, from);
  from = server.events.mark();
  await server.reload(withAuth(server.config, { trustedUserCAKeys: [], revokedKeys: krl }));
  await cut(1, { user: 'alice' });
  t.match(await refusal(t, server, eight), /^KEY_NOT_ACCEPTED/);
});

flow(
  t,
  'the end of a certificate ends its connection, where the config says so',
  { needs: NEEDS },
  async (t, workers) => {
    const { server } = await startWithCa(t, workers, () => ({ endExpired: true }));
    const ca = ed25519();
    const echo = await startEcho(t);
    const caLine = `cert-authority ${ca.type} ${ca.blob.toString('base64')}`;
    await server.reload(withUser(server.config, 'alice', { authorizedKeys: [caLine] }));
    const key = ed25519();
    const enter = async (validForS: number) => {
      const validBeforeS = BigInt(Math.floor(Date.now() / 1000) + validForS);
      const client = rawClient(t, server);
      const shown = {
        algorithm: 'ssh-ed25519-cert-v01@openssh.com',
        blob: certify(key, ca, { validBeforeS }),
        sign: key.sign,
      };
      t.equal(await loginBy(client, 'alice', shown), true);
      return client;
    };
    const long = await enter(3_600);
    const short = await enter(8);
    await openDirectChannel(short, echo.port);
    t.match(await short.ended, { text: 'access has expired' });
    await long.roundTrip();
    await server.reload(withAuth(server.config, { endExpired: false }));
    await long.roundTrip();
  },
);

flow(t, 'security keys', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const [ed, ec, free] = [skEd25519(), skEcdsa('ssh:work'), skEd25519()];
  const line = (options: string, { type, blob }: typeof ed): string => `${options}${type} ${blob.toString('base64')}`;
  const authorizedKeys = [line('', ed), line('verify-required ', ec), line('no-touch-required ', free)];
  await server.reload(withUser(server.config, 'alice', { authorizedKeys }));
  const enter = async (key: typeof ed, flags: number, counter = 1): Promise<boolean> => {
    const client = rawClient(t, server);
    const sign = (data: Buffer): Buffer => key.signBy(data, { flags, counter });
    const entered = await loginBy(client, 'alice', { algorithm: key.type, blob: key.blob, sign });
    client.socket.destroy();
    return entered;
  };
  const from = server.events.mark();
  t.equal(await enter(ed, 1, 4_000_000_000), true);
  t.match(await server.events.wait('auth.succeeded', {}, from), { counter: 4_000_000_000, fingerprint: /^SHA256:/ });
  t.equal(await enter(ed, 1, 1), true, 'a counter that goes back, as in OpenSSH');
  t.same(
    [await enter(ed, 0), await enter(ec, 1), await enter(ec, 5), await enter(free, 0)],
    [false, false, true, true],
  );
  const failed = await server.events.waitAll(2, 'auth.failed', { reason: 'KEY_OPTION' }, from);
  t.match(failed, [{ detail: /not touched/ }, { detail: /verify-required/ }]);
  const client = rawClient(t, server);
  const shown = { algorithm: ed.type, blob: ed.blob, sign: (data: Buffer) => ed.sign(data) };
  t.equal(await loginBy(client, 'alice', shown), true);
  client.send(directOpen(1));
  t.match(await openRefusal(client, 0), { reason: 2 }, 'allowed, and nobody listens there');
});

flow(t, 'certificates with plink', { needs: ['plink', 'puttygen', 'ssh-keyscan', ...NEEDS] }, async (t, workers) => {
  const { server, ca, key } = await startWithCa(t, workers);
  const hostKey = await hostKeyFingerprint(t, server);
  for (const args of [
    ['-t', 'ed25519'],
    ['-t', 'rsa', '-b', '2048'],
    ['-t', 'ecdsa', '-b', '384'],
  ]) {
    const made = await key(args);
    await signByKeygen(t, ca, made, ['-I', 'plink', '-n', 'alice']);
    const [ppk, from] = [`${made.file}.ppk`, server.events.mark()];
    await mustRun(t, 'puttygen', [made.file, '-o', ppk]);
    const way = ['-P', String(server.port), '-batch', '-noagent', '-hostkey', hostKey, '-l', 'alice', '-i', ppk];
    await run(t, 'plink', [...way, '-cert', `${made.file}-cert.pub`, server.host], { env: { HOME: server.dir } });
    t.match(await server.events.wait('auth.succeeded', {}, from), { keyId: 'plink' }, args.join(' '));
  }
});
