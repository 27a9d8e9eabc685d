/** SURROUNDINGS: what a connection is given: the transport below it, who logged in, the policy, the limits.
 *  Owns nothing: types alone. */
import type { Address } from '../../shared/address.js';
import type { CloseReason } from '../../shared/errors.js';
import type { ChannelKind, ChannelNews, ForwardNews, RefusalNews } from '../../shared/events.js';
import type { BindAddress, Destination, Identity, Peer } from '../../shared/identity.js';
import type { DisconnectReason } from '../../shared/protocol.js';
import type { Purses } from '../channel/purse.js';
import type { DirectPolicy } from '../forward/direct.js';
import type { RelayTimeouts } from '../forward/relay.js';
import type { Leases, ListenPolicy } from '../forward/remote.js';
import type { Resolver } from '../forward/resolve.js';
import type { MemoryAccount } from '../memory.js';
import type { Buffers } from '../transport/buffers.js';
import type { HostKeyProver } from './host_key_proofs.js';
import type { LivenessLimits } from './liveness.js';
import type { OpenBudget, SessionPolicy } from './peer_opens.js';

/** What the connection needs of the transport below it. */
export interface ConnectionTransport {
  readonly writable: boolean;
  readonly queuedBytes: number;
  readonly writeProgress: number;
  readonly isExchanging: boolean;
  send(payload: Uint8Array): void;
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void;
  sendUnimplemented(): void;
  rekeyIfDue(): void;
  disconnect(reason: DisconnectReason, text: string, closeReason: CloseReason, detail?: string): void;
  abort(reason: CloseReason): void;
}

export interface ConnectionLimits extends RelayTimeouts, LivenessLimits {
  readonly maxChannels: number;
  readonly maxForwards: number;
  /** Of each forward, at a time. */
  readonly maxInbound: number;
  /** Of each forward; 0 = no limit. */
  readonly inboundPerSecond: number;
  readonly memoryBytes: number;
  readonly connectMs: number;
}

export interface ConnectionOptions {
  readonly transport: ConnectionTransport;
  readonly identity: Identity;
  readonly peer: Peer;
  readonly policy: DirectPolicy & ListenPolicy & SessionPolicy;
  readonly leases: Leases;
  readonly resolver: Resolver;
  readonly openRates: OpenBudget;
  /** May the user bind once more? Yes counts it. */
  readonly mayBind: () => boolean;
  /** May the log be told of one more refusal of the user's? Yes counts it. */
  readonly mayTell: () => boolean;
  readonly hostKeys: HostKeyProver;
  readonly buffers: Buffers;
  /** Where this connection's bytes are counted. */
  readonly account: MemoryAccount;
  readonly limits: ConnectionLimits;
  /** Of the user, where bytes per second are limited. */
  readonly purses?: Purses | null;
  /** Events of channels and forwards; the server adds the connection's own fields. */
  readonly onEvent: (event: ChannelNews | ForwardNews) => void;
  /** For the metrics: each refusal, also those that no event tells of, and how long each tunnel took to open. */
  readonly onRefusal: (event: RefusalNews) => void;
  readonly onOpened: (kind: ChannelKind, tookMs: number) => void;
  /** Monotonic milliseconds. */
  now(): number;
}

/** What a change of the config took away. */
export interface Withdrawn {
  /** `address`: the one that was dialled, null for a Unix socket. */
  open(identity: Identity, destination: Destination, address: Address | null): boolean;
  bind(identity: Identity, bind: BindAddress): boolean;
}
