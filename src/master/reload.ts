/** RELOAD: from the wish for other settings to their being in force, or to every reason why not, in the log.
 *  Owns nothing. */
import { reasonOf, TunnelError } from '../shared/errors.js';
import type { Log } from './event_log.js';
import type { Primary } from './primary.js';
import { changedKeys, type Reading } from './settings.js';

/** Never rejects; the log has it either way.
 *  @returns what was in the way, or null */
export async function reload(primary: Primary, log: Log, read: () => Promise<Reading>): Promise<TunnelError | null> {
  const before = primary.settings.config;
  try {
    const reading = await read();
    if (!reading.ok) throw new TunnelError(reading.reason, reading.errors.join('\n'));
    for (const line of reading.warnings) log.warn(line);
    await primary.reload(reading.settings, () =>
      log.event({ event: 'config.reloaded', changed: changedKeys(before, reading.settings.config) }),
    );
    return null;
  } catch (thrown) {
    const error = thrown instanceof TunnelError ? thrown : new TunnelError('INTERNAL', reasonOf(thrown));
    log.event({ event: 'config.rejected', reason: error.code, errors: error.message.split('\n') });
    return error;
  }
}
