/** TUNNEL: one relay as others see it: where it leads, when it began, what it moved.
 *  Owns the relay's record and tells its beginning and its end, once each. */
import type { Socket } from 'node:net';
import type { OnRead } from '../../shared/handles.js';
import type { AuditEvent } from '../../shared/log.js';
import type { Channel } from '../channel/channel.js';
import type { Buffers } from '../transport/buffers.js';
import { Relay, type RelayEnd, type RelayTimeouts } from './relay.js';

export interface TunnelOptions {
  readonly buffers: Buffers;
  readonly timeouts: RelayTimeouts;
  readonly onEvent: (event: AuditEvent) => void;
  /** Monotonic milliseconds. */
  now(): number;
}

export class Tunnel {
  readonly #destination: string;
  readonly #options: TunnelOptions;
  readonly #relay: Relay;
  #channel: Channel | null = null;
  #startedMs = 0;

  /** @param destination for events; text of a peer's has passed safeText */
  constructor(destination: string, options: TunnelOptions) {
    this.#destination = destination;
    this.#options = options;
    this.#relay = new Relay(options.buffers, options.timeouts, (end) => this.#onEnd(end));
  }

  /** The socket that is to be joined must be made with this, and paused. */
  get onread(): OnRead {
    return this.#relay.onread;
  }

  /** Joins the two; both are the tunnel's from now on. Called in the same step in which the channel came into being: the
   *  peer's first data may be the next message. */
  start(channel: Channel, socket: Socket): void {
    this.#channel = channel;
    this.#startedMs = this.#options.now();
    this.#options.onEvent({ event: 'channel.opened', destination: this.#destination });
    this.#relay.start(channel, socket);
  }

  #onEnd(end: RelayEnd): void {
    this.#options.onEvent({
      event: 'channel.closed',
      destination: this.#destination,
      reason: end,
      bytesIn: this.#channel?.bytesIn ?? 0,
      bytesOut: this.#channel?.bytesOut ?? 0,
      durationMs: Math.round(this.#options.now() - this.#startedMs),
    });
  }
}
