/** REQUESTS: what a client asks for with -R and with Unix sockets, as messages (RFC 4254 §7.1; OpenSSH's PROTOCOL §2.4), and
 *  the server's answers. Owns nothing. */
import { MSG, message } from '../../src/shared/protocol.js';
import { LARGE_WINDOW_BYTES, type RawClient } from './raw_client.js';

/** The port of a yes, 0 where it carries none; null for a no. */
export type Granted = number | null;

export function bindRequest(host: string, port: number): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, host, port);
}

export function cancelRequest(host: string, port: number): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, host, port);
}

export function bindSocketRequest(path: string): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, path);
}

export function cancelSocketRequest(path: string): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'cancel-streamlocal-forward@openssh.com', true, path);
}

/** direct-streamlocal@openssh.com */
export function socketOpen(path: string, id = 0): Buffer {
  return message(MSG.CHANNEL_OPEN, 'direct-streamlocal@openssh.com', id, LARGE_WINDOW_BYTES, 32_768, path, '', 0);
}

/** Sends a request that wants a reply, and takes the next reply. */
export async function asked(client: RawClient, request: Buffer): Promise<Granted> {
  client.send(request);
  return await replied(client);
}

/** Takes the reply to the oldest request that waits for one: they come in order. */
export async function replied(client: RawClient): Promise<Granted> {
  const reply = await client.takeFirst([MSG.REQUEST_SUCCESS, MSG.REQUEST_FAILURE]);
  if (reply[0] === MSG.REQUEST_FAILURE) return null;
  return reply.length > 1 ? reply.readUInt32BE(1) : 0;
}
