/** WEBHOOK QUESTION: what the login service is told of one login, as JSON.
 *  Owns the form. Pure. */
import type { AuthMethod, Peer, PublicKeyInfo } from '../../shared/identity.js';

/** Changes when an old service would misunderstand the question. New fields may come without that. */
export const WEBHOOK_VERSION = 1;

/** What the login service is asked about. */
export interface WebhookQuestion {
  /** As it was given at the login; not proven. */
  readonly user: string;
  readonly peer: Peer;
  /** True: the config knows the user's key or password, and this is it. False: the service alone decides. */
  readonly checked: boolean;
  readonly credential: WebhookCredential;
  /** The methods that have succeeded before in a row of them, the first one first. */
  readonly before: readonly WebhookStep[];
}

export type WebhookCredential =
  | { readonly method: 'publickey'; readonly key: PublicKeyInfo; readonly certificate: WebhookCertificate | null }
  /** Null: it was checked already, so it is nobody else's business. */
  | { readonly method: 'password'; readonly password: string | null };

export interface WebhookCertificate {
  readonly keyId: string;
  /** 64 bits: as a number in JSON it would lose the last ones. */
  readonly serial: bigint;
  /** `SHA256:…` of the authority's key. */
  readonly caFingerprint: string;
}

export interface WebhookStep {
  readonly method: AuthMethod;
  readonly fingerprint?: string;
}

export function webhookQuestion({ user, peer, checked, credential, before }: WebhookQuestion): string {
  return JSON.stringify({
    version: WEBHOOK_VERSION,
    user,
    peer: { address: peer.address, port: peer.port },
    method: credential.method,
    checked,
    ...aboutCredential(credential),
    before: before.map(({ method, fingerprint }) => ({ method, fingerprint })),
  });
}

function aboutCredential(credential: WebhookCredential): object {
  if (credential.method === 'password') return credential.password === null ? {} : { password: credential.password };
  const { key, certificate } = credential;
  return {
    verified: key.verified,
    key: { type: key.type, algorithm: key.algorithm, fingerprint: key.fingerprint, line: key.line },
    ...(certificate === null ? {} : { certificate: { ...certificate, serial: certificate.serial.toString() } }),
  };
}
