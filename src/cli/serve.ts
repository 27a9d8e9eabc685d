/** SERVE: from the options of the command line to a running server. Owns what is printed on stdout before the log takes
 *  over (the log goes to stderr). */

import { mkdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { WORKER_ENTRY } from '../library/cluster.js';
import type { KeyLines, Loaded } from '../library/load_config.js';
import { readAgain } from '../library/reading.js';
import { startPrimary } from '../master/main.js';
import type { Reading } from '../master/settings.js';
import type { Config } from '../shared/config.js';
import { type ErrorCode, errnoOf, TunnelError } from '../shared/errors.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { LineMemory } from '../shared/line_memory.js';
import { findConfig, loadWith, type ServeOptions, withOptions } from './options.js';
import { type QuickStart, quickStart } from './quick_start.js';
import { quickStartSshConfig, quickStartText, sshConfigFile } from './quick_start_text.js';
import { ownerOf } from './running.js';

/** Runs until the server has ended. @returns the exit code: 0 after a clean drain, 1 run-time failure, 2 bad config */
export async function serve(options: ServeOptions): Promise<number> {
  const configFile = findConfig(options.config);
  let inForce: Config | null = null;
  try {
    const keyLines: KeyLines = new LineMemory();
    const quick = configFile === null && options.handler === undefined ? await quickStart() : null;
    const loaded =
      quick === null ? loadWith(configFile, options, { keyLines }) : withOptions(loadedFrom(quick), options);
    const { config, errors, warnings, files } = loaded;
    for (const line of [...warnings, ...errors]) tell(line);
    if (config === null) return 2;
    inForce = config;
    const onListening = (addresses: readonly ListenerAddress[]): void => {
      if (quick !== null) greet({ ...quick, stateDir: config.stateDir }, addresses);
    };
    const handler =
      config.handler === null ? null : { url: pathToFileURL(config.handler).href, options: loaded.options };
    const { takeover = false } = options;
    const primary = await startPrimary({
      config,
      handler,
      workerEntry: WORKER_ENTRY,
      takeover,
      notify: true,
      onListening,
      ...(quick === null ? { files, read: reader(configFile, options, loaded, keyLines) } : {}),
    });
    for (const signal of SIGNALS) process.on(signal, nothing);
    // Behind its last turn Node takes the handlers away and is not gone yet: a signal then made a clean end one by SIGTERM.
    process.once('exit', () => process.exit());
    return await primary.exitCode;
  } catch (thrown) {
    if (!(thrown instanceof TunnelError)) throw thrown;
    await tellWhyNot(thrown, inForce, options, configFile);
    return BAD_CONFIG.includes(thrown.code) ? 2 : 1;
  }
}

async function tellWhyNot(
  error: TunnelError,
  config: Config | null,
  options: ServeOptions,
  configFile: string | null,
): Promise<void> {
  const isTaken = error.code === 'LISTEN_FAILED' && errnoOf(error.cause) === 'EADDRINUSE';
  const owner = isTaken && config !== null ? await ownerOf(config, error.cause) : null;
  if (owner !== null) {
    tell(
      `error: ${owner.address} is taken: your own Sallyport runs there already, with this stateDir (process ${owner.pid})`,
    );
    tell('--takeover takes its place, and its tunnels go on. `sallyport status` looks at it; SIGTERM ends it.');
    return;
  }
  tell(`error: ${error.message}`);
  if (isTaken && options.takeover !== true)
    tell('If it is a server of yours with the same stateDir: --takeover takes its place, and its tunnels go on.');
  if (error.code === 'LISTEN_FAILED' && options.listen === undefined && configFile === null)
    tell('Another port: sallyport --listen 127.0.0.1:2223, or 127.0.0.1:0 for any free one.');
}

/** The server lets go of them when it has ended. One that comes while the process ends as well would kill it, and a service manager
 *  would call a clean end a failed one. */
const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'];

function nothing(): void {}

/** What `check` would have told. */
const BAD_CONFIG: readonly ErrorCode[] = ['CONFIG_INVALID', 'HOST_KEY_INVALID', 'HANDLER_INVALID'];

/** Reads again. Where only the files have changed that the config names, the config itself stays as it is in force, however its
 *  file is being edited meanwhile. */
function reader(
  configFile: string | null,
  options: ServeOptions,
  { text, files }: Loaded,
  keyLines: KeyLines,
): (what: 'all' | 'files') => Promise<Reading> {
  let inForce = { text, files };
  return async (what) => {
    const known = what === 'files' ? (inForce.text ?? undefined) : undefined;
    const loaded = loadWith(configFile, options, { text: known, inForce: inForce.files, keyLines });
    const reading = await readAgain(loaded, configFile ?? 'config');
    if (!reading.ok) return reading;
    return {
      ...reading,
      inForce() {
        inForce = loaded;
      },
    };
  };
}

function loadedFrom({ config, warnings }: QuickStart): Loaded {
  return { config, rest: null, errors: [], warnings, options: {}, files: new Map(), text: null };
}

/** Lines to paste, once the ports are known. */
function greet(facts: QuickStart & { readonly stateDir: string }, addresses: readonly ListenerAddress[]): void {
  mkdirSync(facts.stateDir, { recursive: true, mode: 0o700 });
  writeFileSync(sshConfigFile(facts.stateDir), quickStartSshConfig(facts, addresses), { mode: 0o600 });
  process.stdout.write(quickStartText(facts, addresses));
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
