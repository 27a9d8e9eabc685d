/** INBOX: the messages of a connection that has not logged in, one after the other, and never too many.
 *  Owns the queue and the counts. Knows no meaning but which messages may come before a login. */
import { MSG } from '../../shared/protocol.js';

/** Messages that may wait behind the one being answered. Some clients offer all keys of an agent ahead of the first answer, and each
 *  refusal takes its time (refusal_delay.ts); a flood says more. */
const MAX_QUEUED = 32;
/** A login with a dozen keys takes some 30 packets and 20 KiB; what goes far beyond is no login. */
const MAX_PACKETS = 100;
const MAX_BYTES = 64 * 1024;

export interface InboxEvents {
  /** One message; the next comes when it has settled. */
  handle(payload: Buffer): Promise<void>;
  /** `handle` has rejected, which it must not. */
  faulty(thrown: unknown): void;
}

export class Inbox {
  readonly #events: InboxEvents;
  readonly #queue: Buffer[] = [];
  #isWorking = false;
  #packets = 0;
  #bytes = 0;

  constructor(events: InboxEvents) {
    this.#events = events;
  }

  /** Copies the payload. @returns what is wrong with it: the connection ends; null: it will be handled */
  take(payload: Buffer): string | null {
    this.#packets += 1;
    this.#bytes += payload.length;
    const type = payload[0];
    if (this.#packets > MAX_PACKETS || this.#bytes > MAX_BYTES) return 'too much before authentication';
    if (type !== MSG.SERVICE_REQUEST && type !== MSG.USERAUTH_REQUEST && type !== MSG.USERAUTH_INFO_RESPONSE)
      return 'unexpected message before authentication';
    if (this.#queue.length >= MAX_QUEUED) return 'too many authentication requests at once';
    this.#queue.push(Buffer.from(payload));
    if (!this.#isWorking) void this.#work();
    return null;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#queue.length = 0;
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    try {
      for (let payload = this.#queue.shift(); payload !== undefined; payload = this.#queue.shift())
        await this.#events.handle(payload);
    } catch (thrown) {
      this.#events.faulty(thrown);
    } finally {
      this.#isWorking = false;
    }
  }
}
