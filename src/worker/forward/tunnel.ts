/** TUNNEL: a relay and its record, as the connection makes them: first the relay, since a socket must be made for it; the
 *  channel when there is one.
 *  Owns nothing else. */
import type { Socket } from 'node:net';
import type { OnRead } from '../../shared/handles.js';
import type { Channel } from '../channel/channel.js';
import { ChannelRecord, type RecordOptions } from '../channel/record.js';
import type { Buffers } from '../transport/buffers.js';
import { Relay, type RelayTimeouts } from './relay.js';

export interface TunnelOptions extends RecordOptions {
  readonly buffers: Buffers;
  readonly timeouts: RelayTimeouts;
}

export class Tunnel {
  readonly #destination: string;
  readonly #options: TunnelOptions;
  readonly #relay: Relay;
  #record: ChannelRecord | null = null;

  /** @param destination for events; text of a peer's has passed safeText */
  constructor(destination: string, options: TunnelOptions) {
    this.#destination = destination;
    this.#options = options;
    this.#relay = new Relay(options.buffers, options.timeouts, (end) => this.#record?.closed(end));
  }

  /** The socket that is to be joined must be made with this, and paused. */
  get onread(): OnRead {
    return this.#relay.onread;
  }

  /** Joins the two; both are the tunnel's from now on. Called in the same step in which the channel came into being: the
   *  peer's first data may be the next message. */
  start(channel: Channel, socket: Socket): void {
    this.#record = new ChannelRecord(channel, this.#destination, this.#options);
    this.#relay.start(channel, socket);
  }
}
