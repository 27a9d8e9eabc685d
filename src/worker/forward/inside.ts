/** INSIDE: a direct-tcpip or direct-streamlocal@openssh.com channel whose target is in this program: a Duplex, or a server
 *  that takes the channel as one of its connections. No port is opened.
 *  Owns the tunnel and a Duplex from the call on and closes both; a server is the program's own. */
import type { EventEmitter } from 'node:events';
import type { Server } from 'node:net';
import { type Duplex, finished } from 'node:stream';
import { reasonOf } from '../../shared/errors.js';
import type { Destination, Identity, Origin, Peer } from '../../shared/identity.js';
import { after } from '../../shared/timer.js';
import type { Channel } from '../channel/channel.js';
import { ChannelPump, LINGER_MS, type PumpOptions } from '../channel/pump.js';
import { ChannelStream } from '../channel/stream.js';

/** Where a tunnel may end without a port: any Duplex, or any server whose 'connection' event takes a Duplex, such as
 *  `http.Server`. */
export type InProcessTarget = Duplex | Server;

/** What a tunnel tells its target. */
export interface TunnelFacts {
  /** Who opened it; the very object that the login hook returned. */
  readonly identity: Identity;
  /** The TCP peer of the SSH connection. */
  readonly peer: Peer;
  /** Where the peer says that it comes from. Never trusted. */
  readonly origin: Origin;
  readonly destination: Destination;
}

/** Registered, so that a second copy of this package in the process knows the first one's tunnels. */
const TUNNEL = Symbol.for('sallyport.tunnel');

/** A tunnel's end in this program, as an `http.Server` sees it in `request.socket`. */
export class TunnelStream extends ChannelStream implements TunnelFacts {
  readonly identity: Identity;
  readonly peer: Peer;
  readonly origin: Origin;
  readonly destination: Destination;
  /** @internal */
  readonly [TUNNEL] = true;

  /** @internal Tunnels are made by the server. */
  constructor(pump: ChannelPump, facts: TunnelFacts) {
    super(pump);
    this.identity = facts.identity;
    this.peer = facts.peer;
    this.origin = facts.origin;
    this.destination = facts.destination;
  }

  /** The SSH client's address, where HTTP frameworks look for a client's. */
  get remoteAddress(): string {
    return this.peer.address;
  }
  get remotePort(): number {
    return this.peer.port;
  }

  /** Nothing to do: what a program does to its sockets must not end a tunnel. */
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

/** What a tunnel tells, for whoever has it in hand as a socket; null for anything else. */
export function tunnelOf(socket: unknown): TunnelFacts | null {
  return typeof socket === 'object' && socket !== null && TUNNEL in socket ? (socket as TunnelStream) : null;
}

/** A target that has been looked at. */
export type Target =
  | { readonly kind: 'duplex'; readonly duplex: Duplex }
  | { readonly kind: 'server'; readonly server: EventEmitter }
  | { readonly kind: 'destroyed' };

/** What kind of target this is, if any. Structural: a Duplex may come from another copy of the stream library. */
export function targetOf(value: unknown): Target | null {
  if (isDuplex(value)) {
    if (!value.destroyed) return { kind: 'duplex', duplex: value };
    value.on('error', ignore); // the error that destroyed it may still be on its way
    return { kind: 'destroyed' };
  }
  return isServer(value) ? { kind: 'server', server: value } : null;
}

function isDuplex(value: unknown): value is Duplex {
  return hasMethods(value, ['pipe', 'on', 'read', 'write', 'end', 'destroy']);
}

function isServer(value: unknown): value is EventEmitter {
  return hasMethods(value, ['on', 'emit', 'listen', 'close']);
}

/** For a target that came too late to be joined. A server stays as it is: it has other connections. */
export function discardTarget(target: Target): void {
  if (target.kind !== 'duplex') return;
  target.duplex.on('error', ignore);
  target.duplex.destroy();
}

/** Joins the two. The channel is open; data may come with the next message. */
export function joinInside(channel: Channel, facts: TunnelFacts, target: Target, options: PumpOptions): void {
  const pump = new ChannelPump(channel, options);
  const stream = new TunnelStream(pump, facts);
  pump.open();
  try {
    // http(3): 'connection' may be emitted by hand, "in that case, any Duplex stream can be passed".
    if (target.kind === 'duplex') joinDuplex(pump, stream, target.duplex);
    else if (target.kind === 'destroyed') stream.destroy(new Error('the target is destroyed'));
    else if (!target.server.emit('connection', stream))
      stream.destroy(new Error('nobody listens for connections of that server'));
  } catch (thrown) {
    stream.destroy(thrown instanceof Error ? thrown : new Error(reasonOf(thrown)));
    discardTarget(target);
  }
}

/** Each direction ends for itself: FIN is EOF and EOF is FIN. A fault of either end destroys both. By hand, since
 *  `pipeline` destroys one end as soon as the other has closed, with what is still on its way: the answer of a target that
 *  hangs up, the last bytes of a peer that does. */
function joinDuplex(pump: ChannelPump, stream: TunnelStream, target: Duplex): void {
  stream.pipe(target);
  target.pipe(stream); // before the listeners below: its own, for 'close', pauses the target
  let takesNoMore = false;
  // `stream` finishes only behind the end of the target's answer: then there is nothing left to do either way.
  const settle = (): void => {
    if (takesNoMore && stream.writableFinished) pump.complete();
  };
  const dropRest = (): void => {
    takesNoMore = true;
    stream.unpipe(target);
    stream.resume(); // thrown away, with its credit
    settle();
  };
  target.on('error', (error) => stream.destroy(error));
  target.on('finish', dropRest);
  target.on('close', dropRest);
  finished(target, { writable: false }, (error) => {
    if (error) stream.destroy(error);
    else if (target.allowHalfOpen === false) dropRest(); // it ends its writing by itself now
  });
  stream.on('finish', settle);
  stream.on('close', () => {
    if (!stream.readableEnded && !takesNoMore) {
      target.destroy();
      return;
    }
    // It was given everything and takes it at its own pace. What it answers has no taker.
    if (isMethod(target, 'resume')) target.resume();
    // A stream of another library may not know how much it holds.
    const waiting = Number.isSafeInteger(target.writableLength) ? target.writableLength : 0;
    if (!pump.linger(waiting)) {
      target.destroy();
      return;
    }
    const cancel = after(LINGER_MS, () => target.destroy());
    finished(target, { readable: false }, () => {
      cancel();
      pump.lingered(waiting);
      target.destroy();
    });
  });
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  return typeof value === 'object' && value !== null && names.every((name) => isMethod(value, name));
}

function isMethod(value: object, name: string): boolean {
  return name in value && typeof Reflect.get(value, name) === 'function';
}

function ignore(): void {}
