/** CHANNEL MODEL: what RFC 4254 §5 lets a server say of one channel, told from the messages alone.
 *  Owns the windows, EOF and CLOSE of one channel as its peer sees them. */
import { MSG, UINT32_MAX, type WireReader } from '../../src/shared/protocol.js';

/** Largest data of a message (RFC 4253 §6.1). */
const MAX_DATA_BYTES = 32_768;

export interface ChannelTerms {
  /** The server's number and the peer's. */
  readonly id: number;
  readonly peerId: number;
  /** What the server may send, and how much of it in one message. */
  readonly sendBytes: number;
  readonly packetBytes: number;
  /** What the peer may send. */
  readonly receiveBytes: number;
  /** The far end gives back what it gets. */
  readonly echoes: boolean;
}

export class ChannelModel {
  readonly id: number;
  readonly peerId: number;
  readonly #fault: (what: string) => void;
  readonly #packetBytes: number;
  #sendBytes: number;
  #receiveBytes: number;
  /** Bytes of ours that an echo has not given back; null where nothing is known of the answer. */
  #unechoed: Buffer | null;
  #wanted = 0;
  #replied = 0;
  #eof = false;
  serverClosed = false;
  peerClosed = false;

  constructor(terms: ChannelTerms, fault: (what: string) => void) {
    this.id = terms.id;
    this.peerId = terms.peerId;
    this.#packetBytes = terms.packetBytes;
    this.#sendBytes = terms.sendBytes;
    this.#receiveBytes = terms.receiveBytes;
    this.#unechoed = terms.echoes ? Buffer.alloc(0) : null;
    this.#fault = (what) => fault(`channel ${terms.id}: ${what}`);
  }

  /** CLOSE has gone both ways. */
  get isOver(): boolean {
    return this.peerClosed && this.serverClosed;
  }

  /** What it must have come to while the connection lives. */
  check(): void {
    if (this.peerClosed && !this.serverClosed) this.#fault('our CLOSE was not answered');
    if (!this.serverClosed && this.#replied !== this.#wanted)
      this.#fault(`${this.#replied} replies to ${this.#wanted} requests`);
  }

  // --- what we say; the answer is why the connection must end by it ----------------------------------------------------

  saysRequest(): void {
    if (!this.peerClosed && !this.serverClosed) this.#wanted++;
  }

  saysData(type: number, data: Buffer): string | null {
    if (data.length > MAX_DATA_BYTES) return 'too much data in one message';
    if (this.peerClosed) return 'data behind our CLOSE';
    this.#receiveBytes -= data.length;
    if (this.serverClosed) return null; // thrown away: what it counts behind its CLOSE is its own affair
    if (this.#receiveBytes < 0) return 'data beyond the window';
    if (type === MSG.CHANNEL_DATA && this.#unechoed !== null) this.#unechoed = Buffer.concat([this.#unechoed, data]);
    return null;
  }

  saysAdjust(bytes: number): string | null {
    if (this.isOver) return null; // it may be forgotten
    this.#sendBytes += bytes;
    return this.#sendBytes > UINT32_MAX ? 'a window beyond 2^32-1' : null;
  }

  // --- what the server says ----------------------------------------------------------------------------------------

  hears(type: number, reader: WireReader): void {
    switch (type) {
      case MSG.CHANNEL_DATA:
        return this.#hearsData(reader.bytes(), true);
      case MSG.CHANNEL_EXTENDED_DATA:
        reader.uint32();
        return this.#hearsData(reader.bytes(), false);
      case MSG.CHANNEL_WINDOW_ADJUST:
        this.#receiveBytes += reader.uint32();
        if (this.#receiveBytes > UINT32_MAX) this.#fault('a window beyond 2^32-1');
        return;
      case MSG.CHANNEL_EOF:
        if (this.#eof) this.#fault('EOF twice');
        this.#eof = true;
        return;
      case MSG.CHANNEL_CLOSE:
        this.serverClosed = true;
        return;
      case MSG.CHANNEL_SUCCESS:
      case MSG.CHANNEL_FAILURE:
        if (++this.#replied > this.#wanted) this.#fault('a reply to no request');
        return;
      case MSG.CHANNEL_REQUEST: // exit-status
        return;
      default:
        this.#fault(`message ${type} of the server`);
    }
  }

  #hearsData(data: Buffer, isOutput: boolean): void {
    this.#sendBytes -= data.length;
    if (data.length === 0) this.#fault('data of no bytes');
    if (data.length > Math.min(this.#packetBytes, MAX_DATA_BYTES)) this.#fault('too much in one message');
    if (this.#sendBytes < 0) this.#fault('more than its window');
    if (this.#eof) this.#fault('data behind EOF');
    if (this.#unechoed === null || !isOutput) return;
    if (!this.#unechoed.subarray(0, data.length).equals(data)) this.#fault('an echo of other bytes');
    this.#unechoed = this.#unechoed.subarray(data.length);
  }
}
