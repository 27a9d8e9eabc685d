/** FAKE PORT: what channels see of a transport, with a switch for "the peer does not read", and everything that was sent
 *  through it. Owns the record. */
import { MSG } from '../../src/shared/protocol.js';
import type { Channel, ChannelPort, ChannelUser } from '../../src/worker/channel/channel.js';

/** One message, as far as tests look into it. */
export interface Sent {
  readonly type: number;
  /** The number that it is addressed to. */
  readonly to: number;
  /** Of CHANNEL_DATA; of a window adjust the amount, in decimal. */
  readonly text: string;
}

export class FakePort implements ChannelPort {
  writable = true;
  readonly sent: Sent[] = [];
  /** Becomes unwritable once this many data bytes have gone out. */
  capacityBytes = Number.POSITIVE_INFINITY;

  send(payload: Uint8Array): void {
    const bytes = Buffer.from(payload);
    const type = bytes.readUInt8(0);
    const text = type === MSG.CHANNEL_WINDOW_ADJUST ? String(bytes.readUInt32BE(5)) : bytes.subarray(5).toString();
    this.sent.push({ type, to: bytes.length >= 5 ? bytes.readUInt32BE(1) : -1, text });
  }
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void {
    if (!this.writable) throw new Error('sealed while not writable');
    const text = Buffer.from(source.subarray(start, end)).toString();
    this.sent.push({ type: MSG.CHANNEL_DATA, to: recipientChannel, text });
    this.capacityBytes -= end - start;
    if (this.capacityBytes <= 0) this.writable = false;
  }

  /** Takes what was sent so far: `TYPE>TO text`. */
  take(): string[] {
    return this.sent.splice(0).map(({ type, to, text }) => `${NAMES.get(type) ?? type}>${to}${text && ` ${text}`}`);
  }
}

const NAMES = new Map<number, string>(
  Object.entries(MSG)
    .filter(([name]) => name.startsWith('CHANNEL_'))
    .map(([name, number]) => [number, name.slice('CHANNEL_'.length)]),
);

/** A user that writes down what it is told, and can be made to send. */
export class FakeUser implements ChannelUser {
  readonly heard: string[] = [];
  readonly #channel: Channel;
  /** What is still to be sent, when it may be. */
  toSend = '';
  /** Grants this request. */
  grants = '';
  /** Set: what was kept until called. */
  released: (() => void) | null = null;
  keepsNumber = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.attach(this);
  }
  /** Sends as much as the channel takes. */
  pump(): void {
    const bytes = Buffer.from(this.toSend);
    this.toSend = bytes.subarray(this.#channel.write(bytes, 0, bytes.length)).toString();
  }
  onData(bytes: Buffer): void {
    this.heard.push(`data ${bytes.toString()}`);
  }
  onEof(): void {
    this.heard.push('eof');
  }
  onWritable(): void {
    this.heard.push('writable');
    if (this.toSend !== '') this.pump();
  }
  onReadEnd(): void {
    this.heard.push('read end');
  }
  onHold(): void {
    this.heard.push('hold');
  }
  onRequest(name: string): boolean {
    this.heard.push(`request ${name}`);
    return name === this.grants;
  }
  onClose(released: () => void): void {
    this.heard.push('close');
    if (this.keepsNumber) this.released = released;
    else released();
  }
  /** Takes what was heard so far. */
  take(): string[] {
    return this.heard.splice(0);
  }
}
