/** CHECK: says whether `serve` would take this config, and everything that is wrong with it. Changes nothing on disk.
 *  The list of errors is what was asked for, so it goes to stdout; warnings and remarks go to stderr. */

import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadHandler } from '../library/handler.js';
import { hookMistakes } from '../library/hook_names.js';
import { readTextFile } from '../library/load_config.js';
import { existingHostKeys, loadHostKeys } from '../master/host_keys.js';
import type { Config } from '../shared/config.js';
import { type ConfigIssue, formatIssue } from '../shared/config_file.js';
import { type Entry, type Located, type Place, readYaml } from '../shared/config_source.js';
import { reasonOf } from '../shared/errors.js';
import { CONFIG_PLACES, findConfig, loadWith, type ServeOptions } from './options.js';

export type CheckOptions = Pick<ServeOptions, 'config' | 'handler'>;

/** @returns the exit code: 0 good, 2 bad */
export async function check(options: CheckOptions): Promise<number> {
  const file = findConfig(options.config);
  if (file === null && options.handler === undefined) {
    process.stdout.write(`no config file (${CONFIG_PLACES.join(', ')}): serve would use the quick start\n`);
    return 0;
  }
  const loaded = loadWith(file, options);
  const { config, errors, warnings } = loaded;
  const name = file ?? 'config';
  const all = config === null ? errors : await laterErrors(name, loaded.options, config, options);
  for (const line of warnings) process.stderr.write(`${line}\n`);
  for (const line of all) process.stdout.write(`${line}\n`);
  if (config === null || all.length > 0) return 2;
  process.stdout.write(`${name}: good: ${summary(config)}\n`);
  return 0;
}

/** What only a start would find: what the files hold that the config names. */
async function laterErrors(
  name: string,
  written: object,
  config: Config,
  options: CheckOptions,
): Promise<readonly string[]> {
  const keys = await hostKeyErrors(name, config);
  const handler = config.handler === null ? null : await handlerError(config.handler, written);
  if (handler === null) return keys.map(formatIssue);
  const typed = options.handler !== undefined;
  const place = typed
    ? { file: 'command line', at: null }
    : { file: name, at: placeOf(name, (entry) => (entry.name === 'handler' ? entry.value : undefined)) };
  return [...keys, { ...place, key: 'handler', message: handler }].map(formatIssue);
}

/** Loads the module and makes its server, as each worker would; null when that works. */
async function handlerError(file: string, written: object): Promise<string | null> {
  const late = new Promise<string>((resolve) => {
    // Not unref'ed: without it Node ends, with nothing said, where a module waits for nothing that will come.
    setTimeout(() => resolve(`${file}: has not loaded after ${HANDLER_LOAD_MS / 1000} s`), HANDLER_LOAD_MS);
  });
  const loading = loadHandler(pathToFileURL(file).href, written).then((server) => {
    const { errors, warnings } = hookMistakes(server);
    for (const text of warnings) process.stderr.write(`${file}: warning: ${text}\n`);
    return errors.length === 0 ? null : `${file}: ${errors.join('; ')}`;
  }, reasonOf);
  return Promise.race([loading, late]);
}

/** Half of what a worker gets to become ready. */
const HANDLER_LOAD_MS = 10_000;

function summary(config: Config): string {
  if (config.handler !== null) return `decides by ${config.handler}, ${where(config)}`;
  const users = `${config.users.length} ${config.users.length === 1 ? 'user' : 'users'}`;
  return `${users}, ${where(config)}`;
}

function where(config: Config): string {
  const workers = `${config.workers} ${config.workers === 1 ? 'worker' : 'workers'}`;
  return `${workers}, listens on ${config.listen.join(', ')}`;
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
  const at = placeOf(file, ({ name, value }) =>
    name === 'hostKeys' && value.type === 'list' ? value.items[index] : undefined,
  );
  return { at, key: `hostKeys[${index}]` };
}

/** Read once more: the Config has no places, and a good one needs none. */
function placeOf(file: string, find: (entry: Entry) => Located | undefined): Place {
  const text = readTextFile(file);
  const source = text.ok ? readYaml(text.value) : undefined;
  if (source?.ok !== true || source.root.type !== 'map') return null;
  for (const entry of source.root.entries) {
    const found = find(entry);
    if (found !== undefined) return found.at;
  }
  return null;
}
