/** SECOND FACTOR: what is asked behind a key or a password (RFC 4256), and that nobody learns of it before. */
import { EventEmitter, once } from 'node:events';
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../../src/shared/protocol.js';
import type { Conversation } from '../../../src/worker/auth/conversation.js';
import { type AuthHooks, LoginRefused } from '../../../src/worker/auth/hooks.js';
import { Client, DENIED, interactive, KEY, LIST, none, password, query, response, signed } from './client.js';
import { ed25519 } from './keys.js';

const ASKED = 'prompt Verification code: ';
const ONLY_CODE = 'failure keyboard-interactive';
const CODE = '123456';

async function askCode(_identity: unknown, conversation: Conversation): Promise<boolean> {
  const [code] = await conversation.ask([{ prompt: 'Verification code: ' }]);
  return code === CODE;
}
const withCode: Partial<AuthHooks> = { checkSecondFactor: askCode };

t.test('behind a key: partial success, then the code by keyboard-interactive', async (t) => {
  const client = await Client.ready(withCode);
  t.equal(await client.ask(none()), DENIED);
  t.match(await client.ask(query({ key: KEY })), 'pk_ok');
  t.equal(await client.ask(signed({ key: KEY })), `${ONLY_CODE} true`);
  t.match(client.steps, [{ user: 'bob', method: 'publickey' }]);
  t.equal(client.login, null);
  t.equal(await client.ask(interactive()), ASKED);
  t.equal(await client.ask(response('000000')), `${ONLY_CODE} false`);
  t.match(client.failures, [{ code: 'CODE_WRONG', method: 'keyboard-interactive' }]);
  t.equal(await client.ask(interactive()), ASKED);
  t.equal(await client.ask(response(CODE)), 'success');
  t.match(client.login, { identity: { user: 'bob', fingerprint: /^SHA256:/ }, method: 'keyboard-interactive' });
  t.match(client.loginSteps, [{ method: 'publickey' }, { method: 'keyboard-interactive', isSecondFactor: true }]);
  t.strictSame(client.passwords, [], 'the code is no password');
});

t.test('behind a password: the same', async (t) => {
  const client = await Client.ready(withCode);
  t.equal(await client.ask(password('secret')), `${ONLY_CODE} true`);
  t.equal(await client.ask(interactive()), ASKED);
  t.equal(await client.ask(response(CODE)), 'success');
});

t.test('behind keyboard-interactive: the conversation goes on', async (t) => {
  const client = await Client.ready(withCode);
  t.equal(await client.ask(interactive()), 'prompt Password: ');
  t.equal(await client.ask(response('secret')), ASKED);
  t.match(client.steps, [{ user: 'bob', method: 'keyboard-interactive' }], 'the log hears of the first factor');
  t.equal(await client.ask(response('000000')), `${ONLY_CODE} false`);
  t.equal(await client.ask(interactive()), ASKED, 'the password is not asked for again');
  t.equal(await client.ask(response(CODE)), 'success');
  t.strictSame(
    client.loginSteps.map(({ method, isSecondFactor }) => [method, isSecondFactor]),
    [
      ['keyboard-interactive', undefined],
      ['keyboard-interactive', true],
    ],
  );
});

t.test('behind several methods in a row: when the last has succeeded', async (t) => {
  const client = await Client.ready({ ...withCode, getAllowedAuths: () => ['publickey,password'] });
  t.equal(await client.ask(signed({ key: KEY })), 'failure password true');
  t.equal(await client.ask(interactive()), 'failure password false', 'the code does not stand in for a password');
  t.equal(await client.ask(password('secret')), `${ONLY_CODE} true`);
  t.equal(await client.ask(interactive()), ASKED);
  t.equal(await client.ask(response(CODE)), 'success');
});

t.test('it need not be among the ways in', async (t) => {
  const client = await Client.ready({ ...withCode, getAllowedAuths: () => ['publickey'] });
  t.equal(await client.ask(interactive()), 'failure publickey false');
  t.equal(await client.ask(signed({ key: KEY })), `${ONLY_CODE} true`);
  t.equal(await client.ask(interactive()), ASKED);
  t.equal(await client.ask(response(CODE)), 'success');
});

