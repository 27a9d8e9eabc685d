/** A10: does this user exist? Neither the list of methods, nor a key that is offered, nor the way of a failure tells: the answers
 *  are the same bytes for a user with a key, one with a password, and names that nobody has. What a peer can learn by
 *  RFC 4252 §7 is whether a key that it knows is this very user's.
 *  Time: a password of an unknown user is hashed against a dummy of the commonest cost, and a key is looked up by its digest
 *  in an empty table (worker/auth/directory.ts), and a refusal is sent after a time of the name's own
 *  (worker/auth/refusal_delay.ts). test/access/no_oracle.test.ts shows that the two cannot be told apart. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { MSG, message, type WireField } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';
import { passwordRequest, type RawClient } from '../support/raw_client.js';
import { makeLogin } from '../support/server.js';

const NAMES = ['alice', 'bob', 'nobody', '__proto__', 'constructor', 'x'.repeat(255)];

const SCENE = { withPassword: true } as const;

hostile(t, 'A10', 'known and unknown users get the same bytes', SCENE, async (t, { server, stranger }) => {
  const foreign = blobOf((await makeLogin(t, server.dir, 'foreign')).keyFile);
  const ways: ReadonlyArray<readonly [name: string, requests: (user: string) => readonly Buffer[]]> = [
    ['the list of methods', (user) => [request(user, 'none')]],
    ['a wrong password', (user) => [passwordRequest(user, 'wrong')]],
    ['no password', (user) => [passwordRequest(user, '')]],
    ['a prompt', (user) => [request(user, 'keyboard-interactive', '', ''), message(61, 1, 'wrong')]],
    ["a key that is nobody's", (user) => [offer(user, foreign)]],
    ['an unknown method', (user) => [request(user, 'gssapi-with-mic', 1, 'oid')]],
    ['tries until the end', (user) => new Array<Buffer>(6).fill(offer(user, foreign))],
  ];
  for (const [name, requests] of ways) {
    const transcripts = [];
    for (const user of NAMES) transcripts.push(await transcript(stranger(), requests(user)));
    t.equal(new Set(transcripts).size, 1, name);
    t.ok(transcripts[0] !== '', 'and they are some');
  }
  for (const owner of [server.alice, server.bob]) {
    const key = blobOf(owner.keyFile);
    const transcripts = [];
    for (const user of NAMES)
      if (user !== owner.name) transcripts.push(await transcript(stranger(), [offer(user, key)]));
    t.equal(new Set(transcripts).size, 1, "another user's key is nobody's");
  }
});

/** Every answer to these requests, each sent when the one before was answered; and how it ended. */
async function transcript(client: RawClient, requests: readonly Buffer[]): Promise<string> {
  await client.ready;
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  const answers: string[] = [];
  const over = client.ended.then((end) => {
    answers.push(JSON.stringify(end));
  });
  let wake = (): void => {};
  client.intercept = (payload) => {
    answers.push(payload.toString('hex'));
    wake();
    return true;
  };
  for (const [index, payload] of requests.entries()) {
    const answered = new Promise<void>((resolve) => {
      wake = resolve;
      if (answers.length > index) resolve();
    });
    client.send(payload);
    await within(Promise.race([answered, over]), 'answer');
  }
  const text = answers.join('\n');
  client.socket.destroy();
  await over;
  return text;
}

function request(user: string, method: string, ...fields: WireField[]): Buffer {
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', method, ...fields);
}

function offer(user: string, blob: Buffer): Buffer {
  return request(user, 'publickey', false, 'ssh-ed25519', blob);
}

function blobOf(keyFile: string): Buffer {
  return Buffer.from(readFileSync(`${keyFile}.pub`, 'utf8').split(' ')[1] ?? '', 'base64');
}
