/** KRL: reads OpenSSH's binary list of revoked keys (PROTOCOL.krl, as `ssh-keygen -k` writes it) and answers what it revokes.
 *  Owns the list. Strict: a section, an option or a number that is not understood refuses the whole file, since what it
 *  revokes would go on being accepted. Never throws. */
import { createHash } from 'node:crypto';
import { WireReader } from '../../shared/protocol.js';
import type { Certificate } from './certificate.js';
import { isCertificateType } from './certificate_type.js';
import { blobType, parsePublicKey } from './public_key.js';
import { Serials } from './serials.js';

/** What a certificate was revoked by. */
export type RevokedBy = 'key' | 'CA' | 'serial' | 'key id';

/** Anything that tells revoked keys. */
export interface RevocationList {
  /** A plain key, by its blob. */
  hasKey(keyBlob: Buffer): boolean;
  /** The certificate itself, the key in it, or the CA that issued it. */
  revokes(certificate: Certificate): RevokedBy | null;
}

export type ParsedKrl =
  | { readonly ok: true; readonly krl: RevocationList }
  /** `why` completes the sentence "FILE …". */
  | { readonly ok: false; readonly why: string };

const MAGIC = Buffer.from('SSHKRL\n\0', 'latin1');
const FORMAT_VERSION = 1;

const SECTION = { CERTIFICATES: 1, KEYS: 2, SHA1: 3, SIGNATURE: 4, SHA256: 5, EXTENSION: 255 } as const;
const CERT_SECTION = { SERIALS: 0x20, RANGE: 0x21, BITMAP: 0x22, KEY_ID: 0x23, EXTENSION: 0x39 } as const;

export function isKrl(bytes: Buffer): boolean {
  return bytes.subarray(0, MAGIC.length).equals(MAGIC);
}

export function parseKrl(bytes: Buffer): ParsedKrl {
  try {
    return { ok: true, krl: readKrl(bytes) };
  } catch (thrown) {
    if (thrown instanceof Broken) return { ok: false, why: thrown.message };
    throw thrown;
  }
}

/** Thrown and caught in this file alone: sections lie four deep. */
class Broken extends Error {}

function broken(why: string): never {
  throw new Broken(why);
}

function readKrl(bytes: Buffer): Krl {
  if (!isKrl(bytes)) broken('is no OpenSSH KRL');
  const reader = new WireReader(bytes, MAGIC.length);
  const version = reader.uint32();
  if (!reader.ok) broken('is cut short in its header');
  if (version !== FORMAT_VERSION) broken(`is a KRL of format ${version}; only format ${FORMAT_VERSION} is known`);
  reader.uint64(); // its own version
  reader.uint64(); // when it was made
  reader.uint64(); // flags: none is defined, and OpenSSH does not look either
  reader.bytes(); // reserved
  reader.bytes(); // comment
  if (!reader.ok) broken('is cut short in its header');
  const krl = new Krl();
  while (reader.left > 0) {
    const at = reader.offset;
    const type = reader.byte();
    const section = reader.bytes();
    if (!reader.ok) broken(`is cut short in the section at byte ${at}`);
    readSection(krl, type, section, `section at byte ${at}`);
  }
  return krl.sealed();
}

function readSection(krl: Krl, type: number, section: Buffer, where: string): void {
  switch (type) {
    case SECTION.CERTIFICATES:
      readCertificates(krl, section, where);
      return;
    case SECTION.KEYS:
      for (const blob of stringsIn(section, where)) krl.keys.add(keyIn(blob, where));
      return;
    case SECTION.SHA1:
      for (const hash of hashesIn(section, 20, where)) krl.sha1s.add(hash);
      return;
    case SECTION.SHA256:
      for (const hash of hashesIn(section, 32, where)) krl.sha256s.add(hash);
      return;
    case SECTION.SIGNATURE:
      // As OpenSSH since 9.4: nobody says by whose key it would have to be signed.
      return broken(`has a signature (${where}); signed KRLs are not supported`);
    case SECTION.EXTENSION:
      readExtension(section, where);
      return;
    default:
      broken(`has a section of unknown type ${type} (${where})`);
  }
}

function readCertificates(krl: Krl, section: Buffer, where: string): void {
  const reader = new WireReader(section);
  const caBlob = reader.bytes();
  reader.bytes(); // reserved
  if (!reader.ok) broken(`is cut short in the ${where}`);
  const issued = krl.issuedBy(caBlob.length === 0 ? ANY_CA : keyIn(caBlob, where));
  while (reader.left > 0) {
    const type = reader.byte();
    const part = reader.bytes();
    if (!reader.ok) broken(`is cut short in the ${where}`);
    readCertificatePart(issued, type, part, where);
  }
}

