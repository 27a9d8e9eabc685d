/** RECORDING TRANSPORT: what a Connection sees of a transport, where the messages go into a model.
 *  Owns the end of the connection, and whether its peer reads. Like the true one it tells of the end at once, within the call. */
import type { CloseReason } from '../../src/shared/errors.js';
import { DISCONNECT, type DisconnectReason, MSG, message } from '../../src/shared/protocol.js';
import type { ConnectionTransport } from '../../src/worker/connection/surroundings.js';
import type { ConnectionModel } from './connection_model.js';

export class RecordingTransport implements ConnectionTransport {
  readonly queuedBytes = 0;
  readonly writeProgress = 0;
  readonly isExchanging = false;
  readonly faults: string[] = [];
  readonly #model: ConnectionModel;
  writable = true;
  ended: string | null = null;
  onEnd: () => void = () => {};

  constructor(model: ConnectionModel) {
    this.#model = model;
  }

  send(payload: Uint8Array): void {
    if (this.ended === null) this.#model.hears(Buffer.from(payload));
  }
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void {
    if (!this.writable) this.faults.push('data was sealed while the peer does not read');
    this.send(message(MSG.CHANNEL_DATA, recipientChannel, source.subarray(start, end)));
  }
  sendUnimplemented(): void {
    this.send(message(MSG.UNIMPLEMENTED, 0));
  }
  rekeyIfDue(): void {}

  disconnect(reason: DisconnectReason, text: string, closeReason: CloseReason): void {
    if (this.ended !== null) return;
    // Whatever a peer says, it is the peer's fault.
    if (reason !== DISCONNECT.PROTOCOL_ERROR || closeReason !== 'PROTOCOL_ERROR')
      this.faults.push(`ended as ${closeReason}: ${text}`);
    this.ended = text;
    this.onEnd();
  }
  abort(reason: CloseReason): void {
    if (this.ended !== null) return;
    this.faults.push(`aborted as ${reason}`);
    this.ended = reason;
    this.onEnd();
  }
}
