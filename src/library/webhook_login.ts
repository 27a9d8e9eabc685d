/** WEBHOOK LOGIN: a login as the config and its webhook decide it together (DECISIONS 66).
 *  Owns the client of the config that is in force: its connections outlive a reload that does not change where they lead. */
import type { Config } from '../shared/config.js';
import { TunnelError } from '../shared/errors.js';
import type { Identity, Peer, PublicKeyInfo } from '../shared/identity.js';
import { parseWebhookUrl } from '../shared/webhook_url.js';
import { hookedOf, withAnswer } from '../worker/auth/hooked.js';
import type { LoginAnswer } from '../worker/auth/hooks.js';
import { factsOf, readPresentedKey } from '../worker/auth/presented_key.js';
import type { Webhook } from '../worker/auth/webhook.js';
import { WebhookClient } from '../worker/auth/webhook_client.js';
import type { WebhookCertificate, WebhookCredential } from '../worker/auth/webhook_question.js';
import type { OwnWord } from './own_word.js';

export interface LoginTry {
  readonly username: string;
  readonly peer: Peer;
  readonly credential: WebhookCredential;
  readonly soFar: Identity | null;
}

/** @throws LoginRefused the config's, or the webhook's */
export async function askWebhook(
  webhook: Webhook,
  own: OwnWord,
  { username, peer, credential, soFar }: LoginTry,
  signal: AbortSignal,
): Promise<LoginAnswer> {
  if (own.kind === 'no') {
    await webhook.likeAnAnswer(signal);
    if (own.refusal !== undefined) throw own.refusal;
    return false;
  }
  const isOffer = credential.method === 'publickey' && !credential.key.verified;
  // What the config knows needs no question before it has signed.
  if (isOffer && own.kind === 'yes') return own.identity;
  const before = hookedOf(soFar)?.steps ?? [];
  const answer = await webhook.ask({ user: username, peer, checked: own.kind === 'yes', credential, before }, signal);
  if (isOffer) return true; // which logs nobody in
  const proof = credential.method === 'publickey' ? { fingerprint: credential.key.fingerprint } : {};
  const identity = own.kind === 'yes' ? own.identity : { ...(soFar ?? { user: username }), ...proof };
  return withAnswer(identity, answer, { username, step: { method: credential.method, ...proof }, nowMs: Date.now() });
}

/** What it is told of the certificate that a key came in. */
export function webhookCertificate({ certificate }: PublicKeyInfo): WebhookCertificate | null {
  const read = certificate === undefined ? null : readPresentedKey(certificate);
  const facts = read?.ok === true ? factsOf(read.key) : undefined;
  if (facts === undefined) return null;
  return { keyId: facts.keyId, serial: BigInt(facts.serial), caFingerprint: facts.ca };
}

type Settings = Config['auth']['webhook'];

export class WebhookClients {
  #settings = '';
  #client: WebhookClient | null = null;

  /** The client for these settings; null where there is no webhook. */
  for(settings: Settings): WebhookClient | null {
    const text = JSON.stringify(settings);
    if (text === this.#settings) return this.#client;
    this.#client?.retire(); // logins that began before go on with it
    this.#settings = text;
    this.#client = clientFor(settings);
    return this.#client;
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
    this.#settings = '';
  }
}

function clientFor({ url, tokenFile, timeoutMs, connections, queue }: Settings): WebhookClient | null {
  if (url === null) return null;
  const target = parseWebhookUrl(url);
  if (!target.ok) throw new TunnelError('INTERNAL', `auth.webhook.url ${target.error}`); // the config's reader takes no such one
  return new WebhookClient({
    target: target.value,
    token: tokenFile?.secret ?? null,
    timeoutMs,
    maxConnections: connections,
    maxWaiting: queue,
  });
}
