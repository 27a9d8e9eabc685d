/** EXPLAIN KEY: what the server would say to a key or a certificate that is offered.
 *  Owns nothing. The offer goes the way of the server's own (auth/credentials.ts), up to the signature that is missing here. */
import type { Config } from '../shared/config.js';
import type { Identity, PublicKeyInfo } from '../shared/identity.js';
import { after } from '../shared/timer.js';
import { Credentials, type Failure } from '../worker/auth/credentials.js';
import { withAnswer } from '../worker/auth/hooked.js';
import { readPresentedKey } from '../worker/auth/presented_key.js';
import { blobType } from '../worker/auth/public_key.js';
import { revokedBy } from '../worker/auth/revoked_keys.js';
import { algorithmOf, SIGNATURE_ALGORITHMS } from '../worker/auth/signature.js';
import { explainLines, nameOf } from './explain_lines.js';
import { asked, type Condition, type Decision, no } from './explained.js';
import { keyWord } from './own_word.js';
import type { Granted } from './taken.js';

export interface KeyAsk {
  readonly username: string;
  /** IP literal of the peer. */
  readonly address: string;
  /** Wall clock. */
  readonly atMs: number;
}

/** Whose word counts. */
export interface KeyWorld {
  readonly config: Config;
  readonly granted: Granted;
}

/** `identity`: what a login by it would have. Null: refused. */
export interface ExplainedKey extends Decision {
  readonly identity: Identity | null;
}

export async function explainKey(world: KeyWorld, blob: Buffer, ask: KeyAsk): Promise<ExplainedKey> {
  const { directory } = world.granted;
  const { username, address, atMs } = ask;
  let identity: Identity | null = null;
  let isOpen = false;
  const offer = (_: string, key: PublicKeyInfo): boolean => {
    const word = keyWord(directory, key, { username, address, nowMs: atMs }, null);
    if (word.kind === 'no' && word.refusal !== undefined) throw word.refusal;
    isOpen = word.kind === 'open';
    identity = word.kind === 'yes' ? word.identity : { user: username, fingerprint: key.fingerprint };
    return word.kind !== 'no';
  };
  const attempt = { kind: 'publickey', algorithm: algorithmFor(blob), blob, signature: null } as const;
  const outcome = await credentialsFor(offer, world, address).publicKey(username, attempt, null);
  const read = readPresentedKey(blob);
  const lines = read.ok ? explainLines(directory, username, read.key, { address, nowMs: atMs }) : [];
  if (outcome.kind === 'failure') {
    const why = reasonFor(outcome, read.ok ? nameOf(read.key) : 'it', world.config);
    const isTold = outcome.code !== 'KEY_REVOKED' && lines.some((line) => line.outcome === 'refused');
    return { outcome: 'refused', code: outcome.code, conditions: isTold ? lines : [...lines, why], identity: null };
  }
  const name = read.ok ? nameOf(read.key) : 'it';
  const conditions = isOpen ? [asked('auth.webhook', `the config says nothing of ${name}`)] : lines;
  return { outcome: isOpen ? 'depends' : 'allowed', code: null, conditions, identity };
}

function reasonFor({ code, detail }: Failure, name: string, { auth }: Config): Condition {
  if (code === 'KEY_REVOKED') return no(auth.revokedKeys?.file ?? null, detail ?? code);
  return no(null, code === 'KEY_NOT_ACCEPTED' ? `no line of the user is for ${name}` : (detail ?? code));
}

/** As if a webhook had said yes, and nothing more. */
export function asAnswered(identity: Identity, { username, atMs }: KeyAsk): Identity {
  const silent = { user: null, permitOpen: null, permitListen: null, limits: {}, ttlMs: null, reason: null };
  const { fingerprint } = identity;
  const method = fingerprint === undefined ? 'password' : 'publickey';
  const step = { method, ...(fingerprint === undefined ? {} : { fingerprint }) } as const;
  return withAnswer(identity, { allow: true, ...silent }, { username, step, nowMs: atMs });
}

function credentialsFor(
  offer: (username: string, key: PublicKeyInfo) => boolean,
  { config }: KeyWorld,
  address: string,
): Credentials {
  const revoked = revokedBy(config.auth.revokedKeys);
  return new Credentials({
    hooks: {
      getAllowedAuths: () => [],
      checkAuthPassword: () => false,
      checkAuthPublicKey: offer,
    },
    revoked: () => revoked,
    peer: { address, port: 0 },
    sessionId: Buffer.alloc(0),
    hookTimeoutMs: 1_000,
    after,
    closing: new AbortController().signal,
  });
}

/** Of RSA one of its two: which makes no difference to rights. */
function algorithmFor(blob: Buffer): string {
  const type = blobType(blob) ?? '';
  return SIGNATURE_ALGORITHMS.find((name) => algorithmOf(name)?.blobType === type) ?? type;
}
