/** NO ORACLE: how long a refusal takes tells neither whether a user exists nor whether a key does. (That the answers are the same bytes,
 *  A10 shows. What RFC 4252 §7 lets a peer learn is whether a key that it knows may log in as this very user.)
 *  Each question is asked in two ways, beside each other; the area under the ROC curve is the chance that an answer to the one took
 *  longer than an answer to the other: 0.5 where nobody can tell them apart. It is no bound on a time, and a busy machine brings it
 *  closer to 0.5. With so many samples chance alone is off by 0.05 once in a million runs. */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { hashOfNothing } from '../../src/worker/auth/no_password.js';
import { RefusalDelay } from '../../src/worker/auth/refusal_delay.js';
import { passwordRequest, RawClient } from '../support/raw_client.js';
import { type Sallyport, startSallyport } from '../support/server.js';

const TRIES_PER_CONNECTION = 17;
const CONNECTIONS = 100;
const NAMES = 20;
const TOLERANCE = 0.05;

/** One of two ways to ask: who, and what. */
interface Way {
  readonly users: readonly string[];
  request(user: string): Buffer;
}

const known = Array.from({ length: NAMES }, (_, at) => `known${at + 10}`);
const [foreign, others, refused] = [newLine('foreign'), newLine('others'), newLine('refused')];

t.test('the time of a refusal tells nothing', { timeout: 500_000 }, async (t) => {
  const lines = { authorizedKeys: [others, `from="192.0.2.1" ${refused}`] };
  const server = await startSallyport(t, {
    workers: 1,
    users: { alice: lines, bob: lines },
    moreUsers: known,
    config: {
      auth: { maxTries: 100 },
      // Quick: what it costs is no matter here, only that it costs the same for all.
      defaults: { password: hashOfNothing('$argon2id$v=19$m=1024,t=1,p=1$') },
      log: { level: 'info', format: 'json' },
    },
  });
  const unknown = namesakes(server);
  const offers =
    (line: string) =>
    (user: string): Buffer =>
      offer(user, line);

  await judge(t, server, 'a user who exists, by a key', [
    { users: known, request: offers(foreign) },
    { users: unknown, request: offers(foreign) },
  ]);
  await judge(t, server, 'a user who exists, by a password', [
    { users: known, request: (user) => passwordRequest(user, 'wrong') },
    { users: unknown, request: (user) => passwordRequest(user, 'wrong') },
  ]);
  await judge(t, server, "a key that is another user's", [
    { users: known, request: offers(others) },
    { users: known, request: offers(foreign) },
  ]);
  await judge(t, server, "a key that is the user's, but not from here", [
    { users: ['alice', 'bob'], request: offers(refused) },
    { users: ['alice', 'bob'], request: offers(foreign) },
  ]);
});

async function judge(t: Test, server: Sallyport, what: string, ways: readonly [Way, Way]): Promise<void> {
  await Promise.all(ways.map((way) => ask(server, way, 0))); // until V8 has compiled it
  let area = await measure(server, ways);
  // Samples are taken for independent, and those of one connection or one bad second of the machine are not.
  if (Math.abs(area - 0.5) > TOLERANCE) area = await measure(server, ways);
  t.ok(
    Math.abs(area - 0.5) <= TOLERANCE,
    `${what}: AUC ${area.toFixed(3)} of ${2 * CONNECTIONS * TRIES_PER_CONNECTION} samples`,
  );
}

async function measure(server: Sallyport, ways: readonly [Way, Way]): Promise<number> {
  const times: [number[], number[]] = [[], []];
  for (let at = 0; at < CONNECTIONS; at++) {
    const both = await Promise.all(ways.map((way) => ask(server, way, at)));
    for (const [index, list] of both.entries()) times[index]?.push(...list);
  }
  return chanceOfLonger(...times);
}

/** Milliseconds from question to answer, on a connection of its own. */
async function ask(server: Sallyport, { users, request }: Way, at: number): Promise<readonly number[]> {
  const client = new RawClient(connect({ port: server.port, host: server.host, noDelay: true }), {});
  try {
    await client.ready;
    client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await client.take(MSG.SERVICE_ACCEPT);
    const payload = request(users[at % users.length] ?? '');
    const times: number[] = [];
    for (let tries = 0; tries < TRIES_PER_CONNECTION; tries++) {
      const sentMs = performance.now();
      client.send(payload);
      await client.take(MSG.USERAUTH_FAILURE);
      times.push(performance.now() - sentMs);
    }
    return times;
  } finally {
    client.socket.destroy();
  }
}

/** Names that nobody has, each with the time of one that somebody has: names are answered after times of their own, and these
 *  would be told apart like any two names. */
function namesakes(server: Sallyport): readonly string[] {
  const folder = join(server.dir, 'state');
  const files = readdirSync(folder).filter((name) => /^ssh_host_\w+_key$/.test(name));
  const order = ['ssh_host_ed25519_key', 'ssh_host_ecdsa_key'].filter((name) => files.includes(name));
  const delay = RefusalDelay.of(order.map((name) => ({ pem: readFileSync(join(folder, name), 'utf8') })));
  const timeOf = (name: string): number => delay.leftMs(Buffer.from(name), 0);
  const candidates = Array.from({ length: 20_000 }, (_, at) => `n${100_000 + at}`)
    .map((name) => ({ name, ms: timeOf(name) }))
    .sort((a, b) => a.ms - b.ms);
  return known.map((name) => {
    const ms = timeOf(name);
    return candidates.reduce((best, next) => (Math.abs(next.ms - ms) < Math.abs(best.ms - ms) ? next : best)).name;
  });
}

function newLine(comment: string): string {
  return newKeyPair('ed25519', comment).publicKey.trim();
}

function offer(user: string, line: string): Buffer {
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64');
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', 'publickey', false, 'ssh-ed25519', blob);
}

/** Mann-Whitney's U, as a share. */
function chanceOfLonger(first: readonly number[], second: readonly number[]): number {
  const sorted = [...first.map((ms) => ({ ms, isFirst: true })), ...second.map((ms) => ({ ms, isFirst: false }))];
  sorted.sort((a, b) => a.ms - b.ms);
  let below = 0;
  let wins = 0;
  for (const { isFirst } of sorted) {
    if (isFirst) wins += below;
    else below++;
  }
  return wins / (first.length * second.length);
}
