/** REQUEST: what a USERAUTH_REQUEST or INFO_RESPONSE says (RFC 4252 §5, §7, §8; RFC 4256 §3.1, §3.4).
 *  Owns nothing. Reads fields, judges none but the user name's spelling; null means that the payload is malformed. */
import { isUtf8 } from 'node:buffer';
import { WireReader } from '../../shared/protocol.js';
import { isUserName } from '../../shared/text.js';

export interface AuthRequest {
  /** The bytes that were sent, to see whether they change between requests. */
  readonly userBytes: Buffer;
  /** The name, or null for one that no user can have (`isUserName`). */
  readonly username: string | null;
  readonly service: string;
  /** As sent: pass it through safeText before it is shown. */
  readonly method: string;
  readonly attempt: AuthAttempt;
}

export type AuthAttempt =
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown' }
  /** `password` is null when the request asks to change it (RFC 4252 §8), or is not UTF-8. */
  | { readonly kind: 'password'; readonly password: string | null }
  | { readonly kind: 'keyboard-interactive' }
  | {
      readonly kind: 'publickey';
      readonly algorithm: string;
      readonly blob: Buffer;
      /** Null for a query. `signedPart` is the payload up to the signature, byte for byte (RFC 4252 §7). */
      readonly signature: { readonly blob: Buffer; readonly signedPart: Buffer } | null;
    };

/** Not decoded beyond this: a name has at most 255 bytes. */
const MAX_NAME_BYTES = 255;

/** Parses a whole USERAUTH_REQUEST payload, its message number included. The views share the payload's memory. */
export function parseAuthRequest(payload: Buffer): AuthRequest | null {
  const reader = new WireReader(payload, 1);
  const userBytes = reader.bytes();
  const service = reader.bytes().toString('latin1');
  const method = reader.bytes().toString('latin1');
  if (!reader.ok) return null;
  const attempt = parseAttempt(method, reader, payload);
  if (attempt === null) return null;
  return { userBytes, username: acceptableName(userBytes), service, method, attempt };
}

/** As many answers as there were prompts, each null where it is not UTF-8; `wrong count` for any other number of them, null
 *  when malformed. */
export function parseInfoResponse(payload: Buffer, prompts: number): readonly (string | null)[] | 'wrong count' | null {
  const reader = new WireReader(payload, 1);
  const count = reader.uint32();
  if (!reader.ok) return null;
  if (count !== prompts) return 'wrong count';
  const answers = Array.from({ length: prompts }, () => utf8(reader.bytes()));
  return reader.atEnd ? answers : null;
}

function parseAttempt(method: string, reader: WireReader, payload: Buffer): AuthAttempt | null {
  switch (method) {
    case 'none':
      return reader.atEnd ? { kind: 'none' } : null;
    case 'password': {
      const change = reader.boolean();
      const password = reader.bytes();
      if (change) reader.bytes(); // the new password
      return reader.atEnd ? { kind: 'password', password: change ? null : utf8(password) } : null;
    }
    case 'keyboard-interactive':
      reader.bytes(); // language tag
      reader.bytes(); // submethods: a hint that a server may pass over
      return reader.atEnd ? { kind: 'keyboard-interactive' } : null;
    case 'publickey': {
      const signed = reader.boolean();
      const algorithm = reader.bytes().toString('latin1');
      const blob = reader.bytes();
      if (!signed) return reader.atEnd ? { kind: 'publickey', algorithm, blob, signature: null } : null;
      const signedPart = payload.subarray(0, reader.offset);
      const signature = reader.bytes();
      return reader.atEnd ? { kind: 'publickey', algorithm, blob, signature: { blob: signature, signedPart } } : null;
    }
    default:
      return { kind: 'unknown' }; // its fields are unknown too
  }
}

function acceptableName(bytes: Buffer): string | null {
  if (bytes.length > MAX_NAME_BYTES) return null;
  const name = utf8(bytes);
  return name !== null && isUserName(name) ? name : null;
}

/** Two byte strings must never mean the same text, so no replacement characters. */
function utf8(bytes: Buffer): string | null {
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}
