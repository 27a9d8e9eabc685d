/** CONNECTION: RFC 4254 for one authenticated peer. Routes channel messages to their channels, opens to their kinds and
 *  global requests to their forwards.
 *  Owns the channel table, the forwards and the order of replies. Every request is answered, every open confirmed or
 *  refused; whatever is under way when the peer goes is undone. */

import { Ending } from '../../shared/ending.js';
import { type OpenFailed, reasonOf } from '../../shared/errors.js';
import type { Payload, RefusalNews } from '../../shared/events.js';
import type { BindAddress, Identity } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import { DISCONNECT, MSG, message, WireReader } from '../../shared/protocol.js';
import type { Channel } from '../channel/channel.js';
import { ChannelTable, type PeerSide } from '../channel/table.js';
import { MAX_PACKET_BYTES } from '../channel/window.js';
import { type ForwardSight, type Inbound, RemoteForwards } from '../forward/remote.js';
import { Tunnel, type TunnelOptions } from '../forward/tunnel.js';
import type { ReadLease } from '../transport/buffers.js';
import { GlobalRequests } from './global_requests.js';
import { Liveness } from './liveness.js';
import { kindOfBind, nameOfBind, storyOfForwarded } from './names.js';
import { InboundOpens } from './opens.js';
import { PeerOpens } from './peer_opens.js';
import { Refusals } from './refusals.js';
import type { ConnectionOptions, ConnectionTransport, Withdrawn } from './surroundings.js';

/** Messages of unknown types that are answered with UNIMPLEMENTED before the peer is taken for a fuzzer. */
const MAX_UNIMPLEMENTED = 32;

export class Connection {
  readonly #transport: ConnectionTransport;
  readonly #channels: ChannelTable;
  readonly #inbound: InboundOpens;
  readonly #forwards: RemoteForwards;
  readonly #requests: GlobalRequests;
  readonly #refusals: Refusals;
  readonly #opens: PeerOpens;
  readonly #liveness: Liveness;
  readonly #identity: Identity;
  readonly #live = new Set<Tunnel>();
  /** Connections that wait for the peer's answer to their open. Null: none has come yet. */
  #arriving: Set<Inbound> | null = null;
  readonly #ending = new Ending();
  #draining = false;
  #unimplemented = 0;
  #lastChannel = 0;

