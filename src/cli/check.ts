/** CHECK: says whether `serve` would take this config, and everything that is wrong with it. Changes nothing on disk.
 *  The list of errors is what was asked for, so it goes to stdout; warnings and remarks go to stderr. */

import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadConfig, readTextFile } from '../library/load_config.js';
import { existingHostKeys, loadHostKeys } from '../master/host_keys.js';
import type { Config } from '../shared/config.js';
import { type ConfigIssue, formatIssue } from '../shared/config_file.js';
import { type Place, readYaml } from '../shared/config_source.js';
import { reasonOf } from '../shared/errors.js';
import { CONFIG_PLACES, findConfig } from './options.js';

/** @returns the exit code: 0 good, 2 bad */
export async function check(named: string | undefined): Promise<number> {
  const file = findConfig(named);
  if (file === null) {
    process.stdout.write(`no config file (${CONFIG_PLACES.join(', ')}): serve would use the quick start\n`);
    return 0;
  }
  const { config, errors, warnings } = loadConfig(file);
  const all = config === null ? errors : (await hostKeyErrors(file, config)).map(formatIssue);
  for (const line of warnings) process.stderr.write(`${line}\n`);
  for (const line of all) process.stdout.write(`${line}\n`);
  if (config === null || all.length > 0) return 2;
  process.stdout.write(`${file}: good: ${summary(config)}\n`);
  return 0;
}

function summary(config: Config): string {
  const users = `${config.users.length} ${config.users.length === 1 ? 'user' : 'users'}`;
  const workers = `${config.workers} ${config.workers === 1 ? 'worker' : 'workers'}`;
  return `${users}, ${workers}, listens on ${config.listen.join(', ')}`;
}

/** Host keys read as the start reads them: those that are named, or those that stateDir holds by now. */
async function hostKeyErrors(file: string, config: Config): Promise<readonly ConfigIssue[]> {
  const blocked = blockedBy(config.stateDir);
  if (blocked !== null)
    return [{ file, at: null, key: 'stateDir', message: `${blocked} is a file, allowed: a path of folders` }];
  const issues: ConfigIssue[] = [];
  const inStateDir = config.hostKeys.length === 0;
  const paths = inStateDir ? await existingHostKeys(config.stateDir) : config.hostKeys;
  for (const [index, path] of paths.entries()) {
    try {
      await loadHostKeys([path], config.stateDir);
    } catch (thrown) {
      const message = `${reasonOf(thrown)}, allowed: a private key file that only its owner may read`;
      const place = inStateDir ? { at: null, key: 'stateDir' } : hostKeyPlace(file, index);
      issues.push({ file, ...place, message });
    }
  }
  return issues;
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

function hostKeyPlace(file: string, index: number): { readonly at: Place; readonly key: string } {
  return { at: placeOfHostKey(file, index), key: `hostKeys[${index}]` };
}

/** Read once more: the Config has no places, and a good one needs none. */
function placeOfHostKey(file: string, index: number): Place {
  const text = readTextFile(file);
  const source = text.ok ? readYaml(text.value) : undefined;
  if (source?.ok !== true || source.root.type !== 'map') return null;
  const list = source.root.entries.find(({ name }) => name === 'hostKeys')?.value;
  return list?.type === 'list' ? (list.items[index]?.at ?? null) : null;
}
