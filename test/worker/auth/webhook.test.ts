/** What becomes of a reply: a yes, or a refusal with a reason that holds no secret. */
import t from 'tap';
import { Webhook } from '../../../src/worker/auth/webhook.js';
import type { WebhookReply } from '../../../src/worker/auth/webhook_client.js';
import type { WebhookQuestion } from '../../../src/worker/auth/webhook_question.js';
import { within } from '../../support/deadline.js';
import { FakeClock } from '../../support/fake_clock.js';

const TOKEN = 't0ken-t0ken';
const PASSWORD = 'pass"wörd';
const { signal } = new AbortController();
const question: WebhookQuestion = {
  user: 'zoe',
  peer: { address: '192.0.2.7', port: 4711 },
  checked: false,
  credential: { method: 'password', password: PASSWORD },
  before: [],
};

function webhookThat(
  reply: WebhookReply | ((signal: AbortSignal) => Promise<WebhookReply>),
  clock = new FakeClock(),
): Webhook {
  return new Webhook({
    now: () => clock.nowMs(),
    after: (ms, action) => clock.after(ms, action),
    client: { ask: (_body, asking) => (typeof reply === 'function' ? reply(asking) : Promise.resolve(reply)) },
    token: TOKEN,
    isConfigured: (name) => name === 'alice' || name === 'bob',
  });
}
const says = (answer: unknown): Webhook =>
  webhookThat({ ok: true, text: typeof answer === 'string' ? answer : JSON.stringify(answer) });

t.test('a yes', async (t) => {
  t.match(await says({ allow: true }).ask(question, signal), { allow: true, user: null });
  for (const user of ['zoe', 'team', 'Alice'])
    t.match(await says({ allow: true, user }).ask(question, signal), { user });
  t.match(await says({ allow: true, user: 'bob' }).ask({ ...question, user: 'bob' }, signal), { user: 'bob' });
});

t.test('every no has its code and its reason', async (t) => {
  const secret = 'auth.webhook: what it said is not shown: it repeats a secret';
  for (const [webhook, code, detail] of [
    [says({ allow: false }), 'WEBHOOK_DENIED', 'auth.webhook: said no, without a reason'],
    [says({ allow: false, reason: 'on leave' }), 'WEBHOOK_DENIED', 'auth.webhook: on leave'],
    [says({ allow: false, reason: `not ${PASSWORD}` }), 'WEBHOOK_DENIED', secret],
    [says({ allow: false, reason: `not ${TOKEN}` }), 'WEBHOOK_DENIED', secret],
    [says('{"allow": false, "reason": "t\\u0030ken-t0ken"}'), 'WEBHOOK_DENIED', secret],
    [says({ allow: true, [PASSWORD]: 1 }), 'WEBHOOK_FAILED', secret],
    [says({ allow: true, permitOpen: [TOKEN] }), 'WEBHOOK_FAILED', secret],
    [says(`{"allow": true, "${TOKEN}": `), 'WEBHOOK_FAILED', secret],
    [says({ allow: true, admin: 1 }), 'WEBHOOK_FAILED', /^auth\.webhook: answered with an unknown key "admin"/],
    [
      says({ allow: true, user: 'alice' }),
      'WEBHOOK_FAILED',
      'auth.webhook: answered with the user alice, who is another one of the config',
    ],
    [webhookThat({ ok: false, code: 'POOL_BUSY', detail: 'is busy' }), 'POOL_BUSY', 'auth.webhook: is busy'],
    [webhookThat({ ok: false, code: 'WEBHOOK_FAILED', detail: 'is gone' }), 'WEBHOOK_FAILED', 'auth.webhook: is gone'],
  ] as const)
    await t.rejects(webhook.ask(question, signal), { name: 'LoginRefused', code, detail });
});

t.test('a no of the config’s own takes as long as an answer, and no longer than the peer waits', async (t) => {
  const clock = new FakeClock();
  const slow = webhookThat(async () => {
    clock.advance(120);
    return { ok: true, text: '{"allow": true}' };
  }, clock);
  await within(slow.likeAnAnswer(signal), 'no answer yet: at once');
  await slow.ask(question, signal);
  let over = false;
  const waiting = slow.likeAnAnswer(signal).then(() => {
    over = true;
  });
  clock.advance(119);
  await Promise.resolve();
  t.equal(over, false);
  clock.advance(1);
  await within(waiting, 'as long as the answer took');
  t.equal(clock.pending, 0);
  const leaves = new AbortController();
  const left = slow.likeAnAnswer(leaves.signal);
  t.equal(clock.pending, 1);
  leaves.abort();
  await within(left, 'whose peer has left');
  t.equal(clock.pending, 0);
});

t.test('a question that was given up is no measure', async (t) => {
  const leaves = new AbortController();
  const clock = new FakeClock();
  const endless = webhookThat(
    (asking) =>
      new Promise((resolve) => {
        const end = (): void => resolve({ ok: false, code: 'WEBHOOK_FAILED', detail: 'left' });
        asking.addEventListener('abort', end, { once: true });
      }),
    clock,
  );
  const asked = endless.ask(question, leaves.signal);
  clock.advance(1_000);
  leaves.abort();
  await t.rejects(asked, { code: 'WEBHOOK_FAILED' });
  await within(endless.likeAnAnswer(signal), 'at once');
});