  constructor(options: ConnectionOptions) {
    const { transport, limits } = options;
    // One of each, for all that need it: an idle connection is made of such small things.
    const violated = (what: string): void => this.#violated(what);
    const onRefused = (event: RefusalNews): void => this.#refusals.tell(event);
    const send = (payload: Buffer): void => transport.send(payload);
    this.#transport = transport;
    this.#identity = options.identity;
    const tunnels: TunnelOptions = {
      buffers: options.buffers,
      lingering: options.account,
      timeouts: limits,
      onEvent: options.onEvent,
      onOpened: options.onOpened,
      nextChannel: () => ++this.#lastChannel,
      live: this.#live,
      now: options.now,
    };
    this.#channels = new ChannelTable(transport, {
      maxChannels: limits.maxChannels,
      memoryBytes: limits.memoryBytes,
      account: options.account,
      now: options.now,
      violated,
      purses: options.purses ?? null,
    });
    this.#refusals = new Refusals(options);
    this.#opens = new PeerOpens({
      channels: this.#channels,
      policy: options.policy,
      resolver: options.resolver,
      rates: options.openRates,
      identity: options.identity,
      peer: options.peer,
      connectMs: limits.connectMs,
      tunnels,
      ending: this.#ending,
      send,
      onRefused,
      violated,
      fault: (thrown) =>
        transport.disconnect(DISCONNECT.BY_APPLICATION, 'internal error', 'INTERNAL_ERROR', safeText(reasonOf(thrown))),
    });
    this.#inbound = new InboundOpens(this.#channels, transport);
    this.#forwards = new RemoteForwards({
      policy: options.policy,
      leases: options.leases,
      maxForwards: limits.maxForwards,
      mayBind: options.mayBind,
      maxInbound: limits.maxInbound,
      inboundPerSecond: limits.inboundPerSecond,
      ending: this.#ending,
      makeTunnel: (bind, onEnd) => new Tunnel(storyOfForwarded(bind), tunnels, onEnd),
      onReleased: (bind, reason, traffic) =>
        options.onEvent({
          event: 'forward.released',
          kind: kindOfBind(bind),
          destination: nameOfBind(bind),
          reason,
          ...traffic,
        }),
      onInbound: (inbound) => this.#openInbound(inbound),
      onInboundRefused: (bind, reason) =>
        this.#refusals.tell({ event: 'channel.refused', ...storyOfForwarded(bind), reason }),
      now: options.now,
    });
    this.#requests = new GlobalRequests({
      forwards: this.#forwards,
      maxForwards: limits.maxForwards,
      hostKeys: options.hostKeys,
      send,
      onEvent: options.onEvent,
      onRefused,
      onNoMoreSessions: () => this.#opens.noMoreSessions(),
      violated,
      now: options.now,
    });
    this.#liveness = new Liveness(
      {
        sendKeepalive: () => transport.send(KEEPALIVE),
        line: transport,
        onTick: () => transport.rekeyIfDue(),
        onDead: (reason) => transport.abort(reason),
        now: options.now,
      },
      limits,
    );
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  /** The oldest first. */
  channels(): Iterable<Channel> {
    return this.#channels.all();
  }

  forwards(): readonly ForwardSight[] {
    return this.#forwards.sights();
  }

  /** Of all its channels, also when it has ended. */
  traffic(): Payload {
    return this.#channels.traffic();
  }

  binds(): readonly BindAddress[] {
    return this.#forwards.binds();
  }

  /** Is the peer there? Asks it, and answers within the time. */
  probe(timeoutMs: number): Promise<boolean> {
    return this.#liveness.probe(timeoutMs);
  }

  /** Refuses what is new; what runs goes on, and the peer is told why that will end. */
  drain(): void {
    if (!this.#draining && this.#channels.size > 0) this.#transport.send(GOING_AWAY);
    this.#draining = true;
    this.#opens.drain();
    this.#requests.drain();
  }

  /** The config has changed: ends tunnels and forwards that it no longer permits; the rest goes on. */
  review(taken: Withdrawn): void {
    const isGone = (bind: BindAddress): boolean => taken.bind(this.#identity, bind);
    this.#opens.review();
    this.#forwards.review(isGone);
    for (const { binds, socket } of this.#arriving ?? []) if (binds.some(isGone)) socket.destroy();
    for (const tunnel of [...this.#live]) {
      const gone = tunnel.rights.some((right) =>
        right.kind === 'bind' ? isGone(right.bind) : taken.open(this.#identity, right.destination, tunnel.farAddress),
      );
      if (gone) tunnel.withdraw();
    }
  }

  onWritable(): void {
    this.#channels.wake();
  }

  onReadEnd(): void {
    this.#channels.readEnd();
  }

  /** The transport is gone. */
  close(): void {
    this.#ending.end();
    this.#liveness.stop();
    this.#requests.close();
    this.#inbound.close();
    this.#channels.loseAll();
    this.#forwards.close(); // after its channels, whose bytes it tells
    this.#refusals.close();
  }

  onPayload(payload: Buffer, lease: ReadLease | null): void {
    this.#liveness.heard();
    switch (payload[0]) {
      case MSG.CHANNEL_DATA:
        return this.#onData(payload, lease);
      case MSG.CHANNEL_WINDOW_ADJUST:
        return this.#onWindowAdjust(payload);
      case MSG.CHANNEL_EXTENDED_DATA:
        return this.#onExtendedData(payload);
      case MSG.CHANNEL_EOF:
      case MSG.CHANNEL_CLOSE:
        return this.#onEnd(payload);
      case MSG.CHANNEL_REQUEST:
        return this.#onChannelRequest(payload);
      case MSG.CHANNEL_OPEN:
        return this.#opens.onOpen(payload);
      case MSG.CHANNEL_OPEN_CONFIRMATION:
        return this.#onConfirmation(payload);
      case MSG.CHANNEL_OPEN_FAILURE:
        return this.#onOpenFailure(payload);
      case MSG.GLOBAL_REQUEST:
        return this.#requests.onRequest(payload);
      case MSG.REQUEST_SUCCESS: // of our keepalives; that something came is all we wanted
      case MSG.REQUEST_FAILURE:
      case MSG.CHANNEL_SUCCESS: // we send no channel request that wants a reply
      case MSG.CHANNEL_FAILURE:
      case MSG.USERAUTH_REQUEST: // RFC 4252 §5.1: silently ignored after success
        return;
      default:
        if (++this.#unimplemented > MAX_UNIMPLEMENTED) this.#violated('unknown messages');
        else this.#transport.sendUnimplemented();
    }
  }

  // --- channels: RFC 4254 §5 ---------------------------------------------------------------------------------------

  /** The hot path: one message, one look-up, no copy. */
  #onData(payload: Buffer, lease: ReadLease | null): void {
    if (payload.length < 9 || payload.readUInt32BE(5) !== payload.length - 9) return this.#violated('malformed data');
    const channel = this.#channels.get(payload.readUInt32BE(1));
    if (channel === undefined) return this.#violated('data for no channel');
    if (payload.length - 9 > MAX_PACKET_BYTES) return this.#violated('packet too large');
    channel.onData(payload.subarray(9), lease);
  }

  #onWindowAdjust(payload: Buffer): void {
    if (payload.length !== 9) return this.#violated('malformed window adjust');
    this.#channels.get(payload.readUInt32BE(1))?.onWindowAdjust(payload.readUInt32BE(5));
  }

  #onExtendedData(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const channel = this.#channels.get(reader.uint32());
    reader.uint32(); // data type code
    const data = reader.bytes();
    if (!reader.atEnd) return this.#violated('malformed extended data');
    if (channel === undefined) return this.#violated('data for no channel');
    if (data.length > MAX_PACKET_BYTES) return this.#violated('packet too large');
    channel.onExtendedData(data);
  }

  /** A number that is not (or no longer) in use is passed over: the peer may not have seen our CLOSE yet. */
  #onEnd(payload: Buffer): void {
    if (payload.length !== 5) return this.#violated('malformed channel message');
    const channel = this.#channels.get(payload.readUInt32BE(1));
    if (payload[0] === MSG.CHANNEL_EOF) channel?.onEof();
    else channel?.onPeerClose();
  }

  #onChannelRequest(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const id = reader.uint32();
    const name = reader.text();
    const wantReply = reader.boolean();
    if (!reader.ok) return this.#violated('malformed channel request');
    this.#channels.get(id)?.onRequest(name, wantReply, reader.rest());
  }

  // --- forwarded channels: RFC 4254 §7.2 ---------------------------------------------------------------------------

  #openInbound(inbound: Inbound): void {
    const { bind, binds, originator, tunnel, socket } = inbound;
    socket.on('error', ignore); // until the relay listens
    const refuse = (reason: OpenFailed | 'DRAINING'): void => {
      socket.destroy();
      this.#refusals.tell({ event: 'channel.refused', ...storyOfForwarded(bind), reason });
    };
    if (this.#draining) return refuse('DRAINING');
    const settle = (channel: Channel | null, why?: OpenFailed): void => {
      this.#arriving?.delete(inbound);
      if (channel === null) refuse(why ?? 'PEER_REFUSED');
      else
        tunnel.start(
          channel,
          socket,
          binds.map((bind) => ({ kind: 'bind', bind })),
        );
    };
    this.#arriving ??= new Set();
    this.#arriving.add(inbound);
    // The address exactly as it was asked for: OpenSSH finds its forward by it.
    if (bind.kind === 'tcp')
      this.#inbound.open('forwarded-tcpip', [bind.host, bind.port, originator.host, originator.port], settle);
    else this.#inbound.open('forwarded-streamlocal@openssh.com', [bind.path, ''], settle);
  }

  #onConfirmation(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const id = reader.uint32();
    const peer: PeerSide = { id: reader.uint32(), windowBytes: reader.uint32(), maxPacketBytes: reader.uint32() };
    if (!reader.ok) return this.#violated('malformed open confirmation');
    this.#inbound.onConfirmation(id, peer);
  }

  #onOpenFailure(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const id = reader.uint32();
    if (!reader.ok) return this.#violated('malformed open failure');
    this.#inbound.onFailure(id);
  }

  #violated(what: string): void {
    this.#transport.disconnect(DISCONNECT.PROTOCOL_ERROR, what, 'PROTOCOL_ERROR');
  }
}

function ignore(): void {}

/** RFC 4253 §11.3, to be displayed. There is no message that would make a client come again elsewhere. */
const GOING_AWAY = message(MSG.DEBUG, true, 'server is shutting down', '');
const KEEPALIVE = message(MSG.GLOBAL_REQUEST, 'keepalive@openssh.com', true);
