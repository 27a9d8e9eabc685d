/** OPENS: the channels that we open towards the peer (forwarded-tcpip, forwarded-streamlocal@openssh.com) until it has
 *  confirmed or refused them.
 *  Owns the opens under way. An open that is not answered in time fails; a confirmation that comes later gets a CLOSE. */
import type { OpenFailed } from '../../shared/errors.js';
import { MSG, message } from '../../shared/protocol.js';
import type { Channel } from '../channel/channel.js';
import type { ChannelTable, PeerSide, Reservation } from '../channel/table.js';
import { MAX_PACKET_BYTES, MIN_PEER_PACKET_BYTES } from '../channel/window.js';

/** OpenSSH's client answers in a round trip; a peer that asks its user may take longer, but not for ever. */
const OPEN_TIMEOUT_MS = 30_000;

type Settle = (...outcome: [channel: Channel] | [channel: null, why: OpenFailed]) => void;

interface Open {
  readonly reservation: Reservation;
  /** Null once it was given up: the number stays taken until the peer has answered. */
  settle: Settle | null;
  readonly timer: NodeJS.Timeout;
  readonly sentMs: number;
}

export class InboundOpens {
  readonly #table: ChannelTable;
  readonly #port: { send(payload: Uint8Array): void };
  /** Null: there was none yet. */
  #opens: Map<number, Open> | null = null;

  constructor(table: ChannelTable, port: { send(payload: Uint8Array): void }) {
    this.#table = table;
    this.#port = port;
  }

  /** `settle` is called once, with the open channel or with why there is none. No promise: the peer's first data may
   *  stand behind its confirmation in the same read, and a step later would be too late to attach. */
  open(type: string, details: ReadonlyArray<string | number>, settle: Settle): void {
    const reservation = this.#table.reserve();
    if (reservation === null) return settle(null, this.#table.shortage);
    const timer = setTimeout(() => this.#giveUp(reservation.id), OPEN_TIMEOUT_MS);
    this.#opens ??= new Map();
    this.#opens.set(reservation.id, { reservation, settle, timer, sentMs: this.#table.now() });
    const { id, openBytes } = reservation;
    this.#port.send(message(MSG.CHANNEL_OPEN, type, id, openBytes, MAX_PACKET_BYTES, ...details));
  }

  /** RFC 4254 §5.1. An answer to no question is passed over. */
  onConfirmation(id: number, peer: PeerSide): void {
    const open = this.#take(id);
    if (open === null) return;
    const channel = this.#table.open(open.reservation, peer, open.sentMs);
    if (open.settle !== null && peer.maxPacketBytes >= MIN_PEER_PACKET_BYTES) {
      open.settle(channel);
      return;
    }
    channel.close();
    open.settle?.(null, 'PEER_REFUSED');
  }

  onFailure(id: number): void {
    const open = this.#take(id);
    if (open === null) return;
    this.#table.cancel(open.reservation);
    open.settle?.(null, 'PEER_REFUSED');
  }

  /** The connection is gone. */
  close(): void {
    for (const open of this.#opens?.values() ?? []) {
      clearTimeout(open.timer);
      open.settle?.(null, 'CONNECTION_LOST');
    }
    this.#opens = null;
  }

  #take(id: number): Open | null {
    const open = this.#opens?.get(id);
    if (open === undefined) return null;
    this.#opens?.delete(id);
    clearTimeout(open.timer);
    return open;
  }

  #giveUp(id: number): void {
    const open = this.#opens?.get(id);
    if (open === undefined) return;
    open.settle?.(null, 'PEER_SILENT');
    open.settle = null;
  }
}
