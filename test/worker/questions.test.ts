import t from 'tap';
import type { AskId, ConnId, ToPrimary } from '../../src/shared/ipc.js';
import { Questions } from '../../src/worker/questions.js';

const login = { kind: 'login', id: 1 as ConnId, user: 'alice', limit: 1 } as const;
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

t.test('nobody waits for a primary that is gone', async (t) => {
  const questions = new Questions();
  const waiting = questions.ask(login, () => {});
  questions.forget();
  t.match(await waiting, { ok: true });
  t.match(await questions.ask(login, null), { ok: true });
});
