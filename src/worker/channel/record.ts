/** RECORD: the story of one channel for the log: where it leads, when it began, what it moved, why it ended.
 *  Owns the start time. Tells the beginning and the end, in this order. */
import type { AuditEvent } from '../../shared/log.js';
import type { Channel } from './channel.js';

export interface RecordOptions {
  readonly onEvent: (event: AuditEvent) => void;
  /** Monotonic milliseconds. */
  now(): number;
}

export class ChannelRecord {
  readonly #destination: string;
  readonly #options: RecordOptions;
  readonly #channel: Channel;
  readonly #openedMs: number;

  /** Tells that the channel is open. @param destination text of a peer's has passed safeText */
  constructor(channel: Channel, destination: string, options: RecordOptions) {
    this.#channel = channel;
    this.#destination = destination;
    this.#options = options;
    this.#openedMs = options.now();
    options.onEvent({ event: 'channel.opened', destination });
  }

  closed(reason: NonNullable<AuditEvent['reason']>): void {
    this.#options.onEvent({
      event: 'channel.closed',
      destination: this.#destination,
      reason,
      bytesIn: this.#channel.bytesIn,
      bytesOut: this.#channel.bytesOut,
      durationMs: Math.round(this.#options.now() - this.#openedMs),
    });
  }
}
