/** LOAD CONFIG: reads a config, from a file or from a program's object, and the files that it names. Owns those files and
 *  their bounds. `serve`, `check` and programs all come here: one verdict for all. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Config } from '../shared/config.js';
import { type ConfigResult, configFromObject, formatIssue, parseConfig } from '../shared/config_file.js';
import { plainOf } from '../shared/config_source.js';
import type { ConfigWorld, FileRead } from '../shared/config_value.js';
import { MAX_CONFIG_BYTES, readYaml } from '../shared/config_yaml.js';
import { errnoOf, reasonOf } from '../shared/errors.js';
import { signatureOf, UNREADABLE, type WatchedFiles } from '../shared/file_signature.js';
import { LineMemory } from '../shared/line_memory.js';
import type { Parsed } from '../shared/units.js';
import { parseAuthorizedKeys } from '../worker/auth/authorized_keys.js';
import { certificateRemarks, type HostCertificates, readHostCertificates } from '../worker/auth/host_certificates.js';
import { remarksOn } from '../worker/auth/key_options.js';
import { readRevokedKeys } from '../worker/auth/revoked_keys.js';
import { readTrustedCas } from '../worker/auth/trusted_cas.js';

/** Some hundred thousand revoked keys. The file goes to every worker. */
const MAX_KRL_BYTES = 4 * 2 ** 20;

/** Lines to print; `config` is null when something is wrong. */
export interface Loaded {
  readonly config: Config | null;
  /** What is right in one that is wrong, for who looks for more mistakes (`ConfigResult`); null where `config` is there. */
  readonly rest: Config | null;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** The config as it was written, for the constructor of a handler. */
  readonly options: object;
  /** The files that it names and that were read, as they were then. */
  readonly files: WatchedFiles;
  /** What the config file itself said; null where there is none. */
  readonly text: string | null;
}

export interface LoadRules {
  readonly hooksDecide?: boolean;
  /** Files of users' keys that a running server has read before (`ConfigWorld.passesOver`). */
  readonly inForce?: WatchedFiles;
  /** Of what is read again and again. Default: none, and every key is parsed. */
  readonly keyLines?: KeyLines | undefined;
}

/** What there is to say of a line of keys. */
interface KeyLineSaid {
  readonly isKey: boolean;
  readonly said: readonly string[];
}
export type KeyLines = LineMemory<KeyLineSaid>;

/** Reads `file` and whatever it names.
 *  @param text what the file says, where it is not to be read again */
