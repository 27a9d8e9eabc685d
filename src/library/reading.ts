/** READING: the settings of a running server, read again: config, keys, host keys. What `check` would complain of is found here,
 *  but for the handler's module: that is for a new worker to load.
 *  Owns nothing. */
import { pathToFileURL } from 'node:url';
import { loadHostKeys } from '../master/host_keys.js';
import type { Reading } from '../master/settings.js';
import { formatIssue } from '../shared/config_file.js';
import { TunnelError } from '../shared/errors.js';
import { checkHostKeys, hostKeyIssues } from './host_key_errors.js';
import type { Loaded } from './load_config.js';

/** @param name of the config, in lines about its host keys */
export async function readAgain(loaded: Loaded, name: string): Promise<Reading> {
  const { config, rest, errors, warnings, options, files } = loaded;
  if (config === null) {
    const more = rest === null ? [] : await hostKeyIssues(name, options, rest);
    return { ok: false, reason: 'CONFIG_INVALID', errors: [...errors, ...more.map(formatIssue)] };
  }
  const inStateDir = config.hostKeys.length === 0;
  try {
    let checked = await checkHostKeys(name, config);
    if (checked.issues.length === 0 && inStateDir) {
      await loadHostKeys([], config.stateDir); // makes what is missing
      checked = await checkHostKeys(name, config);
    }
    const { issues, keys: hostKeys } = checked;
    if (issues.length > 0) return { ok: false, reason: 'HOST_KEY_INVALID', errors: issues.map(formatIssue) };
    const handler = config.handler === null ? null : { url: pathToFileURL(config.handler).href, options };
    return { ok: true, warnings, files, settings: { config, hostKeys, handler, written: options } };
  } catch (thrown) {
    if (!(thrown instanceof TunnelError)) throw thrown;
    return { ok: false, reason: thrown.code, errors: [thrown.message] };
  }
}
