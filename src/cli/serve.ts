/** SERVE: from the options of the command line to a running server. Owns what is printed on stdout before the log takes
 *  over (the log goes to stderr). */

import { mkdirSync, writeFileSync } from 'node:fs';
import { type Loaded, loadConfig } from '../library/load_config.js';
import { startPrimary } from '../master/main.js';
import { type ErrorCode, TunnelError } from '../shared/errors.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { findConfig, type ServeOptions, withOptions } from './options.js';
import { type QuickStart, quickStart } from './quick_start.js';
import { quickStartSshConfig, quickStartText, sshConfigFile } from './quick_start_text.js';

/** Runs until the server has ended. @returns the exit code: 0 after a clean drain, 1 run-time failure, 2 bad config */
export async function serve(options: ServeOptions): Promise<number> {
  if (options.handler !== undefined) {
    tell('error: --handler is not supported in this version yet');
    return 2;
  }
  const configFile = findConfig(options.config);
  try {
    const quick = configFile === null ? await quickStart() : null;
    const { config, errors, warnings } = withOptions(load(configFile, quick), options);
    for (const line of [...warnings, ...errors]) tell(line);
    if (config === null) return 2;
    const onListening = (addresses: readonly ListenerAddress[]): void => {
      if (quick !== null) greet({ ...quick, stateDir: config.stateDir }, addresses);
    };
    const primary = await startPrimary({ config, onListening });
    return await primary.exitCode;
  } catch (thrown) {
    if (!(thrown instanceof TunnelError)) throw thrown;
    tell(`error: ${thrown.message}`);
    if (thrown.code === 'LISTEN_FAILED' && options.listen === undefined && configFile === null)
      tell('Another port: sallyport --listen 127.0.0.1:2223, or 127.0.0.1:0 for any free one.');
    return BAD_CONFIG.includes(thrown.code) ? 2 : 1;
  }
}

/** What `check` would have told. */
const BAD_CONFIG: readonly ErrorCode[] = ['CONFIG_INVALID', 'HOST_KEY_INVALID'];

function load(configFile: string | null, quick: QuickStart | null): Loaded {
  if (configFile !== null) return loadConfig(configFile);
  return { config: quick?.config ?? null, errors: [], warnings: quick?.warnings ?? [] };
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
