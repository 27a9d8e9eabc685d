/** WEBHOOK: asks the login service, and makes a no of everything that is no plain yes.
 *  Owns the client, what may not reach a log, and how long answers take. */
import { randomInt } from 'node:crypto';
import { type After, after, pause } from '../../shared/timer.js';
import { LoginRefused } from './hooks.js';
import { readWebhookAnswer, type WebhookAnswer } from './webhook_answer.js';
import type { WebhookReply } from './webhook_client.js';
import { type WebhookQuestion, webhookQuestion } from './webhook_question.js';

/** What is needed of the client. */
export interface WebhookAsker {
  ask(body: string, signal: AbortSignal): Promise<WebhookReply>;
}

export interface WebhookOptions {
  readonly client: WebhookAsker;
  readonly token: string | null;
  /** Has the config a user of this name? */
  readonly isConfigured: (name: string) => boolean;
  /** Monotonic milliseconds, and a timer. Default: the real clock. */
  readonly now?: () => number;
  readonly after?: After;
}

/** In front of each detail, as where one has to look. */
const WHERE = 'auth.webhook';
/** Answers whose times are remembered. */
const RECENT = 64;

export class Webhook {
  readonly #options: WebhookOptions;
  /** How long the last answers took, in milliseconds; the oldest is overwritten. */
  readonly #tookMs: number[] = [];
  #answers = 0;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** @returns an answer that allows
   *  @throws LoginRefused WEBHOOK_DENIED (it said no), WEBHOOK_FAILED (no answer, or none that can be read), POOL_BUSY */
  async ask(question: WebhookQuestion, signal: AbortSignal): Promise<WebhookAnswer> {
    const { client, token, isConfigured, now = () => performance.now() } = this.#options;
    const startedMs = now();
    const reply = await client.ask(webhookQuestion(question), signal);
    if (!signal.aborted) this.#tookMs[this.#answers++ % RECENT] = now() - startedMs;
    if (!reply.ok) throw new LoginRefused(reply.code, `${WHERE}: ${reply.detail}`);
    const read = readWebhookAnswer(reply.text);
    const { credential } = question;
    const secrets = [token, credential.method === 'password' ? credential.password : null];
    const detail = (text: string): string =>
      `${WHERE}: ${repeatsSecret(reply.text, secrets) ? 'what it said is not shown: it repeats a secret' : text}`;
    if (!read.ok) throw new LoginRefused('WEBHOOK_FAILED', detail(read.error));
    const { allow, user, reason } = read.value;
    if (!allow) throw new LoginRefused('WEBHOOK_DENIED', detail(reason ?? 'said no, without a reason'));
    // A name of the config stands for that user's rights, ports and limits, which its owner alone may have, by the config's word.
    if (user !== null && user !== question.user && isConfigured(user))
      throw new LoginRefused(
        'WEBHOOK_FAILED',
        detail(`answered with the user ${user}, who is another one of the config`),
      );
    return read.value;
  }

  /** Takes as long as one of the last answers took, without a question: a no of the config's own must not come sooner than one
   *  of the service, or it would tell whom the config knows. Never rejects. */
  async likeAnAnswer(signal: AbortSignal): Promise<void> {
    const tookMs = this.#tookMs.length === 0 ? 0 : (this.#tookMs[randomInt(this.#tookMs.length)] ?? 0);
    await pause(tookMs, signal, this.#options.after ?? after);
  }
}

/** Is one of them anywhere in the text, however JSON spells it? */
function repeatsSecret(text: string, secrets: readonly (string | null)[]): boolean {
  const plain = canonical(text);
  return secrets.some(
    (secret) => secret !== null && (text.includes(secret) || plain.includes(JSON.stringify(secret).slice(1, -1))),
  );
}

function canonical(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}
