/** CHECK: says whether `serve` would take this config, and everything that is wrong with it. Changes nothing on disk.
 *  The list of errors is what was asked for, so it goes to stdout; warnings and remarks go to stderr, but for --json. */

import { pathToFileURL } from 'node:url';
import { loadHandler } from '../library/handler.js';
import { hookMistakes, unheardKeys } from '../library/hook_names.js';
import { hostKeyIssues, placeOf } from '../library/host_key_errors.js';
import { SERVED } from '../library/served.js';
import { whyNotOpened } from '../master/audit.js';
import type { Config } from '../shared/config.js';
import { type ConfigIssue, formatIssue } from '../shared/config_file.js';
import { reasonOf } from '../shared/errors.js';
import { safeJson } from '../shared/text.js';
import { CONFIG_PLACES, findConfig, loadWith, type ServeOptions } from './options.js';

export interface CheckOptions extends Pick<ServeOptions, 'config' | 'handler'> {
  readonly json?: boolean;
}

/** What --json prints. */
interface Checked {
  /** Null: there is none. */
  readonly config: string | null;
  readonly good: boolean;
  /** Each as `FILE:LINE:COLUMN: KEY: what is wrong`. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** What would be served; null where it is not good. */
  readonly summary: string | null;
}

/** @returns the exit code: 0 good, 2 bad */
export async function check(options: CheckOptions): Promise<number> {
  const checked = await look(options);
  if (options.json === true) process.stdout.write(`${safeJson(checked)}\n`);
  else print(checked);
  return checked.good ? 0 : 2;
}

async function look(options: CheckOptions): Promise<Checked> {
  const file = findConfig(options.config);
  if (file === null && options.handler === undefined) {
    const summary = `no config file (${CONFIG_PLACES.join(', ')}): serve would use the quick start`;
    return { config: null, good: true, errors: [], warnings: [], summary };
  }
  const { config, rest, errors, warnings: said, options: written } = loadWith(file, options);
  const warnings = [...said];
  const name = file ?? 'config';
  const read = config ?? rest;
  // Also behind other mistakes: who mends those would else meet the next ones.
  const all = read === null ? errors : [...errors, ...(await laterErrors(name, written, read, options, warnings))];
  const good = config !== null && all.length === 0;
  return { config: file, good, errors: all, warnings, summary: good ? `${name}: good: ${summary(config)}` : null };
}

function print({ errors, warnings, summary }: Checked): void {
  for (const line of warnings) process.stderr.write(`${line}\n`);
  for (const line of errors) process.stdout.write(`${line}\n`);
  if (summary !== null) process.stdout.write(`${summary}\n`);
}

/** What only a start would find: what the files hold that the config names.
 *  @param warnings takes those of the handler */
async function laterErrors(
  name: string,
  written: object,
  config: Config,
  options: CheckOptions,
  warnings: string[],
): Promise<readonly string[]> {
  const files = [...(await hostKeyIssues(name, written, config)), ...(await auditIssues(name, config))];
  const handler = config.handler === null ? null : await handlerError(config.handler, config, written, warnings);
  if (handler === null) return files.map(formatIssue);
  const typed = options.handler !== undefined;
  const place = typed ? { file: 'command line', at: null } : { file: name, at: placeOf(name, 'handler') };
  return [...files, { ...place, key: 'handler', message: handler }].map(formatIssue);
}

async function auditIssues(name: string, { log, stateDir }: Config): Promise<readonly ConfigIssue[]> {
  const wrong = log.audit === null ? null : await whyNotOpened(log.audit, stateDir);
  if (wrong === null) return [];
  const message = `${wrong}, allowed: a file in a folder that exists`;
  return [{ file: name, at: placeOf(name, 'log', 'audit'), key: 'log.audit', message }];
}

/** Loads the module and makes its server, as each worker would; null when that works. */
async function handlerError(file: string, config: Config, written: object, warnings: string[]): Promise<string | null> {
  const late = new Promise<string>((resolve) => {
    // Not unref'ed: without it Node ends, with nothing said, where a module waits for nothing that will come.
    setTimeout(() => resolve(`${file}: has not loaded after ${HANDLER_LOAD_MS / 1000} s`), HANDLER_LOAD_MS);
  });
  const loading = loadHandler(pathToFileURL(file).href, written).then((server) => {
    const found = hookMistakes(server);
    warnings.push(...found.warnings.map((text) => `${file}: warning: ${text}`));
    const mistakes = [...found.errors, ...unheardKeys(server[SERVED].hooksDecide, config)];
    return mistakes.length === 0 ? null : `${file}: ${mistakes.join('; ')}`;
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
  return `${workers}, listens on ${config.listen.map(({ address }) => address).join(', ')}`;
}
