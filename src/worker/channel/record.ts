/** RECORD: the story of one channel for the log: where it leads, when it began, what it moved, why it ended.
 *  Owns the start time and the channel's number in the story. Tells the beginning and the end, in this order. */
import type { ChannelEnd } from '../../shared/errors.js';
import type { ChannelKind, ChannelNews } from '../../shared/events.js';
import type { Channel, ChannelLabel } from './channel.js';

export interface RecordOptions {
  /** A tunnel is open; so long after it was asked for. */
  onOpened(kind: ChannelKind, tookMs: number): void;
  readonly onEvent: (event: ChannelNews) => void;
  /** The next number for a channel of this connection. */
  nextChannel(): number;
  /** Monotonic milliseconds. */
  now(): number;
}

/** What a channel is, as events say it. Text of a peer's in `destination` has passed safeText. */
export interface ChannelStory {
  readonly kind: ChannelKind;
  readonly destination: string;
}

export class ChannelRecord {
  readonly #options: RecordOptions;
  readonly #channel: Channel;
  readonly #label: ChannelLabel;

  /** Tells that the channel is open.
   *  @param askedMs when it was asked for; null: nothing came between that and its being open */
  constructor(channel: Channel, story: ChannelStory, options: RecordOptions, askedMs: number | null) {
    this.#channel = channel;
    this.#options = options;
    this.#label = { channel: options.nextChannel(), ...story, openedMs: options.now() };
    channel.label = this.#label;
    options.onEvent({ event: 'channel.opened', ...this.#story });
    if (askedMs !== null) options.onOpened(story.kind, this.#label.openedMs - askedMs);
  }

  /** @param detail for the log alone: what a hook of the user's did */
  closed(reason: ChannelEnd, detail?: string): void {
    this.#options.onEvent({
      event: 'channel.closed',
      ...this.#story,
      reason,
      bytesIn: this.#channel.bytesIn,
      bytesOut: this.#channel.bytesOut,
      durationMs: Math.round(this.#options.now() - this.#label.openedMs),
      ...(detail === undefined ? {} : { detail }),
    });
  }

  get #story(): ChannelStory & { readonly channel: number } {
    const { kind, destination, channel } = this.#label;
    return { kind, destination, channel };
  }
}
