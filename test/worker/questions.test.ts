import t from 'tap';
import type { AskId, ConnId, ToPrimary } from '../../src/shared/ipc.js';
import { Questions, UNHEARD_MS } from '../../src/worker/questions.js';
import { fakeTimers } from '../support/fake_timers.js';

const login = { kind: 'login', id: 1 as ConnId, user: 'alice', limit: 1 } as const;
const lease = {
  kind: 'lease',
  id: 1 as ConnId,
  user: 'alice',
  limit: 1,
  target: { kind: 'unix', path: '/a' },
} as const;
const ask = (value: number): AskId => value as AskId;

t.test('each question has its number and its answer; a second answer changes nothing', async (t) => {
  const questions = new Questions();
  const sent: ToPrimary[] = [];
  const answers = [login, login].map((question) => questions.ask(question, (message) => sent.push(message)));
  questions.answered(ask(2), { ok: false, reason: 'LIMIT' });
  questions.answered(ask(1), { ok: true, port: 0 });
  questions.answered(ask(1), { ok: false, reason: 'TAKEN' });
  questions.answered(ask(9), { ok: true, port: 0 });
  t.match(sent, [
    { type: 'ask', ask: 1 },
    { type: 'ask', ask: 2 },
  ]);
  t.same(await Promise.all(answers), [
    { ok: true, port: 0 },
    { ok: false, reason: 'LIMIT' },
  ]);
});

t.test('codes: each verdict to its question, and none where nobody knows', async (t) => {
  const questions = new Questions();
  const sent: ToPrimary[] = [];
  const use = { user: 'alice', key: 'k', step: 1 };
  const verdicts = [use, { ...use, step: null }].map((one) => questions.judge(one, (message) => sent.push(message)));
  questions.judged(ask(2), 'WRONG');
  questions.judged(ask(1), 'OK');
  questions.judged(ask(1), 'LIMIT');
  t.same(sent, [
    { type: 'code', ask: 1, ...use },
    { type: 'code', ask: 2, ...use, step: null },
  ]);
  t.same(await Promise.all(verdicts), ['OK', 'WRONG']);
  const waiting = questions.judge(use, () => {});
  questions.forget();
  t.equal(await waiting, null);
  t.equal(await questions.judge(use, null), null);
});

t.test('nobody waits for long for a primary that is gone', async (t) => {
  const clock = fakeTimers(t);
  const questions = new Questions();
  const waiting = [questions.ask(login, () => {}), questions.ask(lease, () => {})];
  questions.forget();
  waiting.push(questions.ask(login, null), questions.ask(lease, null));
  let answers = 0;
  for (const answer of waiting) void answer.then(() => answers++);
  clock.advance(UNHEARD_MS - 1);
  questions.forget(); // another one came and went before it heard of them
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(answers, 0);
  clock.advance(1);
  const [yes, no] = [{ ok: true }, { ok: false, reason: 'DRAINING' }];
  t.match(await Promise.all(waiting), [yes, no, yes, no]);
  t.equal(clock.pending, 0);
});

t.test('the next primary answers what the last one did not, however long that takes it', async (t) => {
  const clock = fakeTimers(t);
  const questions = new Questions();
  const waiting = [questions.ask(login, () => {}), questions.ask(lease, () => {})];
  questions.answered(ask(1), { ok: true, port: 0 });
  questions.forget();
  waiting.push(questions.ask(lease, null));
  const sent: ToPrimary[] = [];
  questions.follow((message) => sent.push(message));
  t.same(sent, [
    { type: 'ask', ask: 2, question: lease },
    { type: 'ask', ask: 3, question: lease },
  ]);
  t.equal(clock.pending, 0, 'an answer of ours would leave a grant that nobody uses');
  questions.answered(ask(3), { ok: false, reason: 'TAKEN' });
  questions.answered(ask(2), { ok: true, port: 0 });
  t.match(await Promise.all(waiting), [{ ok: true }, { ok: true }, { reason: 'TAKEN' }]);
});

t.test('whom a proxy brings: asked again of the next primary, and no longer than a moment', async (t) => {
  const clock = fakeTimers(t);
  const questions = new Questions();
  const sent: ToPrimary[] = [];
  const send = (message: ToPrimary): void => {
    sent.push(message);
  };
  const client = { address: '192.0.2.1', port: 5 };
  const [first, second] = [questions.proxied(1 as ConnId, client, send), questions.proxied(2 as ConnId, null, null)];
  questions.forget();
  questions.follow(send);
  questions.admitted(ask(1), { admit: true });
  questions.admitted(ask(2), { admit: false, lastWords: 'no' });
  t.same(await Promise.all([first, second]), [{ admit: true }, { admit: false, lastWords: 'no' }]);
  const named = { type: 'proxied', ask: 1, id: 1, client };
  t.same(sent, [named, named, { type: 'proxied', ask: 2, id: 2, client: null }]);
  const unheard = questions.proxied(3 as ConnId, client, send);
  questions.forget();
  clock.advance(UNHEARD_MS);
  t.equal(await unheard, null);
});
