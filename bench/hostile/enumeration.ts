/** ENUMERATION: can somebody outside tell by time whether a user exists? Asks for users that exist and for users that do not,
 *  in turns, and prints how well the two can be told apart: the area under the ROC curve, 0.5 where not at all.
 *
 *    npm run build && node build/bench/hostile/enumeration.js [--samples 2000]
 *
 *  Each way is asked on connections of its own, five tries each, so that nothing else happens between a question and its
 *  answer. A busy machine makes the two more alike, not less: run it on a quiet one. */
import { parseArgs } from 'node:util';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { hashOfNothing } from '../../src/worker/auth/no_password.js';
import { passwordRequest, type RawClient } from '../../test/support/raw_client.js';
import { keyed, startEndpoint } from './endpoint.js';

const { values } = parseArgs({ options: { samples: { type: 'string', default: '2000' } } });
const TRIES = 5;

const ownKey = newKeyPair('ed25519', 'known').publicKey;
const foreignBlob = Buffer.from(newKeyPair('ed25519', 'foreign').publicKey.split(' ')[1] ?? '', 'base64');
const ways = [
  { name: 'key', samples: Number(values.samples), request: (user: string) => offer(user) },
  { name: 'password', samples: Number(values.samples) / 4, request: (user: string) => passwordRequest(user, 'wrong') },
];

const endpoint = await startEndpoint({
  workers: 1,
  auth: { maxTries: 100 },
  // Of the same length, and as many of each: what is asked differs in nothing else.
  users: { known: { authorizedKeys: [ownKey.trim()], password: hashOfNothing() } },
});
try {
  for (const { name, samples, request } of ways) {
    const known: number[] = [];
    const unknown: number[] = [];
    await sample(request, 'known', samples / 10); // until V8 has compiled it
    for (let round = 0; known.length < samples; round++) {
      const order = round % 2 === 0 ? (['known', 'nobdy'] as const) : (['nobdy', 'known'] as const);
      for (const user of order) (user === 'known' ? known : unknown).push(...(await sample(request, user, TRIES)));
    }
    console.log(
      `${name}: AUC ${area(known, unknown).toFixed(3)}, ${median(known)} us known, ${median(unknown)} us unknown`,
    );
  }
} finally {
  await endpoint.stop();
}

/** Microseconds from question to answer. */
async function sample(request: (user: string) => Buffer, user: string, count: number): Promise<number[]> {
  const client: RawClient = await keyed(endpoint.port, '127.0.0.1');
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  const times: number[] = [];
  for (let index = 0; index < Math.min(count, 90); index++) {
    const payload = request(user);
    const startedMs = performance.now();
    client.send(payload);
    await client.take(MSG.USERAUTH_FAILURE);
    times.push((performance.now() - startedMs) * 1_000);
  }
  client.socket.destroy();
  return times;
}

function offer(user: string): Buffer {
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', 'publickey', false, 'ssh-ed25519', foreignBlob);
}

/** The chance that a sample of the first is above one of the second (Mann-Whitney U). */
function area(a: readonly number[], b: readonly number[]): number {
  const sorted = [...a.map((value) => ({ value, first: true })), ...b.map((value) => ({ value, first: false }))];
  sorted.sort((x, y) => x.value - y.value);
  let below = 0;
  let wins = 0;
  for (const { first } of sorted) {
    if (first) wins += below;
    else below++;
  }
  return wins / (a.length * b.length);
}

function median(values: readonly number[]): string {
  return ([...values].sort((x, y) => x - y)[Math.floor(values.length / 2)] ?? 0).toFixed(0);
}
