/** SESSION CLIENT: a `session` channel in the hands of a raw client. Owns the text that has come. */
import { MSG, message, type WireField, WireReader } from '../../src/shared/protocol.js';
import { confirmed, dataMessage, LARGE_WINDOW_BYTES, type RawClient } from './raw_client.js';

export interface SessionClient {
  /** Wants no reply. */
  request(name: string, ...fields: WireField[]): void;
  type(keys: string): void;
  /** Resolves when the next bytes are these, in whatever pieces. */
  heard(text: string): Promise<void>;
}

export async function wire(client: RawClient, id = 0): Promise<SessionClient> {
  client.send(message(MSG.CHANNEL_OPEN, 'session', id, LARGE_WINDOW_BYTES, 32_768));
  const channel = await confirmed(client, id);
  return {
    request: (name, ...fields) => client.send(message(MSG.CHANNEL_REQUEST, channel.peerId, name, false, ...fields)),
    type: (keys) => client.send(dataMessage(channel, keys)),
    async heard(text) {
      let come = '';
      while (come.length < text.length) {
        const reader = new WireReader(await client.take(MSG.CHANNEL_DATA), 5);
        come += reader.text();
      }
      if (come !== text) throw new Error(`heard ${JSON.stringify(come)} and not ${JSON.stringify(text)}`);
    },
  };
}
