/** CERTIFICATES: OpenSSH certificates for the tests of auth: by hand, field by field from PROTOCOL.certkeys, so that each field can be
 *  wrong; and by the real ssh-keygen, so that both cannot be wrong in the same way. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { concatFields, WireReader } from '../../../src/shared/protocol.js';
import { mustRun } from '../../support/process.js';
import type { TestKey } from './keys.js';

export type Options = readonly (readonly [name: string, data?: string | Buffer])[];

export interface CertificateFields {
  readonly type?: string;
  readonly serial?: bigint;
  readonly kind?: number;
  readonly keyId?: string | Buffer;
  readonly principals?: readonly (string | Buffer)[];
  readonly validAfterS?: bigint;
  readonly validBeforeS?: bigint;
  readonly criticalOptions?: Options;
  readonly extensions?: Options;
  readonly caBlob?: Buffer;
  /** By default the CA's own. */
  readonly signatureOf?: (signedPart: Buffer) => Buffer;
}

export const FOREVER = 0xffff_ffff_ffff_ffffn;
export const PORT_FORWARDING: Options = [['permit-port-forwarding']];

/** A user certificate of alice, valid for ever, that permits forwards, but for what `fields` say. */
export function certify(key: TestKey, ca: TestKey, fields: CertificateFields = {}): Buffer {
  const { principals = ['alice'], criticalOptions = [], extensions = PORT_FORWARDING } = fields;
  const reader = new WireReader(key.blob);
  reader.bytes();
  const signedPart = concatFields([
    fields.type ?? `${key.type.replace(/@openssh\.com$/, '')}-cert-v01@openssh.com`,
    Buffer.alloc(32, 1),
    { raw: reader.rest() },
    { raw: uint64(fields.serial ?? 1n) },
    fields.kind ?? 1,
    fields.keyId ?? 'id',
    concatFields(principals),
    { raw: uint64(fields.validAfterS ?? 0n) },
    { raw: uint64(fields.validBeforeS ?? FOREVER) },
    optionList(criticalOptions),
    optionList(extensions),
    '',
    fields.caBlob ?? ca.blob,
  ]);
  return concatFields([{ raw: signedPart }, fields.signatureOf?.(signedPart) ?? ca.sign(signedPart)]);
}

/** As the data of an option that holds one text. */
export function textData(text: string): Buffer {
  return concatFields([text]);
}

function optionList(options: Options): Buffer {
  return concatFields(options.flatMap(([name, data = '']) => [name, data]));
}

export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** A key pair made by ssh-keygen. */
export interface KeyFile {
  readonly file: string;
  readonly line: string;
  readonly blob: Buffer;
}

export async function makeKeyFile(t: Test, dir: string, name: string, args: readonly string[]): Promise<KeyFile> {
  const file = join(dir, name);
  await mustRun(t, 'ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...args]);
  return readKeyFile(file);
}

/** `FILE.pub` of a key that no ssh-keygen can make here, such as a security key's. */
export function writeKeyFile(dir: string, name: string, { type, blob }: TestKey): KeyFile {
  const file = join(dir, name);
  writeFileSync(`${file}.pub`, `${type} ${blob.toString('base64')} ${name}\n`);
  return readKeyFile(file);
}

function readKeyFile(file: string): KeyFile {
  const line = readFileSync(`${file}.pub`, 'utf8').trim();
  return { file, line, blob: Buffer.from(line.split(' ')[1] ?? '', 'base64') };
}

/** `ssh-keygen -s CA ARGS KEY.pub`. @returns the certificate's blob, which also stands in `KEY-cert.pub` */
export async function signByKeygen(t: Test, ca: KeyFile, key: KeyFile, args: readonly string[]): Promise<Buffer> {
  await mustRun(t, 'ssh-keygen', ['-q', '-s', ca.file, ...args, `${key.file}.pub`]);
  const line = readFileSync(`${key.file}-cert.pub`, 'utf8');
  return Buffer.from(line.split(' ')[1] ?? '', 'base64');
}
