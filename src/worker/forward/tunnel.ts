/** TUNNEL: a relay and its record, as the connection makes them: first the relay, since a socket must be made for it; the
 *  channel when there is one. And what permitted it, so that it can be ended with that.
 *  Owns nothing else. */
import type { Socket } from 'node:net';
import { type Address, parseAddress } from '../../shared/address.js';
import type { Payload } from '../../shared/events.js';
import type { OnRead } from '../../shared/handles.js';
import type { BindAddress, Destination } from '../../shared/identity.js';
import type { Channel } from '../channel/channel.js';
import type { LingerBudget } from '../channel/pump.js';
import { ChannelRecord, type ChannelStory, type RecordOptions } from '../channel/record.js';
import type { Buffers } from '../transport/buffers.js';
import { Relay, type RelayTimeouts } from './relay.js';

export interface TunnelOptions extends RecordOptions {
  readonly buffers: Buffers;
  readonly lingering: LingerBudget;
  readonly timeouts: RelayTimeouts;
  /** The connection's tunnels that have started and not ended. */
  readonly live: Set<Tunnel>;
}

/** What was permitted: what was asked for, or the real path that it led to. */
export type TunnelRight =
  | { readonly kind: 'open'; readonly destination: Destination }
  | { readonly kind: 'bind'; readonly bind: BindAddress };

export class Tunnel {
  readonly #story: ChannelStory;
  readonly #options: TunnelOptions;
  readonly #relay: Relay;
  readonly #onEnd: (channel: Channel) => void;
  readonly #askedMs: number;
  #channel: Channel | null = null;
  #socket: Socket | null = null;
  #record: ChannelRecord | null = null;
  #rights: readonly TunnelRight[] = [];

  /** Made when the tunnel is asked for.
   *  @param onEnd called once, with the channel and its counts, if it ever started */
  constructor(story: ChannelStory, options: TunnelOptions, onEnd: (channel: Channel) => void = ignore) {
    this.#story = story;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#askedMs = options.now();
    this.#relay = new Relay(options, (end) => {
      options.live.delete(this);
      this.#record?.closed(end);
      if (this.#channel !== null) this.#onEnd(this.#channel);
    });
  }

  /** The socket that is to be joined must be made with this, and paused. */
  get onread(): OnRead {
    return this.#relay.onread;
  }

  /** The TCP address at its far end; null for a Unix socket, and once it is closed. */
  get farAddress(): Address | null {
    return parseAddress(this.#socket?.remoteAddress ?? '');
  }

  /** So far. */
  get traffic(): Payload {
    return { bytesIn: this.#channel?.bytesIn ?? 0, bytesOut: this.#channel?.bytesOut ?? 0 };
  }

  /** All of which it needs. */
  get rights(): readonly TunnelRight[] {
    return this.#rights;
  }

  /** Ends it because it is not permitted any more. */
  withdraw(): void {
    this.#relay.cut('RIGHTS_WITHDRAWN');
  }

  /** Joins the two; both are the tunnel's from now on. Called in the same step in which the channel came into being: the
   *  peer's first data may be the next message. */
  start(channel: Channel, socket: Socket, rights: readonly TunnelRight[]): void {
    this.#channel = channel;
    this.#socket = socket;
    this.#rights = rights;
    this.#options.live.add(this);
    this.#record = new ChannelRecord(channel, this.#story, this.#options, this.#askedMs);
    this.#relay.start(channel, socket);
  }
}

function ignore(): void {}
