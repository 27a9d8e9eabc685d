/** HOST KEY ERRORS: what is wrong with the host keys that a config names, and their certificates, each with its place in the file.
 *  Owns nothing. For `check` and for a reload, which must not find it out halfway. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { existingHostKeys, loadHostKeys, whyUnsafe } from '../master/host_keys.js';
import { HOST_KEY_ALGORITHMS } from '../shared/algorithms.js';
import type { Config } from '../shared/config.js';
import type { ConfigIssue } from '../shared/config_file.js';
import type { Located, Place } from '../shared/config_source.js';
import { readYaml } from '../shared/config_yaml.js';
import { reasonOf } from '../shared/errors.js';
import type { HostKeyFile } from '../shared/ipc.js';
import { type HostCertificate, readHostCertificates } from '../worker/auth/host_certificates.js';
import { parseHostKeys } from '../worker/transport/host_key.js';
import { loadSsh2 } from '../worker/transport/ssh2.js';
import { readTextFile } from './load_config.js';

/** Host keys as they were when they were looked at. */
export interface CheckedHostKeys {
  readonly issues: readonly ConfigIssue[];
  /** Where there is no issue, all of them. Whoever puts the config in force takes these: the files may be others by then. */
  readonly keys: readonly HostKeyFile[];
}

/** What is wrong with the host keys of a config, also where it has other mistakes (`Loaded.rest`). */
export async function hostKeyIssues(file: string, written: object, config: Config): Promise<readonly ConfigIssue[]> {
  return namesLostKeys(written, config) ? [] : (await checkHostKeys(file, config)).issues;
}

/** Host keys are named, and what names them is wrong: those of stateDir are not meant. */
function namesLostKeys(written: { readonly hostKeys?: unknown }, { hostKeys }: Config): boolean {
  const named = written.hostKeys ?? [];
  return hostKeys.length === 0 && !(Array.isArray(named) && named.length === 0);
}

/** Read as the start reads them and parsed as a worker does: those that are named, or those that stateDir holds by now. */
export async function checkHostKeys(file: string, config: Config): Promise<CheckedHostKeys> {
  const stateDir = { file, at: placeOf(file, 'stateDir'), key: 'stateDir' };
  const blocked = blockedBy(config.stateDir);
  if (blocked !== null)
    return { issues: [{ ...stateDir, message: `${blocked} is a file, allowed: a path of folders` }], keys: [] };
  const issues: ConfigIssue[] = [];
  const keys: HostKeyFile[] = [];
  const inStateDir = config.hostKeys.length === 0;
  const { paths, wrong } = await keyPaths(config, inStateDir);
  if (wrong !== null) issues.push({ ...stateDir, message: `${wrong}, allowed: a folder of this user's alone` });
  for (const [index, path] of paths.entries()) {
    try {
      const loaded = await loadHostKeys([path], config.stateDir);
      parseHostKeys(loadSsh2(), loaded);
      keys.push(...loaded);
    } catch (thrown) {
      const message = `${reasonOf(thrown)}, allowed: a private key file that only its owner may read`;
      issues.push(inStateDir ? { ...stateDir, message } : { file, ...itemPlace(file, 'hostKeys', index), message });
    }
  }
  for (const find of [allowNone, tooMany, certificateErrors])
    if (issues.length === 0) issues.push(...find(file, config, keys));
  return { issues, keys };
}

/** Those that are named, else what stateDir holds by now. One who is not the server's user may not be let in there. */
async function keyPaths(
  { stateDir, hostKeys }: Config,
  inStateDir: boolean,
): Promise<{ readonly paths: readonly string[]; readonly wrong: string | null }> {
  try {
    return { wrong: await whyUnsafe(stateDir), paths: inStateDir ? await existingHostKeys(stateDir) : hostKeys };
  } catch (thrown) {
    return { wrong: reasonOf(thrown), paths: inStateDir ? [] : hostKeys };
  }
}

/** Each of them is good, and they are more than clients can be told of. */
function tooMany(file: string, { algorithms }: Config, keys: readonly HostKeyFile[]): readonly ConfigIssue[] {
  if (keys.length === 0) return [];
  try {
    parseHostKeys(loadSsh2(), keys, { allowed: algorithms.hostKeys });
    return [];
  } catch (thrown) {
    const message = `${reasonOf(thrown)}, allowed: fewer keys`;
    return [{ file, at: placeOf(file, 'hostKeys'), key: 'hostKeys', message }];
  }
}

/** Certificates that are sound, and do not fit the keys. */
function certificateErrors(
  file: string,
  { hostCertificates, algorithms }: Config,
  keys: readonly HostKeyFile[],
): readonly ConfigIssue[] {
  const good: HostCertificate[] = [];
  const issues: ConfigIssue[] = [];
  for (const [index, certificate] of readHostCertificates(hostCertificates).certificates.entries()) {
    try {
      if (keys.length === 0) throw new Error(`host certificate ${certificate.file}: there are no host keys yet`);
      parseHostKeys(loadSsh2(), keys, { allowed: algorithms.hostKeys, certificates: [...good, certificate] });
      good.push(certificate);
    } catch (thrown) {
      const message = `${reasonOf(thrown)}, allowed: one certificate for each host key`;
      issues.push({ file, ...itemPlace(file, 'hostCertificates', index), message });
    }
  }
  return issues;
}

/** Keys of which each is good, and none may sign. With none the two of stateDir will be made. */
function allowNone(file: string, { algorithms }: Config, keys: readonly HostKeyFile[]): readonly ConfigIssue[] {
  const made = ['ssh-ed25519', 'ecdsa-sha2-nistp256'];
  const signing = new Set(keys.flatMap((key) => parseHostKeys(loadSsh2(), [key]).algorithms));
  const known = keys.length === 0 ? made : HOST_KEY_ALGORITHMS.filter((name) => signing.has(name));
  if (algorithms.hostKeys.some((name) => known.includes(name))) return [];
  const message = `none is what the host keys sign with, allowed: at least one of ${known.join(', ')}`;
  return [{ file, at: placeOf(file, 'algorithms', 'hostKeys'), key: 'algorithms.hostKeys', message }];
}

/** The first part of a path that is there and no folder. */
function blockedBy(path: string): string | null {
  for (let at = path; ; at = dirname(at)) {
    try {
      return statSync(at).isDirectory() ? null : at;
    } catch {
      if (at === dirname(at)) return null; // nothing that can be seen is in the way
    }
  }
}

function itemPlace(file: string, key: string, index: number): { readonly at: Place; readonly key: string } {
  return { at: placeOf(file, key, index), key: `${key}[${index}]` };
}

/** Where it stands, or that of it which is written down: what is wrong with a default has the place of the section. Read once more: the
 *  Config has no places, and a good one needs none. */
export function placeOf(file: string, ...path: readonly (string | number)[]): Place {
  const text = readTextFile(file);
  const source = text.ok ? readYaml(text.value) : undefined;
  if (source?.ok !== true) return null;
  let at = source.root;
  for (const step of path) {
    const next = inside(at, step);
    if (next === undefined) break;
    at = next;
  }
  return at.at;
}

function inside(node: Located, step: string | number): Located | undefined {
  if (node.type === 'list' && typeof step === 'number') return node.items[step];
  return node.type === 'map' ? node.entries.find(({ name }) => name === step)?.value : undefined;
}
