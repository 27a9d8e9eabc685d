/** CERTIFICATE: reads an OpenSSH certificate (PROTOCOL.certkeys) and tells whether a CA has issued it.
 *  Owns nothing. Strict and total: each field once, options in their order, no byte left over, never throws. Nothing here says
 *  that a certificate may be used: `judgeCertificate` does, once `isIssuedBy` has said yes for a CA that an operator trusts.
 *  A stranger's bytes are only cut up: the CA's key is never parsed from them, and the key inside not before the CA has
 *  vouched for it. */
import { isUtf8 } from 'node:buffer';
import { safeText } from '../../shared/log.js';
import { concatFields, WireReader } from '../../shared/protocol.js';
import { isCertificateType, keyInside } from './certificate_type.js';
import type { PublicKey } from './public_key.js';
import { isSignedBy } from './signature.js';

/** What it says of itself. The views share the blob's memory. */
export interface Certificate {
  /** `ssh-ed25519-cert-v01@openssh.com`, … */
  readonly type: string;
  /** The key that it is for, as a blob of its own: what fingerprints and revocations are about. */
  readonly keyBlob: Buffer;
  readonly serial: bigint;
  /** 1 for users, 2 for hosts. */
  readonly kind: number;
  /** Whatever text the CA has chosen. For the log `keyIdOf`. */
  readonly keyId: Buffer;
  readonly principals: readonly string[];
  /** Seconds since 1970; valid from the first until just before the second. */
  readonly validAfterS: bigint;
  readonly validBeforeS: bigint;
  /** By name. */
  readonly criticalOptions: ReadonlyMap<string, Buffer>;
  readonly extensions: ReadonlyMap<string, Buffer>;
  readonly caBlob: Buffer;
  /** Everything before the signature. */
  readonly signedPart: Buffer;
  readonly signature: Buffer;
}

export type ReadCertificate =
  | { readonly ok: true; readonly certificate: Certificate }
  /** `why` is short and holds none of the blob's bytes. */
  | { readonly ok: false; readonly code: 'MALFORMED' | 'UNSUPPORTED_KEY'; readonly why: string };

/** OpenSSH's SSHKEY_CERT_MAX_PRINCIPALS. */
const MAX_PRINCIPALS = 256;

export function readCertificate(blob: Buffer): ReadCertificate {
  const reader = new WireReader(blob);
  const type = reader.bytes().toString('latin1');
  const inside = keyInside(type);
  if (inside === null) return { ok: false, code: 'UNSUPPORTED_KEY', why: 'no type of certificate that is taken' };
  reader.bytes(); // nonce: there so that the CA signs nothing that a peer has chosen alone
  const keyStart = reader.offset;
  for (let field = 0; field < inside.fields; field += 1) reader.bytes();
  const keyFields = blob.subarray(keyStart, reader.offset);
  const serial = reader.uint64();
  const kind = reader.uint32();
  const keyId = reader.bytes();
  const principals = readPrincipals(reader.bytes());
  const validAfterS = reader.uint64();
  const validBeforeS = reader.uint64();
  const criticalOptions = readOptions(reader.bytes());
  const extensions = readOptions(reader.bytes());
  reader.bytes(); // reserved
  const caBlob = reader.bytes();
  const signedPart = blob.subarray(0, reader.offset);
  const signature = reader.bytes();
  if (!reader.atEnd) return malformed('the certificate is cut short or has bytes behind it');
  if (keyId.includes(0)) return malformed('the key id has a NUL');
  if (principals === null) return malformed('the list of principals cannot be read');
  if (criticalOptions === null) return malformed('the critical options cannot be read or are out of order');
  if (extensions === null) return malformed('the extensions cannot be read or are out of order');
  // "Chained certificates are NOT supported" (PROTOCOL.certkeys).
  const caType = new WireReader(caBlob).bytes().toString('latin1');
  if (isCertificateType(caType)) return malformed('the CA is a certificate itself');
  const keyBlob = concatFields([inside.type, { raw: keyFields }]);
  const times = { validAfterS, validBeforeS };
  const options = { criticalOptions, extensions };
  return {
    ok: true,
    certificate: {
      type,
      keyBlob,
      serial,
      kind,
      keyId,
      principals,
      ...times,
      ...options,
      caBlob,
      signedPart,
      signature,
    },
  };
}

/** Did this CA sign it? By SHA-2 or better: a CA's SHA-1 signature is none.
 *  @param ca parsed from what the operator has written down; `caBlob` is of the same bytes */
export function isIssuedBy(certificate: Certificate, ca: PublicKey): boolean {
  return isSignedBy(ca, certificate.signedPart, certificate.signature);
}

/** The key id for one line of a log. */
export function keyIdOf({ keyId }: Certificate): string {
  return safeText(keyId.toString('utf8'));
}

/** Null where one is no text: nobody has such a name, and bytes that are not UTF-8 must not turn into somebody's. */
function readPrincipals(list: Buffer): readonly string[] | null {
  const reader = new WireReader(list);
  const principals: string[] = [];
  while (reader.left > 0) {
    const principal = reader.bytes();
    if (!isUtf8(principal) || principal.includes(0) || principals.length === MAX_PRINCIPALS) return null;
    principals.push(principal.toString('utf8'));
  }
  return reader.ok ? principals : null;
}

/** "Options must be lexically ordered by name. Each named option may only appear once." OpenSSH does not look; a
 *  certificate that says two things is refused here, as by Go. */
function readOptions(list: Buffer): ReadonlyMap<string, Buffer> | null {
  const reader = new WireReader(list);
  const options = new Map<string, Buffer>();
  let last: Buffer | null = null;
  while (reader.left > 0) {
    const name = reader.bytes();
    const data = reader.bytes();
    if (!reader.ok || name.includes(0) || (last !== null && Buffer.compare(last, name) >= 0)) return null;
    options.set(name.toString('latin1'), data);
    last = name;
  }
  return reader.ok ? options : null;
}

function malformed(why: string): ReadCertificate {
  return { ok: false, code: 'MALFORMED', why };
}
