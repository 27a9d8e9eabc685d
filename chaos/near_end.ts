/** NEAR END: where a flow goes in: a connection to a port or path of a client's or of the server's, through SOCKS where the way
 *  is `-D`, and the flow's name as the first thing that is said.
 *  Owns the socket until the far end's banner has come; the rest is the flow end's. Never rejects. */
import { connect, type Socket } from 'node:net';
import { errnoOf } from '../src/shared/errors.js';
import { SOCKS5_HELLO, SOCKS5_HELLO_REPLY_BYTES, SOCKS5_REPLY_BYTES, socks5Request } from '../test/support/socks.js';
import { BANNER, nameOf, take } from './far_ends.js';
import { FlowEnd, type FlowEndOptions } from './flow_end.js';

/** Where the near end of a flow goes in. */
export interface Door {
  readonly at: { readonly port: number; readonly host: string } | { readonly path: string };
  /** The destination is asked for by SOCKS5. */
  readonly socks: { readonly host: string; readonly port: number } | null;
}

/** @returns what came in place of the banner, when that was something */
export async function openNearEnd(door: Door, run: number, options: FlowEndOptions): Promise<string | null> {
  const { id, ledger } = options;
  const socket = connect({ ...door.at, noDelay: true, allowHalfOpen: true });
  let error: string | null = null;
  const onError = (thrown: Error): void => {
    error = errnoOf(thrown) ?? thrown.message;
  };
  const onClose = (): void => ledger.closed(id, 'near', error, performance.now());
  socket.on('error', onError).on('close', onClose);
  const banner = await enter(socket, door, run, id);
  if (banner === null) {
    socket.destroy(); // if it is not closed already: its other side has ended
    return null;
  }
  if (!banner.equals(BANNER)) {
    socket.destroy();
    return banner.toString('latin1');
  }
  socket.off('error', onError).off('close', onClose);
  new FlowEnd(socket, options);
  return null;
}

async function enter(socket: Socket, { socks }: Door, run: number, id: number): Promise<Buffer | null> {
  if (socks !== null) {
    socket.write(SOCKS5_HELLO);
    if ((await take(socket, SOCKS5_HELLO_REPLY_BYTES)) === null) return null;
    socket.write(socks5Request(socks.host, socks.port));
    if ((await take(socket, SOCKS5_REPLY_BYTES)) === null) return null;
  }
  socket.write(nameOf(run, id));
  return await take(socket, BANNER.length);
}
