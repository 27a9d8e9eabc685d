/** HINTS: what an operator is told once, and not by each worker and each login.
 *  Owns the names of the users that were told of. They are of the config, so they are few. */
import type { AuditEvent } from '../shared/events.js';

export class Hints {
  readonly #weakHashes = new Set<string>();

  /** False for a hint that was given before; every other event is news. */
  isNews(event: AuditEvent): boolean {
    if (event.event !== 'auth.weakHash') return true;
    if (this.#weakHashes.has(event.user)) return false;
    this.#weakHashes.add(event.user);
    return true;
  }
}
