/** PROTOCOL: the numbers of RFC 4250-4254 in wire order, and how their data types are read and written (RFC 4251 §5).
 *  Owns nothing. Never throws on a peer's bytes: a reader that ran out says so by `ok === false`. */

/** SSH message numbers (RFC 4250 §4.1). */
export const MSG = {
  DISCONNECT: 1,
  IGNORE: 2,
  UNIMPLEMENTED: 3,
  DEBUG: 4,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  EXT_INFO: 7, // RFC 8308
  KEXINIT: 20,
  NEWKEYS: 21,
  USERAUTH_REQUEST: 50,
  USERAUTH_FAILURE: 51,
  USERAUTH_SUCCESS: 52,
  USERAUTH_BANNER: 53,
  USERAUTH_PK_OK: 60, // RFC 4252 §7; the number is shared by method (RFC 4256 INFO_REQUEST)
  USERAUTH_INFO_REQUEST: 60,
  USERAUTH_INFO_RESPONSE: 61,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_OPEN_FAILURE: 92,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EXTENDED_DATA: 95,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
  CHANNEL_REQUEST: 98,
  CHANNEL_SUCCESS: 99,
  CHANNEL_FAILURE: 100,
  PING: 192, // ping@openssh.com
  PONG: 193,
} as const;

/** Reasons of SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254 §5.1). */
export const OPEN_FAILURE = {
  ADMINISTRATIVELY_PROHIBITED: 1,
  CONNECT_FAILED: 2,
  UNKNOWN_CHANNEL_TYPE: 3,
  RESOURCE_SHORTAGE: 4,
} as const;
export type OpenFailure = (typeof OPEN_FAILURE)[keyof typeof OPEN_FAILURE];

/** Reasons of SSH_MSG_DISCONNECT (RFC 4253 §11.1). */
export const DISCONNECT = {
  HOST_NOT_ALLOWED_TO_CONNECT: 1,
  PROTOCOL_ERROR: 2,
  KEY_EXCHANGE_FAILED: 3,
  MAC_ERROR: 5,
  SERVICE_NOT_AVAILABLE: 7,
  PROTOCOL_VERSION_NOT_SUPPORTED: 8,
  CONNECTION_LOST: 10,
  BY_APPLICATION: 11,
  TOO_MANY_CONNECTIONS: 12,
  NO_MORE_AUTH_METHODS_AVAILABLE: 14,
  ILLEGAL_USER_NAME: 15,
} as const;
export type DisconnectReason = (typeof DISCONNECT)[keyof typeof DISCONNECT];

/** Largest `uint32`; also the largest window a channel may reach (RFC 4254 §5.2). */
export const UINT32_MAX = 0xffff_ffff;

/** Reads the data types of RFC 4251 §5 from one payload. The views it returns share the payload's memory: whoever
 *  keeps one beyond the current call copies it. After a short read every later read returns an empty value and `ok`
 *  stays false, so that a parser may read all its fields and ask once at the end. */
export class WireReader {
  readonly #buffer: Buffer;
  #offset: number;
  #ok = true;

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  /** False once a field reached beyond the payload's end. */
  get ok(): boolean {
    return this.#ok;
  }
  get offset(): number {
    return this.#offset;
  }
  /** Bytes that are left; 0 after a short read, so that a loop over a list ends. */
  get left(): number {
    return this.#ok ? this.#buffer.length - this.#offset : 0;
  }
  /** True when every byte was read and none was missing. */
  get atEnd(): boolean {
    return this.#ok && this.#offset === this.#buffer.length;
  }

  byte(): number {
    return this.#take(1) ? this.#buffer.readUInt8(this.#offset - 1) : 0;
  }
  boolean(): boolean {
    return this.byte() !== 0;
  }
  uint32(): number {
    return this.#take(4) ? this.#buffer.readUInt32BE(this.#offset - 4) : 0;
  }
  uint64(): bigint {
    return this.#take(8) ? this.#buffer.readBigUInt64BE(this.#offset - 8) : 0n;
  }
  /** A `string` as a view of its bytes. */
  bytes(): Buffer {
    const length = this.uint32();
    return this.#take(length) ? this.#buffer.subarray(this.#offset - length, this.#offset) : EMPTY;
  }
  /** A `string` as UTF-8 text; bytes that are no UTF-8 become U+FFFD. */
  text(): string {
    return this.bytes().toString('utf8');
  }
  /** All that is left. */
  rest(): Buffer {
    const start = this.#offset;
    this.#offset = this.#buffer.length;
    return this.#ok ? this.#buffer.subarray(start) : EMPTY;
  }

  #take(length: number): boolean {
    if (!this.#ok || length > this.#buffer.length - this.#offset) {
      this.#ok = false;
      return false;
    }
    this.#offset += length;
    return true;
  }
}

const EMPTY = Buffer.alloc(0);

/** One field to write: a number is a `uint32`, a string or Buffer is a `string` with its length before it. */
export type WireField =
  | number
  | string
  | Uint8Array
  | boolean
  | { readonly byte: number }
  | { readonly raw: Uint8Array };

/** Builds one payload: the message number, then the fields in order (RFC 4251 §5). Numbers are uint32, strings and
 *  Buffers carry their length, booleans are one byte, `{ byte }` is one byte, `{ raw }` is copied as it is.
 *  For control messages; channel data is sealed without this copy (worker/transport). */
export function message(number: number, ...fields: WireField[]): Buffer {
  return concatFields([{ byte: number }, ...fields]);
}

/** The same fields with no message number before them: blobs, replies' data, signed data. */
export function concatFields(fields: readonly WireField[]): Buffer {
  let length = 0;
  for (const field of fields) {
    if (typeof field === 'number') length += 4;
    else if (typeof field === 'boolean') length += 1;
    else if (typeof field === 'string') length += 4 + Buffer.byteLength(field);
    else if ('byte' in field) length += 1;
    else if ('raw' in field) length += field.raw.length;
    else length += 4 + field.length;
  }
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  for (const field of fields) {
    if (typeof field === 'number') at = out.writeUInt32BE(field, at);
    else if (typeof field === 'boolean') at = out.writeUInt8(field ? 1 : 0, at);
    else if (typeof field === 'string') {
      const written = out.write(field, at + 4, 'utf8');
      out.writeUInt32BE(written, at);
      at += 4 + written;
    } else if ('byte' in field) at = out.writeUInt8(field.byte, at);
    else if ('raw' in field) {
      out.set(field.raw, at);
      at += field.raw.length;
    } else {
      out.writeUInt32BE(field.length, at);
      out.set(field, at + 4);
      at += 4 + field.length;
    }
  }
  return out;
}

/** An `mpint` that is not negative (RFC 4251 §5), from its bytes in network order; the length is not written: no needless
 *  leading zeros, and one where the number would look negative. May share the memory of `bytes`. */
export function mpint(bytes: Buffer): Buffer {
  let at = 0;
  while (at < bytes.length && bytes[at] === 0) at++;
  const magnitude = bytes.subarray(at);
  return (magnitude[0] ?? 0) < 0x80 ? magnitude : Buffer.concat([Buffer.alloc(1), magnitude]);
}
