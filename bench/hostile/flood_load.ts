/** FLOOD LOAD: the flood itself, in a process of its own: so many connections a second that never log in. Owns its sockets.
 *  argv: PORT KIND SOURCES RATE SECONDS; prints one line of JSON at the end. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { concatFields, MSG, message } from '../../src/shared/protocol.js';

/** close: goes at once. hold: says nothing and stays. kex: makes the server reckon a key exchange, and goes. pq: the same with
 *  mlkem768x25519-sha256, which costs it most. */
export const FLOOD_KINDS = ['close', 'hold', 'kex', 'pq'] as const;
export type FloodKind = (typeof FLOOD_KINDS)[number];
/** one: a single address. many: 250. new: every connection from another one. */
export type FloodSources = 'one' | 'many' | 'new';

export interface FloodReport {
  readonly made: number;
  /** No connection came about. */
  readonly failed: number;
}

const TICK_MS = 5;

function sourceOf(sources: FloodSources, index: number): string {
  if (sources === 'one') return '127.1.0.1';
  if (sources === 'many') return `127.1.1.${(index % 250) + 1}`;
  return `127.2.${(index >> 8) & 0xff}.${index & 0xff}`;
}

/** An ident, KEXINIT and a first KEXDH_INIT, as one write. */
function keyExchange(kind: 'kex' | 'pq'): Buffer {
  const once = ['aes128-gcm@openssh.com', 'aes128-gcm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none'];
  const init = message(
    MSG.KEXINIT,
    { raw: randomBytes(16) },
    kind === 'pq' ? 'mlkem768x25519-sha256' : 'curve25519-sha256',
    'ssh-ed25519',
    ...once,
    '',
    '',
    false,
    0,
  );
  return Buffer.concat([
    Buffer.from('SSH-2.0-Flood\r\n'),
    packet(init),
    packet(message(30, Buffer.concat([kind === 'pq' ? ML_KEM_KEY : EMPTY, randomBytes(32)]))),
  ]);
}

/** Its numbers are zeros, which are below the modulus: as good as any for whoever encapsulates to it. */
const ML_KEM_KEY = Buffer.alloc(1184);
const EMPTY = Buffer.alloc(0);

/** RFC 4253 §6, before keys. */
function packet(payload: Buffer): Buffer {
  const short = 8 - ((payload.length + 5) % 8);
  const padding = short < 4 ? short + 8 : short;
  return concatFields([
    payload.length + padding + 1,
    { byte: padding },
    { raw: payload },
    { raw: Buffer.alloc(padding) },
  ]);
}

/** Ident and KEXINIT of the server are less; with its reply to KEXDH_INIT it is more. */
const KEX_REPLY_BYTES = { kex: 700, pq: 700 + 1088 };

function one(port: number, kind: FloodKind, localAddress: string, failed: () => void): Socket {
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
  const exchanges = kind === 'kex' || kind === 'pq' ? kind : null;
  let heard = 0;
  socket.on('error', () => {
    if (socket.connecting) failed();
  });
  socket.on('data', (bytes) => {
    heard += bytes.length;
    if (kind === 'close' || (exchanges !== null && heard >= KEX_REPLY_BYTES[exchanges])) socket.destroy();
  });
  socket.on('end', () => socket.destroy());
  if (exchanges !== null) socket.on('connect', () => socket.write(keyExchange(exchanges)));
  return socket;
}

async function main([port, asked, sources, rate, seconds]: readonly string[]): Promise<FloodReport> {
  const kind = FLOOD_KINDS.find((name) => name === asked);
  if (kind === undefined) throw new Error(`no kind ${asked}`);
  if (sources !== 'one' && sources !== 'many' && sources !== 'new') throw new Error(`no sources ${sources}`);
  const open = new Set<Socket>();
  const startedMs = performance.now();
  const untilMs = startedMs + Number(seconds) * 1_000;
  let made = 0;
  let failed = 0;
  while (performance.now() < untilMs) {
    const due = ((performance.now() - startedMs) / 1_000) * Number(rate);
    for (; made < due; made++) {
      const socket = one(Number(port), kind, sourceOf(sources, made), () => failed++);
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  for (const socket of open) socket.destroy();
  return { made, failed };
}

process.stdout.write(`${JSON.stringify(await main(process.argv.slice(2)))}\n`);
