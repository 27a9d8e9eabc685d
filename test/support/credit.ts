/** CREDIT: what a peer may still send on its channel, and a peer that sends all of it. Owns the count of one channel. */
import { MSG } from '../../src/shared/protocol.js';
import { dataMessage, keyStream, type OpenChannel, type RawClient } from './raw_client.js';

/** Turns of the server without new credit after which none is taken to come. */
const QUIET_TURNS = 20;

export class Credit {
  readonly #client: RawClient;
  readonly #channel: OpenChannel;
  readonly #next = keyStream(1);
  #bytes: number;

  /** Takes the channel's window adjusts from the client from now on. */
  constructor(client: RawClient, channel: OpenChannel) {
    this.#client = client;
    this.#channel = channel;
    this.#bytes = channel.windowBytes;
    client.intercept = (payload) => {
      if (payload[0] !== MSG.CHANNEL_WINDOW_ADJUST || payload.readUInt32BE(1) !== channel.id) return false;
      this.#bytes += payload.readUInt32BE(5);
      return true;
    };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Sends until the server gives no more: neither the target nor the kernel takes any.
   *  @param turn resolves when the server has had its turn
   *  @param least credit that is kept
   *  @returns how many bytes went */
  async exhaust(
    turn: () => Promise<void>,
    { least = 0, onSent = ignore }: { readonly least?: number; readonly onSent?: (bytes: Buffer) => void } = {},
  ): Promise<number> {
    let sent = 0;
    for (let turns = 0; turns < QUIET_TURNS; turns++) {
      while (this.#bytes > least) {
        turns = 0;
        const bytes = this.#next(Math.min(this.#bytes - least, 32_768));
        onSent(bytes);
        sent += bytes.length;
        this.#bytes -= bytes.length;
        this.#client.send(dataMessage(this.#channel, bytes));
      }
      await turn();
    }
    return sent;
  }
}

function ignore(): void {}