export function loadConfig(
  file: string,
  { hooksDecide = false, inForce, keyLines }: LoadRules = {},
  text?: string,
): Loaded {
  const files = new Map<string, string>();
  const passesOver = (path: string): boolean => inForce?.has(path) === true;
  const world = { ...worldAt(dirname(file), files), hooksDecide, passesOver };
  const read = text === undefined ? readTextFile(file, { mayBePipe: true }) : { ok: true as const, value: text };
  if (!read.ok) return whole(file, read.error);
  const source = readYaml(read.value);
  const written = source.ok ? plainOf(source.root) : null;
  // As a write leaves it that was cut off. Whoever wants nothing but defaults writes one of them down.
  if (source.ok && isEmpty(written)) return whole(file, 'has no key at all');
  const options = typeof written === 'object' && written !== null ? written : {};
  return toLoaded(parseConfig(read.value, file, world), { options, files, text: read.value }, keyLines);
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** What is wrong with a file as a whole. */
function whole(file: string, wrong: string): Loaded {
  const issue = { file, at: { line: 1, column: 1 }, key: 'file', message: `${wrong}, allowed: a YAML file` };
  const errors = [formatIssue(issue)];
  return { config: null, rest: null, errors, warnings: [], options: {}, files: new Map(), text: null };
}

/** A config from a program's object, with paths that start at the working folder. */
export function loadObject(
  options: object,
  name: string,
  { hooksDecide = false, keyLines }: Pick<LoadRules, 'hooksDecide' | 'keyLines'> = {},
): Loaded {
  const files = new Map<string, string>();
  const result = configFromObject(options, name, { ...worldAt('.', files), hooksDecide });
  return toLoaded(result, { options, files, text: null }, keyLines);
}

/** Where a server of this config file has its admin API, and what that asks for: of the rest of the file nothing is read. */
export function loadAdmin(
  file: string,
):
  | ({ readonly ok: true } & Pick<Config, 'admin' | 'stateDir'>)
  | { readonly ok: false; readonly errors: readonly string[] } {
  const read = readTextFile(file, { mayBePipe: true });
  if (!read.ok) return { ok: false, errors: [`${file}: ${read.error}`] };
  const source = readYaml(read.value);
  if (!source.ok) return { ok: false, errors: source.problems.map(({ message }) => `${file}: ${message}`) };
  const { admin, stateDir }: { readonly admin?: unknown; readonly stateDir?: unknown } = Object(plainOf(source.root));
  const result = configFromObject({ admin, stateDir }, file, worldAt(dirname(file), new Map()));
  if (!result.ok) return { ok: false, errors: result.errors.map(formatIssue) };
  return { ok: true, admin: result.config.admin, stateDir: result.config.stateDir };
}

/** A program has an admin API where its options say so: it did not ask for a socket in its stateDir, and several of its servers may
 *  share one. */
export function withoutAdmin(loaded: Loaded, options: object): Loaded {
  const { config } = loaded;
  if (config === null || ('admin' in options && options.admin !== undefined)) return loaded;
  return { ...loaded, config: { ...config, admin: { ...config.admin, enabled: false } } };
}

/** What the group and all others may do; for a secret nothing, as with host keys. */
const OTHERS_MAY = 0o077n;

/** Not of the file, but of what it lies on. */
const PASSING: readonly string[] = ['EIO', 'ESTALE', 'ETIMEDOUT', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];

interface ReadOptions {
  readonly isSecret?: boolean;
  /** The config itself may come from `<(…)`. Whatever it names must be a regular file: to open a pipe that nobody writes to waits
   *  for ever, and with it whoever reads, which is the primary. Default false. */
  readonly mayBePipe?: boolean;
  readonly files?: Map<string, string> | undefined;
}

/** The text of a file of at most 1 MiB, in UTF-8; `error` completes the sentence "FILE …". Refuses a file that anybody on
 *  the machine may write: whoever writes keys or config decides who gets in; and of secrets those that others may read.
 *  @param files gets how it looked when it was read */
export function readTextFile(path: string, options: ReadOptions = {}): FileRead {
  const bytes = readFileBytes(path, MAX_CONFIG_BYTES, options);
  return bytes.ok ? decode(bytes.value) : bytes;
}

/** The same for a file that may be binary. */
function readFileBytes(
  path: string,
  maxBytes: number,
  { isSecret = false, mayBePipe = false, files }: ReadOptions,
): Parsed<Buffer> & { readonly isPassing?: boolean } {
  // Of a file that is read twice for one config the first look counts: if it has changed in between, that is seen.
  const seen = files?.has(path) === true ? undefined : files;
  seen?.set(path, UNREADABLE);
  try {
    const fd = openSync(path, mayBePipe ? 'r' : constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = fstatSync(fd, { bigint: true });
      // Before it is read: what is written while it is read will be seen to have changed.
      seen?.set(path, signatureOf(status));
      if (status.isDirectory()) return { ok: false, error: 'is a folder' };
      if (!status.isFile() && !mayBePipe) return { ok: false, error: 'is no regular file' };
      if (status.isFile() && process.platform !== 'win32' && (status.mode & 0o002n) !== 0n)
        return { ok: false, error: 'may be written by everybody on this machine: chmod o-w it' };
      if (isSecret && status.isFile() && process.platform !== 'win32' && (status.mode & OTHERS_MAY) !== 0n)
        return { ok: false, error: `may be read by others (mode ${(status.mode & 0o777n).toString(8)}): chmod 600 it` };
      const bytes = readAtMost(fd, maxBytes + 1);
      return bytes.length > maxBytes
        ? { ok: false, error: `is larger than ${maxBytes / 2 ** 20}MiB` }
        : { ok: true, value: bytes };
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    return { ok: false, error: whyUnreadable(thrown), isPassing: PASSING.includes(errnoOf(thrown) ?? '') };
  }
}

function decode(bytes: Buffer): Parsed<string> {
  try {
    return { ok: true, value: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { ok: false, error: 'is not UTF-8 text' };
  }
}

/** Bounded whatever the file is: a pipe has no size, and /dev/zero no end. */
function readAtMost(fd: number, limit: number): Buffer {
  const bytes = Buffer.alloc(limit);
  let length = 0;
  for (let read = -1; read !== 0 && length < limit; length += read)
    read = readSync(fd, bytes, length, limit - length, null);
  return bytes.subarray(0, length);
}

function whyUnreadable(thrown: unknown): string {
  switch (errnoOf(thrown)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'is not there';
    case 'EACCES':
      return 'may not be read';
    default:
      return `cannot be read: ${reasonOf(thrown)}`;
  }
}

/** @param files gets those that are read */
function worldAt(folder: string, files: Map<string, string>): ConfigWorld {
  return {
    parallelism: availableParallelism(),
    resolvePath: (path) => resolve(folder, path),
    readFile: (path, options) => readTextFile(path, { ...options, files }),
    readBytes: (path) => readFileBytes(path, MAX_KRL_BYTES, { files }),
  };
}

function toLoaded(
  result: ConfigResult,
  source: Pick<Loaded, 'options' | 'files' | 'text'>,
  keyLines: KeyLines = new LineMemory(),
): Loaded {
  const warnings = result.warnings.map((issue) => formatIssue({ ...issue, message: `warning: ${issue.message}` }));
  const { errors = [], rest = null } = result.ok ? {} : result;
  const read = result.ok ? result.config : rest;
  const certificates = readHostCertificates(read?.hostCertificates ?? []);
  const inFiles = read === null ? [] : [...trustErrors(read.auth), ...certificateErrors(certificates)];
  if (!result.ok || inFiles.length > 0)
    return { config: null, rest: read, errors: [...errors.map(formatIssue), ...inFiles], warnings, ...source };
  return {
    config: result.config,
    rest: null,
    errors: [],
    warnings: [...warnings, ...keyWarnings(result.config, keyLines), ...certificateWarnings(certificates)],
    ...source,
  };
}

/** CAs and revocations are taken whole or not at all: what is passed over there would lock out, or let in. */
function trustErrors(auth: Config['auth']): readonly string[] {
  const { problems } = readTrustedCas(auth.trustedUserCAKeys);
  const errors = problems.map(({ file, line, why }) => `${file}:${line}:1: auth.trustedUserCAKeys: ${why}`);
  if (auth.revokedKeys === null) return errors;
  const { file, base64 } = auth.revokedKeys;
  const revoked = readRevokedKeys(Buffer.from(base64, 'base64'));
  return revoked.ok ? errors : [...errors, `${file}:${revoked.line}:1: auth.revokedKeys: ${revoked.why}`];
}

function certificateErrors({ problems }: HostCertificates): readonly string[] {
  return problems.map(({ file, line, why }) => `${file}:${line}:1: hostCertificates: ${why}`);
}

function certificateWarnings({ certificates }: HostCertificates): readonly string[] {
  return certificates.flatMap((certificate) =>
    certificateRemarks(certificate, Date.now()).map(
      (remark) => `${certificate.file}:1:1: hostCertificates: warning: ${remark}`,
    ),
  );
}

/** Keys that will not open anything: told here, since a worker that tells it tells it once per worker. */
function keyWarnings(config: Config, keyLines: KeyLines): readonly string[] {
  keyLines.turn();
  const lines = config.users.flatMap(({ name, authorizedKeys, password }) => {
    const key = `users.${name}.authorizedKeys`;
    const warnings: string[] = [];
    let keys = 0;
    for (const { text, file, line } of authorizedKeys) {
      const { isKey, said } = keyLines.recall(text, lookAt);
      if (isKey) keys++;
      for (const why of said) warnings.push(`${file}:${line}:1: ${key}: warning: ${why}`);
    }
    const first = authorizedKeys[0];
    // With a handler it is the handler that says who can.
    const byCertificate = config.auth.trustedUserCAKeys.length > 0;
    if (config.handler === null && first !== undefined && keys === 0 && password === null && !byCertificate)
      warnings.push(`${first.file}:${first.line}:1: ${key}: warning: no key that can be used is left: cannot log in`);
    return warnings;
  });
  return [...new Set(lines)];
}

function lookAt(text: string): KeyLineSaid {
  const { keys, problems } = parseAuthorizedKeys([{ text, file: '', line: 0 }]);
  const said = [...problems.map(({ why }) => why), ...keys.flatMap(({ options }) => remarksOn(options))];
  return { isKey: keys.length > 0, said };
}