function readCertificatePart(issued: Issued, type: number, part: Buffer, where: string): void {
  const reader = new WireReader(part);
  switch (type) {
    case CERT_SECTION.SERIALS:
      while (reader.left > 0) {
        const serial = reader.uint64();
        if (reader.ok) addRange(issued, serial, serial, where);
      }
      break;
    case CERT_SECTION.RANGE: {
      const first = reader.uint64();
      const last = reader.uint64();
      if (reader.ok) addRange(issued, first, last, where);
      break;
    }
    case CERT_SECTION.BITMAP: {
      const offset = reader.uint64();
      const bits = reader.bytes();
      if (reader.ok && !issued.serials.addBitmap(offset, bits)) broken(`has a bitmap that is none (${where})`);
      break;
    }
    case CERT_SECTION.KEY_ID:
      while (reader.left > 0) {
        const keyId = reader.bytes();
        if (keyId.includes(0)) broken(`has a key id with a NUL (${where})`);
        if (reader.ok) issued.keyIds.add(keyId.toString('latin1'));
      }
      break;
    case CERT_SECTION.EXTENSION:
      readExtension(part, where);
      return;
    default:
      broken(`has a certificate section of unknown type ${type} (${where})`);
  }
  if (!reader.atEnd) broken(`is cut short or has bytes too many in the ${where}`);
}

/** Serial 0 is "not numbered": OpenSSH takes no range that begins there, and neither do we. */
function addRange(issued: Issued, first: bigint, last: bigint, where: string): void {
  if (!issued.serials.addRange(first, last))
    broken(`has serials from ${first} to ${last}, which is no range (${where})`);
}

/** One that is critical may change what the rest means; any other may be passed over. */
function readExtension(extension: Buffer, where: string): void {
  const reader = new WireReader(extension);
  reader.bytes(); // its name
  const isCritical = reader.boolean();
  reader.bytes();
  if (!reader.atEnd) broken(`has an extension that cannot be read (${where})`);
  if (isCritical) broken(`has a critical extension, and none is known (${where})`);
}

function* stringsIn(section: Buffer, where: string): Generator<Buffer> {
  const reader = new WireReader(section);
  while (reader.left > 0) {
    const bytes = reader.bytes();
    if (!reader.ok) broken(`is cut short in the ${where}`);
    yield bytes;
  }
}

function* hashesIn(section: Buffer, length: number, where: string): Generator<string> {
  for (const hash of stringsIn(section, where)) {
    if (hash.length !== length) broken(`has a hash of ${hash.length} bytes in place of ${length} (${where})`);
    yield hash.toString('latin1');
  }
}

/** Blobs are compared as bytes: one of a known kind that is spelled as nobody spells it would never be met, and so revoke
 *  nothing. Kinds that we do not take (DSA, short RSA) cannot log in anyway. */
function keyIn(blob: Buffer, where: string): string {
  if (isCertificateType(blobType(blob) ?? '')) broken(`has a certificate where a plain key belongs (${where})`);
  const parsed = parsePublicKey(blob);
  if (!parsed.ok && parsed.code === 'MALFORMED') broken(`has a key that cannot be read (${where}): ${parsed.why}`);
  return blob.toString('latin1');
}

const ANY_CA = '';

/** What is revoked of the certificates of one CA, or of all. */
interface Issued {
  readonly serials: Serials;
  readonly keyIds: Set<string>;
}

class Krl implements RevocationList {
  /** Blobs and hashes as latin1 text, by which a Set finds them. */
  readonly keys = new Set<string>();
  readonly sha1s = new Set<string>();
  readonly sha256s = new Set<string>();
  /** By the CA's blob. */
  readonly #issued = new Map<string, Issued>();

  issuedBy(ca: string): Issued {
    const known = this.#issued.get(ca);
    if (known !== undefined) return known;
    const issued: Issued = { serials: new Serials(), keyIds: new Set() };
    this.#issued.set(ca, issued);
    return issued;
  }

  sealed(): this {
    for (const { serials } of this.#issued.values()) serials.seal();
    return this;
  }

  hasKey(keyBlob: Buffer): boolean {
    if (this.keys.has(keyBlob.toString('latin1'))) return true;
    const hashed = (set: Set<string>, hash: string): boolean =>
      set.size > 0 && set.has(createHash(hash).update(keyBlob).digest().toString('latin1'));
    return hashed(this.sha256s, 'sha256') || hashed(this.sha1s, 'sha1');
  }

  revokes(certificate: Certificate): RevokedBy | null {
    const { keyBlob, caBlob, keyId, serial } = certificate;
    if (this.hasKey(keyBlob)) return 'key';
    if (this.hasKey(caBlob)) return 'CA';
    for (const ca of [caBlob.toString('latin1'), ANY_CA]) {
      const issued = this.#issued.get(ca);
      if (issued?.keyIds.has(keyId.toString('latin1'))) return 'key id';
      if (issued?.serials.has(serial)) return 'serial';
    }
    return null;
  }
}
