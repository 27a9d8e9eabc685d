/** OPTIONS: what the command line says about the config: which file it is, and what wins over it. Owns the places where a
 *  config is looked for. The reading itself is the library's. */

import { lstatSync } from 'node:fs';
import { type KeyLines, type Loaded, loadConfig, loadObject } from '../library/load_config.js';
import type { Config } from '../shared/config.js';
import { errnoOf } from '../shared/errors.js';
import type { WatchedFiles } from '../shared/file_signature.js';

/** Options of `serve`, as they were typed. */
export interface ServeOptions {
  readonly config?: string;
  readonly listen?: readonly string[];
  readonly workers?: string;
  readonly stateDir?: string;
  readonly handler?: string;
  readonly logLevel?: string;
  readonly takeover?: boolean;
}

/** The folder of the quick start, below the working folder. */
export const QUICK_START_STATE_DIR = './.sallyport';

/** Looked for in this order. */
export const CONFIG_PLACES = ['sallyport.yaml', '/etc/sallyport/sallyport.yaml'];

/** @returns the file to read: the one that is named, or the first that is there; null for the quick start */
export function findConfig(named: string | undefined): string | null {
  return named ?? CONFIG_PLACES.find(isThere) ?? null;
}

/** Reads the config and lays the command line over it. A handler without a config file is served with the config's
 *  defaults: the quick start is for those who have neither.
 *  `text`: what the file says, where it is not to be read again. `inForce`: the files that a running server has read.
 *  `keyLines`: its memory of their keys. */
export function loadWith(
  file: string | null,
  options: ServeOptions,
  { text, inForce, keyLines }: RunningServer = {},
): Loaded {
  const rules = { hooksDecide: options.handler !== undefined, keyLines, ...(inForce === undefined ? {} : { inForce }) };
  return withOptions(file === null ? loadObject({}, 'config', rules) : loadConfig(file, rules, text), options);
}

interface RunningServer {
  readonly text?: string | undefined;
  readonly inForce?: WatchedFiles;
  readonly keyLines?: KeyLines;
}

/** Lays the command line over a config: it wins over the file and over the quick start. */
export function withOptions(loaded: Loaded, options: ServeOptions): Loaded {
  const { listen, stateDir, handler, logLevel } = options;
  const workers = /^[0-9]{1,9}$/.test(options.workers ?? '') ? Number(options.workers) : options.workers;
  const typed = loadObject({ listen, workers, stateDir, handler, log: { level: logLevel } }, 'command line');
  const errors = [...loaded.errors, ...typed.errors];
  const { config } = loaded;
  if (config === null || typed.config === null) return { ...loaded, config: null, rest: loaded.rest ?? config, errors };
  const merged: Config = {
    ...config,
    ...(listen === undefined ? {} : { listen: typed.config.listen }),
    ...(workers === undefined ? {} : { workers: typed.config.workers }),
    ...(stateDir === undefined ? {} : { stateDir: typed.config.stateDir }),
    ...(handler === undefined ? {} : { handler: typed.config.handler }),
    ...(logLevel === undefined ? {} : { log: { ...config.log, level: typed.config.log.level } }),
  };
  return { ...loaded, config: merged, errors };
}

/** Anything but "no such file" counts as there: a config that may not be read must not lead to the quick start. */
function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (thrown) {
    return errnoOf(thrown) !== 'ENOENT' && errnoOf(thrown) !== 'ENOTDIR';
  }
}
