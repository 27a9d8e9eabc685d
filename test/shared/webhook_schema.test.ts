/** The schema names what is written and read, and nothing else. */
import t from 'tap';
import { USER_KEYS } from '../../src/shared/config.js';
import { webhookSchema } from '../../src/shared/webhook_schema.js';
import { readWebhookAnswer } from '../../src/worker/auth/webhook_answer.js';
import { type WebhookCredential, webhookQuestion } from '../../src/worker/auth/webhook_question.js';
import { ed25519 } from '../worker/auth/keys.js';

interface Part {
  readonly properties: Readonly<Record<string, { readonly properties?: object }>>;
  readonly required: readonly string[];
}
const { $defs } = webhookSchema() as { $defs: { question: Part; answer: Part } };

t.test('questions', async (t) => {
  const { blob } = ed25519();
  const key = { type: 'a', algorithm: 'b', fingerprint: 'c', blob, line: 'd', verified: true };
  const credentials: readonly WebhookCredential[] = [
    { method: 'publickey', key, certificate: null },
    { method: 'publickey', key, certificate: { keyId: 'e', serial: 2n ** 64n - 1n, caFingerprint: 'f' } },
    { method: 'password', password: 'x' },
    { method: 'password', password: null },
  ];
  const seen = new Set<string>();
  for (const credential of credentials) {
    const peer = { address: '192.0.2.7', port: 4711, more: 'of no business' };
    const before = [{ method: 'publickey', fingerprint: 'c' } as const];
    const asked = JSON.parse(webhookQuestion({ user: 'a', peer, checked: true, credential, before }));
    for (const name of Object.keys(asked)) seen.add(name);
    t.same(
      $defs.question.required.filter((name) => !Object.hasOwn(asked, name)),
      [],
    );
    t.same(asked.peer, { address: '192.0.2.7', port: 4711 });
    if (asked.certificate)
      t.same(asked.certificate, { keyId: 'e', serial: '18446744073709551615', caFingerprint: 'f' });
    if (asked.key) t.same(Object.keys(asked.key), Object.keys($defs.question.properties.key?.properties ?? {}));
  }
  t.same([...seen].sort(), Object.keys($defs.question.properties).sort());
});

t.test('answers', async (t) => {
  const values = { allow: true, user: 'a', permitOpen: [], permitListen: [], limits: {}, ttl: 1, reason: 'x' };
  t.match(readWebhookAnswer(JSON.stringify(values)), { ok: true });
  t.same(Object.keys($defs.answer.properties), Object.keys(values));
  t.same(Object.keys($defs.answer.properties.limits?.properties ?? {}), Object.keys(USER_KEYS.limits));
});