t.test('the first factor alone opens nothing, and nothing else stands in for the code', async (t) => {
  const client = await Client.ready(withCode, { maxTries: 20 });
  t.equal(await client.ask(signed({ key: KEY })), `${ONLY_CODE} true`);
  for (const payload of [signed({ key: KEY }), password('secret'), none(), query({ key: KEY })])
    t.equal(await client.ask(payload), `${ONLY_CODE} false`);
  t.equal(await client.ask(interactive()), ASKED, 'and it is still asked for');
  t.equal(await client.ask(password('secret')), `${ONLY_CODE} false`, 'a new request abandons the question');
  t.match(await client.ask(response(CODE)), `disconnect ${DISCONNECT.PROTOCOL_ERROR}`);
  t.equal(client.login, null);
});

t.test('nobody learns before the first factor that there is a second', async (t) => {
  const flows = [
    [none(), password('wrong'), query({ key: ed25519() }), interactive(), response('wrong')],
    [interactive(), response(''), interactive(), response('x', 'y')],
  ];
  for (const flow of flows) {
    const transcripts: string[] = [];
    for (const hooks of [withCode, {}]) {
      const client = await Client.ready(hooks);
      const texts: string[] = [];
      for (const payload of flow) texts.push(await client.ask(payload));
      transcripts.push(texts.join('\n'));
    }
    t.equal(transcripts[0], transcripts[1]);
    t.match(transcripts[0], LIST);
  }
});

t.test('codes are tries: six wrong ones end the connection', async (t) => {
  const client = await Client.ready(withCode, { maxTries: 3 });
  await client.ask(signed({ key: KEY }));
  for (let i = 0; i < 2; i++) {
    await client.ask(interactive());
    t.equal(await client.ask(response(`${i}`)), `${ONLY_CODE} false`);
  }
  await client.ask(interactive());
  t.match(await client.ask(response('2')), 'Too many authentication failures');
  t.strictSame(client.ends, ['AUTH_EXHAUSTED']);
});

t.test('answers of the wrong number, without UTF-8 or too long are refused unseen', async (t) => {
  const seen: unknown[] = [];
  const hooks: Partial<AuthHooks> = {
    async checkSecondFactor(_identity, conversation) {
      seen.push(await conversation.ask([{ prompt: 'Verification code: ' }]));
      return true;
    },
  };
  const long = message(MSG.USERAUTH_INFO_RESPONSE, 1, 'x'.repeat(1025));
  const binary = message(MSG.USERAUTH_INFO_RESPONSE, 1, Buffer.from([0xff]));
  for (const [payload, code] of [
    [response(), 'MALFORMED'],
    [response(CODE, CODE), 'MALFORMED'],
    [long, 'CODE_WRONG'],
    [binary, 'CODE_WRONG'],
  ] as const) {
    const client = await Client.ready(hooks);
    await client.ask(signed({ key: KEY }));
    t.equal(await client.ask(interactive()), ASKED);
    t.equal(await client.ask(payload), `${ONLY_CODE} false`);
    t.match(client.failures, [{ code }]);
  }
  t.strictSame(seen, []);
  const client = await Client.ready(hooks);
  await client.ask(signed({ key: KEY }));
  await client.ask(interactive());
  t.equal(await client.ask(response('')), 'success', 'twin: an empty answer is one');
  t.strictSame(seen, [['']]);
});

t.test('a hook that asks nothing is not noticed, and one that fails denies', async (t) => {
  const quiet = await Client.ready({ checkSecondFactor: async () => true });
  t.equal(await quiet.ask(signed({ key: KEY })), 'success');
  t.match(quiet.loginSteps, [{ method: 'publickey' }]);
  t.equal(quiet.loginSteps.length, 1);

  // What a hook written in JavaScript may answer.
  const nonsense = (value: unknown): boolean => JSON.parse(JSON.stringify(value));
  const rows: readonly (readonly [string, AuthHooks['checkSecondFactor'], string])[] = [
    ['no', () => false, 'CODE_WRONG'],
    ['an identity', () => nonsense({ user: 'admin' }), 'HOOK_FAILED'],
    ['a number', () => nonsense(1), 'HOOK_FAILED'],
    ['a throw', () => Promise.reject(new Error('down')), 'HOOK_FAILED'],
    ['a reason', () => Promise.reject(new LoginRefused('CODE_REPLAYED')), 'CODE_REPLAYED'],
    ['questions that are none', (_identity, { ask }) => ask(JSON.parse('"x"')).then(() => true), 'HOOK_FAILED'],
  ];
  for (const [name, checkSecondFactor, code] of rows) {
    const client = await Client.ready({ checkSecondFactor });
    t.equal(await client.ask(signed({ key: KEY })), `${ONLY_CODE} false`, name);
    t.match(client.failures, [{ code }], name);
    t.equal(await client.ask(interactive()), `${ONLY_CODE} false`, name);
    t.equal(client.login, null);
  }
});

