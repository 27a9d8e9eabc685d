/** PLAIN CLIENT: an SSH peer that has no keys yet: it says packets in the clear (RFC 4253 §6), right ones and wrong ones, and
 *  keeps what the server says in the clear. Owns what it has read of its socket. */
import type { Socket } from 'node:net';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { DEADLINE_MS, deferred, within } from './deadline.js';
import type { Ended } from './raw_client.js';

const HEADER_BYTES = 5;
const BLOCK_BYTES = 8;

/** A packet in the clear. `says` lies about its length or its padding. */
export function plainPacket(payload: Uint8Array, says: { length?: number; padding?: number } = {}): Buffer {
  let padding = BLOCK_BYTES - ((HEADER_BYTES + payload.length) % BLOCK_BYTES);
  if (padding < 4) padding += BLOCK_BYTES;
  const packet = Buffer.alloc(HEADER_BYTES + payload.length + padding);
  packet.writeUInt32BE(says.length ?? packet.length - 4);
  packet.writeUInt8(says.padding ?? padding, 4);
  packet.set(payload, HEADER_BYTES);
  return packet;
}

export interface KexInitOptions {
  readonly kex?: readonly string[];
  readonly hostKey?: readonly string[];
  readonly cipher?: readonly string[];
  readonly mac?: readonly string[];
  readonly compression?: readonly string[];
  readonly firstKexFollows?: boolean;
}

export const STRICT_KEX = 'kex-strict-c-v00@openssh.com';
export const CURVE25519 = 'curve25519-sha256';

/** RFC 4253 §7.1; both directions alike. */
export function kexInit(options: KexInitOptions = {}): Buffer {
  const { kex = [CURVE25519], hostKey = ['ssh-ed25519'], cipher = ['aes128-gcm@openssh.com'] } = options;
  const { mac = ['hmac-sha2-256'], compression = ['none'], firstKexFollows = false } = options;
  const lists = [kex, hostKey, cipher, cipher, mac, mac, compression, compression, [], []];
  return message(
    MSG.KEXINIT,
    { raw: Buffer.alloc(16, 1) },
    ...lists.map((names) => names.join(',')),
    firstKexFollows,
    0,
  );
}

/** RFC 5656 §4, RFC 8731 §3. */
export function ecdhInit(point: Uint8Array): Buffer {
  return message(KEX_ECDH_INIT, point);
}

export const KEX_ECDH_INIT = 30;
export const KEX_ECDH_REPLY = 31;
/** The base point of Curve25519: as good as any. */
export const X25519_POINT: Buffer = Buffer.concat([Buffer.of(9), Buffer.alloc(31)]);

export class PlainClient {
  readonly socket: Socket;
  readonly #payloads: Buffer[] = [];
  readonly #ended = deferred<Ended>();
  readonly #waiters = new Set<() => void>();
  #unread = Buffer.alloc(0);
  #identSeen = false;
  #sealed = false;
  #end: Ended | null = null;
  #said: Ended = { reason: null, text: '' };

  /** Says its ident at once. */
  constructor(socket: Socket, ident = 'SSH-2.0-PlainClient\r\n') {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#parse();
      this.#wake();
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.#end = this.#said;
      this.#ended.resolve(this.#said);
      this.#wake();
    });
    socket.write(ident);
  }

  /** Resolves when the server has closed the connection, with what it said of it. */
  get ended(): Promise<Ended> {
    return within(this.#ended.promise, 'end of the connection');
  }

  send(payload: Uint8Array): void {
    this.socket.write(plainPacket(payload));
  }

  /** The first payload of this type that was not taken yet. */
  async take(type: number): Promise<Buffer> {
    const { promise, resolve, reject } = deferred<Buffer>();
    const look = (): void => {
      const at = this.#payloads.findIndex((payload) => payload[0] === type);
      const [found] = at === -1 ? [] : this.#payloads.splice(at, 1);
      if (found !== undefined) resolve(found);
      else if (this.#end !== null) reject(new Error(`ended before message ${type}: ${JSON.stringify(this.#end)}`));
      else return;
      this.#waiters.delete(look);
    };
    this.#waiters.add(look);
    look();
    return await within(promise, `message ${type}`, DEADLINE_MS);
  }

  /** Types of what came and was not taken. */
  get untaken(): number[] {
    return this.#payloads.map((payload) => payload[0] ?? -1);
  }

  #parse(): void {
    if (!this.#skipIdent()) return;
    while (!this.#sealed && this.#unread.length >= HEADER_BYTES) {
      const end = 4 + this.#unread.readUInt32BE(0);
      if (this.#unread.length < end) return;
      const payload = Buffer.from(this.#unread.subarray(HEADER_BYTES, end - this.#unread.readUInt8(4)));
      this.#unread = this.#unread.subarray(end);
      this.#payloads.push(payload);
      if (payload[0] === MSG.NEWKEYS) this.#sealed = true;
      if (payload[0] !== MSG.DISCONNECT) continue;
      const reader = new WireReader(payload, 1);
      this.#said = { reason: reader.uint32(), text: reader.text() };
    }
  }

  /** @returns whether the line has come whole */
  #skipIdent(): boolean {
    if (this.#identSeen) return true;
    const end = this.#unread.indexOf('\n');
    if (end === -1) return false;
    this.#unread = this.#unread.subarray(end + 1);
    this.#identSeen = true;
    return true;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}
