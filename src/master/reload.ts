/** RELOAD: from the wish for other settings to their being in force, or to every reason why not, in the log.
 *  Owns nothing. */
import { reasonOf, TunnelError } from '../shared/errors.js';
import type { WatchedFiles } from '../shared/file_signature.js';
import type { Log } from './event_log.js';
import type { Primary } from './primary.js';
import { changedKeys, type Reading, type ReloadOutcome } from './settings.js';

export interface ReloadOptions {
  /** Only the files that the settings name have changed: no handler's code is loaded anew. Default false. */
  readonly filesOnly?: boolean;
  /** Told of what is in force now. */
  readonly took?: (files: WatchedFiles) => void;
  /** Called in the moment in which the settings are in force, with the keys that have changed; workers may be replaced still. */
  readonly inForce?: (changed: readonly string[]) => void;
}

/** Never rejects; the log has it either way. */
export async function reload(
  primary: Primary,
  log: Log,
  read: () => Promise<Reading>,
  { filesOnly = false, took, inForce }: ReloadOptions = {},
): Promise<ReloadOutcome> {
  const before = primary.settings.config;
  if (!filesOnly) await log.reopen(); // whatever the config says: who has moved the file away has done so already
  try {
    const reading = await read();
    if (!reading.ok) throw new TunnelError(reading.reason, reading.errors.join('\n'));
    for (const line of reading.warnings) log.warn(line);
    const changed = changedKeys(before, reading.settings.config);
    await primary.reload(reading.settings, {
      filesOnly,
      inForce() {
        reading.inForce?.();
        took?.(reading.files);
        log.event({ event: 'config.reloaded', changed });
        inForce?.(changed);
      },
    });
    return { ok: true, changed };
  } catch (thrown) {
    const error = thrown instanceof TunnelError ? thrown : new TunnelError('INTERNAL', reasonOf(thrown));
    log.event({ event: 'config.rejected', reason: error.code, errors: error.message.split('\n') });
    return { ok: false, error };
  }
}