t.test('the deadline stands still while the peer types, and runs for what the hook does with it', async (t) => {
  const slow = await Client.ready(withCode);
  await slow.ask(signed({ key: KEY }));
  slow.strikeDeadline();
  t.equal(await slow.ask(interactive()), ASKED);
  slow.strikeDeadline();
  t.equal(await slow.ask(response(CODE)), 'success', 'however long he typed');

  const reached = new EventEmitter();
  const client = await Client.ready({
    async checkSecondFactor(_identity, conversation) {
      await conversation.ask([{ prompt: 'Verification code: ' }]);
      reached.emit('answered');
      return new Promise(() => {});
    },
  });
  await client.ask(signed({ key: KEY }));
  client.strikeDeadline();
  t.equal(await client.ask(interactive()), ASKED);
  client.strikeDeadline();
  const answered = once(reached, 'answered', { signal: AbortSignal.timeout(20_000) });
  const answer = client.ask(response(CODE));
  await answered;
  client.strikeDeadline();
  t.equal(await answer, `${ONLY_CODE} false`);
  t.match(client.failures, [{ code: 'HOOK_TIMEOUT' }]);
});

t.test('several rounds and several questions; what a hook tells without asking', async (t) => {
  const client = await Client.ready({
    async checkAuthInteractive(username, conversation, _peer, _signal, soFar) {
      t.equal(soFar, null);
      const none = await conversation.ask([], { instruction: 'One\nTwo' });
      const [colour, number] = await conversation.ask([{ prompt: 'Colour? ', echo: true }, { prompt: 'Number? ' }]);
      const more = await conversation.ask([{ prompt: 'Sure? ' }]);
      return none.length === 0 && colour === 'red' && number === '7' && more[0] === 'yes' && { user: `${username}!` };
    },
  });
  t.equal(await client.ask(interactive()), 'prompt [One\nTwo] ');
  t.equal(await client.ask(response()), 'prompt Colour? (echo), Number? ');
  t.equal(await client.ask(response('red', '7')), 'prompt Sure? ');
  t.equal(await client.ask(response('yes')), 'success');
  t.strictSame(client.login?.identity, { user: 'bob!' });
});

t.test('a peer that goes on to something else: the hook hears of it, and its answer counts no more', async (t) => {
  const heard: unknown[] = [];
  const hooks: Partial<AuthHooks> = {
    async checkSecondFactor(_identity, conversation, _peer, signal) {
      const asked = conversation.ask([{ prompt: 'Verification code: ' }]);
      await asked.catch((why: unknown) => heard.push(String(why), signal.aborted));
      return true;
    },
  };
  const client = await Client.ready(hooks);
  await client.ask(signed({ key: KEY }));
  await client.ask(interactive());
  t.equal(await client.ask(interactive()), ASKED);
  await new Promise(setImmediate);
  t.match(heard, [/AbortError/, true]);
  t.equal(client.login, null);
  client.auth.close();
  await new Promise(setImmediate);
  t.equal(heard.length, 4);
  t.equal(client.login, null);
});

t.test('a hook that does not wait for what it asks harms nobody', async (t) => {
  const client = await Client.ready({
    checkSecondFactor(_identity, conversation) {
      void conversation.ask([{ prompt: 'Verification code: ' }]);
      void conversation.ask([{ prompt: 'Again: ' }]); // while the first is open: rejects
      return true;
    },
  });
  t.equal(await client.ask(signed({ key: KEY })), `${ONLY_CODE} true`);
  t.equal(await client.ask(interactive()), ASKED);
  client.auth.close();
  await new Promise(setImmediate);
});
