/** CONNECTION MODEL: what RFC 4254 lets a server say and what it owes, told from the messages that went to it and came from
 *  it, and from nothing inside it.
 *  Owns the story of one connection: opens, requests and their order, channels. Faults are collected, not thrown. */
import { MSG, WireReader } from '../../src/shared/protocol.js';
import { ChannelModel } from './channel_model.js';

interface Asked {
  readonly echoes: boolean;
  readonly windowBytes: number;
  readonly packetBytes: number;
}

type Owed = 'success' | 'failure' | 'either';

const NO_MORE_SESSIONS = 'no-more-sessions@openssh.com';
const TUNNELS = new Set(['direct-tcpip', 'direct-streamlocal@openssh.com']);
const BINDS = new Set([
  'tcpip-forward',
  'cancel-tcpip-forward',
  'streamlocal-forward@openssh.com',
  'cancel-streamlocal-forward@openssh.com',
]);
const HOST_KEYS_PROVE = 'hostkeys-prove-00@openssh.com';
/** A smaller packet than this in a confirmation of ours would be a mistake. */
const LEAST_PACKET_BYTES = 1_024;
/** More are those of the first one. */
const MAX_FAULTS = 5;

export class ConnectionModel {
  readonly faults: string[] = [];
  readonly #isEcho: (host: string) => boolean;
  /** By the server's number. */
  readonly #channels = new Map<number, ChannelModel>();
  /** Opens of ours without an answer, by our number. */
  readonly #asked = new Map<number, Asked[]>();
  /** Numbers of ours that stood for two channels at a time: what comes for them cannot be told apart. */
  readonly #confused = new Set<number>();
  /** Opens of the server's that we have not answered: by its number, with the window that it gave. */
  readonly #offered = new Map<number, number>();
  readonly #owed: Owed[] = [];
  /** Number and window of the channel that the server confirmed last. */
  confirmed: { readonly id: number; readonly windowBytes: number } | null = null;

  /** @param isEcho does a tunnel to that host or path give back what it gets? */
  constructor(isEcho: (host: string) => boolean) {
    this.#isEcho = isEcho;
  }

  /** Nothing is owed any more. */
  get isSettled(): boolean {
    return this.#asked.size === 0 && this.#owed.length === 0;
  }
  get hasOffers(): boolean {
    return this.#offered.size > 0;
  }
  get debts(): string {
    return `${this.#asked.size} opens and ${this.#owed.length} requests are not answered`;
  }

