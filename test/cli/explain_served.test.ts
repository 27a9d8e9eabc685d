/** EXPLAIN AND THE SERVER: what `explain` says of a config is what a server of that config does, with the reason of its log, for
 *  every login, open and bind. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { explain } from '../../src/cli/explain.js';
import type { Explained } from '../../src/library/explained.js';
import { MSG } from '../../src/shared/protocol.js';
import { loginBy, type Shown } from '../support/key_login.js';
import { directOpen, type RawClient, rawClient } from '../support/raw_client.js';
import {
  asked,
  bindRequest,
  bindSocketRequest,
  cancelRequest,
  cancelSocketRequest,
  socketOpen,
} from '../support/requests.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { type CertificateFields, certify, textData, writeKeyFile } from '../worker/auth/certificates.js';
import { ed25519, type TestKey } from '../worker/auth/keys.js';

interface Decided {
  readonly granted: boolean;
  readonly code: string | null;
}

interface Place {
  readonly host: string;
  readonly port: number;
}
type Target = Place | string;

/** How the client shows it, and where `explain` finds it. */
interface Credential {
  readonly name: string;
  readonly shown: Shown;
  readonly ask: { readonly key: string } | { readonly certificate: string };
}

function textOf(target: Target): string {
  return typeof target === 'string'
    ? target
    : `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
}

/** Of a client that is in: one request after the other, each with the reason that the log gives for a no. */
async function open(client: RawClient, server: Sallyport, target: Target, id: number): Promise<Decided> {
  const from = server.events.mark();
  client.send(typeof target === 'string' ? socketOpen(target, id) : directOpen(target.port, { host: target.host, id }));
  const answer = await client.takeFirst([MSG.CHANNEL_OPEN_CONFIRMATION, MSG.CHANNEL_OPEN_FAILURE]);
  if (answer[0] === MSG.CHANNEL_OPEN_CONFIRMATION) return { granted: true, code: null };
  return { granted: false, code: String((await server.events.wait('channel.refused', {}, from)).reason) };
}

async function listen(client: RawClient, server: Sallyport, target: Target): Promise<Decided> {
  const from = server.events.mark();
  const isPath = typeof target === 'string';
  const port = await asked(client, isPath ? bindSocketRequest(target) : bindRequest(target.host, target.port));
  if (port === null)
    return { granted: false, code: String((await server.events.wait('forward.refused', {}, from)).reason) };
  const bound = isPath ? cancelSocketRequest(target) : cancelRequest(target.host, port || target.port);
  await asked(client, bound);
  return { granted: true, code: null };
}

async function explained(user: string, options: Parameters<typeof explain>[1]): Promise<Explained> {
  let out = '';
  await explain(user, { ...options, json: true }, { out: (text) => (out = text), err: () => {} });
  return JSON.parse(out);
}

function decided({ outcome, code }: { readonly outcome: string; readonly code: string | null }): Decided {
  return { granted: outcome === 'allowed', code };
}

t.test('explain says what the server does', async (t) => {
  const dir = tempDir(t);
  const echo = await startEcho(t);
  const [free, other] = [await freePort(), await freePort()];
  mkdirSync(join(dir, 'run'));
  await startEcho(t, join(dir, 'run', 'a.sock'));
  await startEcho(t, join(dir, 'secret.sock'));
  symlinkSync(join(dir, 'secret.sock'), join(dir, 'run', 'link.sock'));
  symlinkSync(join(dir, 'gone.sock'), join(dir, 'run', 'dangling.sock'));
  symlinkSync(dir, join(dir, 'run', 'up'));

  const options = [
    '',
    'restrict',
    'restrict,port-forwarding',
    'no-port-forwarding,from="127.0.0.1"',
    `permitopen="127.0.0.1:${echo.port}"`,
    `permitopen="localhost:*",permitlisten="localhost:${free}"`,
    `permitopen="*:${echo.port}",permitlisten="*:*"`,
    `permitlisten="${free}"`,
    'from="127.0.0.2"',
    'from="!127.0.0.2,127.0.0.0/8"',
    'expiry-time="20200101Z"',
    'expiry-time="20990101Z"',
    'cert-authority',
  ];
  const lineOf = (text: string, { type, blob }: TestKey): string => `${text} ${type} ${blob.toString('base64')}`.trim();
  const keys = options.map((text, at): Credential & { readonly line: string } => {
    const key = ed25519();
    const { file } = writeKeyFile(dir, `key${at}`, key);
    const shown = { algorithm: key.type, blob: key.blob, sign: key.sign };
    return { name: `a key with [${text}]`, shown, ask: { key: `${file}.pub` }, line: lineOf(text, key) };
  });
  const [trusted, byLine, revoked] = [ed25519(), ed25519(), ed25519()];
  const certified = (name: string, ca: TestKey, fields: CertificateFields, key = ed25519()): Credential => {
    const blob = certify(key, ca, { principals: ['alice', 'bob'], ...fields });
    const algorithm = 'ssh-ed25519-cert-v01@openssh.com';
    const file = join(dir, `${name.replaceAll(' ', '_')}-cert.pub`);
    writeFileSync(file, `${algorithm} ${blob.toString('base64')}\n`);
    return { name: `a certificate: ${name}`, shown: { algorithm, blob, sign: key.sign }, ask: { certificate: file } };
  };
  const nowS = BigInt(Math.floor(Date.now() / 1000));
  const certificates = [
    certified('plain', trusted, {}),
    certified('no forwarding', trusted, { extensions: [] }),
    certified('of others', trusted, { principals: ['carol'] }),
    certified('of alice alone', trusted, { principals: ['alice'] }),
    certified('expired', trusted, { validBeforeS: nowS - 60n }),
    certified('not yet', trusted, { validAfterS: nowS + 3600n }),
    certified('from elsewhere', trusted, { criticalOptions: [['source-address', textData('127.0.0.2/32')]] }),
    certified('critical', trusted, { criticalOptions: [['unheard-of@example.com']] }),
    certified('of a host', trusted, { kind: 2 }),
    certified('of a stranger', ed25519(), {}),
    certified('forged', trusted, { caBlob: trusted.blob, signatureOf: (part) => ed25519().sign(part) }),
    certified('of a revoked key', trusted, {}, revoked),
    certified('by a line', byLine, { principals: ['ops'] }),
    certified('by a line without forwarding', byLine, { principals: ['ops'], extensions: [] }),
    certified('by a line of others', byLine, {}),
  ];
  const caLine = lineOf(`cert-authority,principals="ops",permitopen="127.0.0.1:${echo.port}"`, byLine);
  const authorizedKeys = [...keys.map(({ line }) => line), caLine];
  const users = {
    alice: {
      authorizedKeys,
      permitOpen: ['*:*', `localhost:${echo.port}`, `${dir}/run/*.sock`],
      permitListen: [`localhost:${free}`, `127.0.0.1:${other}`, `${dir}/run/*`],
    },
    bob: { authorizedKeys, permitOpen: ['10.0.0.0/8:*', `127.0.0.0/8:${echo.port}`], permitListen: ['*:*'] },
  };
  const revokedKeys = join(dir, 'revoked');
  writeFileSync(revokedKeys, `${lineOf('', revoked)}\n`);
  const auth = { trustedUserCAKeys: [lineOf('', trusted)], revokedKeys, maxTries: 20 };
  // As many binds as are asked for here in one go are too many by default (FORWARD_RATE), which explain knows nothing of.
  const defaults = { limits: { forwards: 1_000 } };
  const server = await startSallyport(t, { workers: 1, users, config: { auth, defaults } });
  // The port that the kernel chose, which explain cannot know.
  const config = join(dir, 'explained.yaml');
  writeFileSync(config, stringify({ ...server.config, listen: [`${server.host}:${server.port}`] }));

  const opens: readonly Target[] = [
    { host: '127.0.0.1', port: echo.port },
    { host: 'localhost', port: echo.port },
    { host: 'LOCALHOST', port: echo.port },
    { host: '::ffff:127.0.0.1', port: echo.port },
    { host: '127.1', port: echo.port },
    { host: '127.0.0.1', port: 9 },
    { host: '127.0.0.1', port: server.port },
    { host: '169.254.169.254', port: 80 },
    join(dir, 'run', 'a.sock'),
    join(dir, 'run', 'link.sock'),
    join(dir, 'run', 'dangling.sock'),
    join(dir, 'secret.sock'),
  ];
  const listens: readonly Target[] = [
    { host: 'localhost', port: free },
    { host: 'LocalHost', port: free },
    { host: '', port: free },
    { host: '127.0.0.1', port: other },
    { host: '127.0.0.1', port: 0 },
    { host: 'localhost', port: 0 },
    { host: 'localhost', port: server.port },
    { host: 'host.example', port: free },
    { host: '224.0.0.1', port: free },
    join(dir, 'run', 'new.sock'),
    join(dir, 'run', 'up', 'new.sock'),
    join(dir, 'new.sock'),
    join(server.dir, 'state', 'primary.sock'),
  ];
  const counts = { logins: 0, requests: 0, granted: 0 };
  for (const user of ['alice', 'bob'])
    for (const { name, shown, ask } of [...keys, ...certificates])
      for (const from of ['127.0.0.1', '127.0.0.2'])
        await t.test(`${user} by ${name} from ${from}`, async (t) => {
          const said = await explained(user, {
            config,
            ...ask,
            from,
            open: opens.map(textOf),
            listen: listens.map(textOf),
          });
          counts.logins++;
          const isIn = await compareLogin(t, server, { user, shown, from }, said);
          if (isIn === null) return;
          const done: Decided[] = [];
          for (const [id, target] of opens.entries()) done.push(await open(isIn, server, target, id));
          for (const target of listens) done.push(await listen(isIn, server, target));
          counts.requests += done.length;
          counts.granted += done.filter(({ granted }) => granted).length;
          for (const [at, request] of said.requests.entries())
            t.same(decided(request), done[at], `${request.kind} ${request.target.replace(dir, '')}`);
          isIn.socket.destroy();
        });
  t.comment(JSON.stringify(counts));
  t.ok(counts.requests > 300 && counts.granted > 50, 'enough of both');
});

/** @returns the client when both say yes */
async function compareLogin(
  t: Test,
  server: Sallyport,
  { user, shown, from }: { readonly user: string; readonly shown: Shown; readonly from: string },
  { login }: Explained,
): Promise<RawClient | null> {
  const mark = server.events.mark();
  const client = rawClient(t, server, { from });
  const isIn = await loginBy(client, user, shown);
  if (isIn) {
    t.same(decided(login), { granted: true, code: null }, 'both let in');
    return client;
  }
  const { reason } = await server.events.wait('auth.failed', {}, mark);
  t.same(decided(login), { granted: false, code: reason }, 'refused for the same reason');
  client.socket.destroy();
  return null;
}
