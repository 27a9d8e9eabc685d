/** SOCKS: the client side of SOCKS5 (RFC 1928), CONNECT only, for the `-D` end of OpenSSH. Owns nothing. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Test } from 'tap';
import { within } from './deadline.js';
import { connect, cut } from './targets.js';

const VERSION = 5;
const CONNECT = 1;
const ADDRESS_IPV4 = 1;
const ADDRESS_NAME = 3;
export const SOCKS5_REPLY_BYTES = 10; // with an IPv4 bound address, which is what OpenSSH answers

/** A connection through the proxy to `host`, which the far side resolves. Rejects when it is refused. */
export async function socks5(t: Test, proxyPort: number, host: string, port: number): Promise<Socket> {
  const socket = await ask(t, proxyPort, host, port);
  const reply = await take(socket, SOCKS5_REPLY_BYTES);
  if (reply[1] !== 0 || reply[3] !== ADDRESS_IPV4) throw new Error(`SOCKS reply ${reply.toString('hex')}`);
  return socket;
}

/** Asks for a connection that the server will refuse and waits for the close. OpenSSH says "succeeded" before it has
 *  asked its server, and closes on a refusal whether or not that answer is out: no reply counts here. */
export async function socks5Refused(t: Test, proxyPort: number, host: string, port: number): Promise<void> {
  await cut(await ask(t, proxyPort, host, port));
}

async function ask(t: Test, proxyPort: number, host: string, port: number): Promise<Socket> {
  const socket = await connect(t, proxyPort);
  socket.write(SOCKS5_HELLO);
  const greeting = await take(socket, SOCKS5_HELLO_REPLY_BYTES);
  if (greeting[0] !== VERSION || greeting[1] !== 0) throw new Error(`SOCKS greeting ${greeting.toString('hex')}`);
  socket.write(socks5Request(host, port));
  return socket;
}

/** One method is offered: no login. */
export const SOCKS5_HELLO: Buffer = Buffer.from([VERSION, 1, 0]);
export const SOCKS5_HELLO_REPLY_BYTES = 2;

export function socks5Request(host: string, port: number): Buffer {
  const name = Buffer.from(host);
  return Buffer.concat([
    Buffer.from([VERSION, CONNECT, 0, ADDRESS_NAME, name.length]),
    name,
    Buffer.from([port >> 8, port & 0xff]),
  ]);
}

async function take(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(length);
    if (bytes !== null && bytes.length === length) return bytes;
    if (socket.readableEnded || socket.destroyed) throw new Error('the proxy closed the connection');
    await within(Promise.race([once(socket, 'readable'), once(socket, 'close')]), 'SOCKS answer');
  }
}