  /** What ends politely whatever is open. */
  farewells(): { readonly type: number; readonly id: number }[] {
    return [
      ...[...this.#offered.keys()].map((id) => ({ type: MSG.CHANNEL_OPEN_FAILURE, id })),
      ...[...this.#channels.values()].filter((c) => !c.peerClosed).map(({ id }) => ({ type: MSG.CHANNEL_CLOSE, id })),
    ];
  }

  checkChannels(): void {
    for (const channel of this.#channels.values()) if (!this.#confused.has(channel.peerId)) channel.check();
  }

  // --- what we say, before it is handed over -------------------------------------------------------------------------

  /** @returns why the connection must end by this message, or null */
  says(payload: Buffer): string | null {
    const reader = new WireReader(payload, 1);
    const type = payload[0];
    switch (type) {
      case MSG.CHANNEL_OPEN:
        return this.#saysOpen(reader);
      case MSG.GLOBAL_REQUEST:
        return this.#saysGlobal(reader);
      case MSG.CHANNEL_OPEN_CONFIRMATION:
        return this.#saysConfirmation(reader);
      case MSG.CHANNEL_OPEN_FAILURE:
        this.#offered.delete(reader.uint32());
        return reader.ok ? null : 'a malformed open failure';
      case MSG.CHANNEL_REQUEST:
      case MSG.CHANNEL_DATA:
      case MSG.CHANNEL_EXTENDED_DATA:
      case MSG.CHANNEL_WINDOW_ADJUST:
      case MSG.CHANNEL_EOF:
      case MSG.CHANNEL_CLOSE:
        return this.#saysToChannel(type, reader);
      default:
        return null;
    }
  }

  #saysOpen(reader: WireReader): string | null {
    const type = reader.text();
    const id = reader.uint32();
    const windowBytes = reader.uint32();
    const packetBytes = reader.uint32();
    if (!reader.ok) return 'a malformed open';
    const asked = this.#asked.get(id) ?? [];
    if (asked.length > 0 || this.#openOf(id) !== undefined) this.#confused.add(id);
    asked.push({ echoes: TUNNELS.has(type) && this.#isEcho(reader.text()), windowBytes, packetBytes });
    this.#asked.set(id, asked);
    return null;
  }

  #saysGlobal(reader: WireReader): string | null {
    const name = reader.text();
    const wantReply = reader.boolean();
    if (!reader.ok) return 'a malformed global request';
    if (wantReply)
      this.#owed.push(
        BINDS.has(name) || name === HOST_KEYS_PROVE ? 'either' : name === NO_MORE_SESSIONS ? 'success' : 'failure',
      );
    return null;
  }

  #saysConfirmation(reader: WireReader): string | null {
    const id = reader.uint32();
    const peerId = reader.uint32();
    const windowBytes = reader.uint32();
    const packetBytes = reader.uint32();
    if (!reader.ok) return 'a malformed open confirmation';
    const receiveBytes = this.#offered.get(id);
    if (receiveBytes === undefined) return null; // an answer to no question
    this.#offered.delete(id);
    if (this.#asked.has(peerId) || this.#openOf(peerId) !== undefined) this.#confused.add(peerId);
    this.#opened(id, peerId, receiveBytes, { echoes: false, windowBytes, packetBytes });
    return null;
  }

  #saysToChannel(type: number, reader: WireReader): string | null {
    const channel = this.#channels.get(reader.uint32());
    const known = channel !== undefined && !this.#confused.has(channel.peerId);
    switch (type) {
      case MSG.CHANNEL_REQUEST: {
        reader.text();
        const wantReply = reader.boolean();
        if (!reader.ok) return 'a malformed channel request';
        if (wantReply) channel?.saysRequest();
        return null;
      }
      case MSG.CHANNEL_WINDOW_ADJUST: {
        const bytes = reader.uint32();
        if (!reader.atEnd) return 'a malformed window adjust';
        return known ? channel.saysAdjust(bytes) : null;
      }
      case MSG.CHANNEL_EOF:
      case MSG.CHANNEL_CLOSE:
        if (!reader.atEnd) return 'a malformed end';
        if (type === MSG.CHANNEL_CLOSE && channel !== undefined) channel.peerClosed = true;
        return null;
      default: {
        if (type === MSG.CHANNEL_EXTENDED_DATA) reader.uint32();
        const data = reader.bytes();
        if (!reader.atEnd) return 'malformed data';
        if (channel === undefined) return 'data for no channel';
        return known ? channel.saysData(type, data) : null;
      }
    }
  }

  // --- what the server says ----------------------------------------------------------------------------------------

  hears(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const type = payload[0] ?? 0;
    switch (type) {
      case MSG.EXT_INFO:
      case MSG.UNIMPLEMENTED:
      case MSG.GLOBAL_REQUEST: // its keepalives
        return;
      case MSG.REQUEST_SUCCESS:
      case MSG.REQUEST_FAILURE:
        return this.#hearsReply(type);
      case MSG.CHANNEL_OPEN:
        return this.#hearsOpen(reader);
      case MSG.CHANNEL_OPEN_CONFIRMATION:
      case MSG.CHANNEL_OPEN_FAILURE:
        return this.#hearsAnswer(type, reader);
      default: {
        const peerId = reader.uint32();
        const channel = this.#openOf(peerId);
        if (this.#confused.has(peerId)) return;
        if (channel === undefined) this.#fault(`message ${type} for ${peerId}, which is not open`);
        else channel.hears(type, reader);
      }
    }
  }

  #hearsReply(type: number): void {
    const owed = this.#owed.shift();
    const said: Owed = type === MSG.REQUEST_SUCCESS ? 'success' : 'failure';
    if (owed === undefined) this.#fault('a reply to no request');
    else if (owed !== 'either' && owed !== said) this.#fault(`${said} where ${owed} was due`);
  }

  #hearsOpen(reader: WireReader): void {
    reader.text();
    const id = reader.uint32();
    const windowBytes = reader.uint32();
    if (!reader.ok) this.#fault('a malformed open of the server');
    this.#takes(id);
    this.#offered.set(id, windowBytes);
  }

  #hearsAnswer(type: number, reader: WireReader): void {
    const peerId = reader.uint32();
    const asked = this.#asked.get(peerId);
    const first = asked?.shift();
    if (first === undefined) return this.#fault(`an answer to no open, for ${peerId}`);
    if (asked?.length === 0) this.#asked.delete(peerId);
    if (type === MSG.CHANNEL_OPEN_FAILURE) return;
    const id = reader.uint32();
    const windowBytes = reader.uint32();
    const packetBytes = reader.uint32();
    if (!reader.atEnd || windowBytes === 0 || packetBytes < LEAST_PACKET_BYTES)
      this.#fault('a confirmation that is none');
    this.#takes(id);
    this.confirmed = { id, windowBytes };
    this.#opened(id, peerId, windowBytes, first);
  }

  /** The server gives a number of its own. */
  #takes(id: number): void {
    const before = this.#channels.get(id);
    const inUse = before !== undefined && !before.isOver && !this.#confused.has(before.peerId);
    if (this.#offered.has(id) || inUse) this.#fault(`number ${id} is given twice`);
    this.#channels.delete(id);
  }

  #opened(id: number, peerId: number, receiveBytes: number, asked: Asked): void {
    const { windowBytes: sendBytes, packetBytes } = asked;
    const echoes = asked.echoes && !this.#confused.has(peerId);
    const terms = { id, peerId, sendBytes, packetBytes, receiveBytes, echoes };
    this.#channels.set(id, new ChannelModel(terms, (what) => this.#fault(what)));
  }

  #openOf(peerId: number): ChannelModel | undefined {
    for (const channel of this.#channels.values())
      if (channel.peerId === peerId && !channel.serverClosed) return channel;
    return undefined;
  }

  #fault(what: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(what);
  }
}
