/** RAW CLIENT: an SSH client that says whatever a test wants, in any state: before keys, before login, after.
 *  Owns its socket until the test ends. ssh2's `Protocol` agrees on the keys; every payload behind them is the test's own,
 *  and what the server sends is kept until the test takes it. */
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, type Socket } from 'node:net';
import { concatFields, MSG, message, WireReader } from '../../src/shared/protocol.js';
import { HYBRID_KEX } from '../../src/worker/transport/algorithms.js';
import type { Negotiated, Offer, Ssh2KexInit, Ssh2KeyExchange } from '../../src/worker/transport/ssh2.js';
import { DEADLINE_MS, deferred, within } from './deadline.js';
import { acceptStandIn, useHybridClient } from './hybrid_client.js';
import type { SshEndpoint } from './server.js';

interface ClientCipher {
  allocPacket(payloadBytes: number): Buffer;
  encrypt(packet: Uint8Array): void;
}

interface ClientProtocol {
  start(): void;
  parse(chunk: Uint8Array, start: number, end: number): void;
  rekey(): void;
  _onPayload: (payload: Buffer) => undefined | false | number;
  _onHandshakeComplete: (negotiated: Negotiated) => void;
  _offer: Ssh2KexInit;
  _strictMode: boolean | undefined;
  readonly _kexinit: Buffer | undefined;
  _kex: Ssh2KeyExchange | undefined;
  readonly _cipher: ClientCipher;
}

interface ClientProtocolOptions {
  readonly server: false;
  readonly ident: string;
  readonly offer: Ssh2KexInit;
  onWrite(data: Buffer): void;
  onError(error: Error): void;
  readonly messageHandlers: object;
}

interface PrivateKey {
  readonly type: string;
  getPublicSSH(): Buffer;
  sign(data: Buffer): Buffer;
}

const require = createRequire(import.meta.url);
const ssh2: {
  readonly Protocol: new (options: ClientProtocolOptions) => ClientProtocol;
  readonly KexInit: new (offer: Offer) => Ssh2KexInit;
  readonly parseKey: (text: string) => PrivateKey;
} = {
  Protocol: require('ssh2/lib/protocol/Protocol.js'),
  KexInit: require('ssh2/lib/protocol/kex.js').KexInit,
  parseKey: require('ssh2/lib/protocol/keyParser.js').parseKey,
};

export interface RawClientOptions {
  /** Default curve25519-sha256; also mlkem768x25519-sha256 (hybrid_client.ts). */
  readonly kex?: string;
  /** Default aes128-gcm@openssh.com. */
  readonly cipher?: string;
  /** Only where the cipher needs one. */
  readonly mac?: string;
  /** Default true: announces strict key exchange (CVE-2023-48795). */
  readonly strict?: boolean;
  /** Address of this machine to come from, where the loopback's own is not meant; 127.0.0.0/8 has many. */
  readonly from?: string;
}

export type Credential = { readonly password: string } | { readonly keyFile: string };

/** How a connection ended, as the client saw it. */
export interface Ended {
  /** Of SSH_MSG_DISCONNECT, where one came. */
  readonly reason: number | null;
  readonly text: string;
}

export class RawClient {
  readonly socket: Socket;
  readonly #protocol: ClientProtocol;
  readonly #inbox: Buffer[] = [];
  readonly #waiters = new Set<() => void>();
  readonly #ready = deferred<void>();
  readonly #ended = deferred<Ended>();
  #end: Ended | null = null;
  #reason: number | null = null;
  #text = '';
  #held: Buffer[] = [];
  #negotiated: Negotiated | null = null;
  #rekeys = -1;
  #packets = 0;
  #roundTrips = 0;
  #lastSent = -1;
  #announced: Buffer | null = null;
  /** Takes a payload before it reaches the inbox, when it returns true. */
  intercept: (payload: Buffer) => boolean = () => false;
  /** The server's KEXINIT has come; `answer` is our part of the exchange, up to what the method has us say first. */
  onKexInit: ((answer: () => void) => void) | null = null;

  constructor(socket: Socket, options: RawClientOptions) {
    this.socket = socket;
    this.#ready.promise.catch(() => {});
    const offer = offerOf(options);
    this.#protocol = new ssh2.Protocol({
      server: false,
      ident: 'RawClient',
      offer,
      onWrite: (data) => this.socket.write(data),
      onError: (error) => this.socket.destroy(error),
      messageHandlers: {
        DISCONNECT: (_protocol: object, reason: number, text: string) => {
          this.#reason = reason;
          this.#text = text;
        },
      },
    });
    if (options.kex === HYBRID_KEX) useHybridClient(this.#protocol);
    if (options.strict === false) this.#protocol._strictMode = false; // else the server's announcement alone would count
    const ssh2OnPayload = this.#protocol._onPayload;
    this.#protocol._onPayload = (payload) => {
      if (payload[0] === MSG.KEXINIT || payload[0] === MSG.DISCONNECT) {
        const kept = Buffer.from(payload);
        const answer = () => ssh2OnPayload.call(this.#protocol, kept);
        if (payload[0] === MSG.DISCONNECT || this.onKexInit === null) return answer();
        this.onKexInit(() => void answer()); // the server says nothing more before that
        return undefined;
      }
      if (isAnnouncement(payload)) this.#announced = Buffer.from(payload);
      else if (!this.intercept(payload)) this.#inbox.push(Buffer.from(payload));
      this.#wake();
      return undefined;
    };
    this.#protocol._onHandshakeComplete = (negotiated) => this.#onKeys(negotiated);
    socket.on('data', (chunk) => {
      try {
        this.#protocol.parse(Buffer.from(chunk), 0, chunk.length);
      } catch (error) {
        this.#text ||= `the client's parser: ${String(error)}`;
        socket.destroy();
      }
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      this.#end = { reason: this.#reason, text: this.#text };
      this.#ready.reject(new Error(`ended before keys were agreed: ${this.#text}`));
      this.#ended.resolve(this.#end);
      this.#wake();
    });
    this.#protocol.start();
  }

  /** Resolves when keys are agreed and payloads may be sent. */
  get ready(): Promise<void> {
    return within(this.#ready.promise, 'end of the key exchange');
  }
  /** Resolves when the server has closed the connection. */
  get ended(): Promise<Ended> {
    return within(this.#ended.promise, 'end of the connection');
  }
  get hasEnded(): boolean {
    return this.#end !== null;
  }
  /** Key exchanges after the first. */
  get rekeys(): number {
    return this.#rekeys;
  }
  /** Sequence number (RFC 4253 §6.4) of the payload sent last, for a strict key exchange. */
  get lastSequence(): number {
    return this.#lastSent;
  }
  /** The session identifier (RFC 4253 §7.2). */
  get sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? Buffer.alloc(0);
  }

  /** Sends a payload; within a key exchange it waits for the new keys. */
  send(payload: Uint8Array): void {
    if (this.#protocol._kexinit !== undefined) this.#held.push(Buffer.from(payload));
    else this.sendNow(payload);
  }

  /** Sends a payload whatever the state, under the keys in force. `spoil` may write into the packet before it is sealed:
   *  four bytes of length, one of padding length, the payload, the padding (RFC 4253 §6). */
  sendNow(payload: Uint8Array, spoil: (packet: Buffer) => void = () => {}): void {
    const packet = this.#protocol._cipher.allocPacket(payload.length);
    packet.set(payload, 5);
    spoil(packet);
    this.#protocol._cipher.encrypt(packet);
    this.#lastSent = this.#packets++;
  }

  /** What is offered from the next exchange on; `strict` means the name alone. There is no way back from the hybrid one. */
  offerNext(options: Omit<RawClientOptions, 'from'>): void {
    this.#protocol._offer = offerOf(options);
    if (options.kex === HYBRID_KEX) useHybridClient(this.#protocol);
  }
  /** What was agreed. */
  get negotiated(): Negotiated | null {
    return this.#negotiated;
  }

  /** Asks for new keys (RFC 4253 §9); resolves when they are in force. */
  async rekey(): Promise<void> {
    const count = this.#rekeys + 1;
    this.#protocol.rekey();
    await this.#until(() => (this.#rekeys >= count ? true : undefined), 'new keys');
  }

  /** The first payload of this type that was not taken yet; those of other types stay. Rejects when the server ends the
   *  connection instead. */
  async take(type: number, fits: (payload: Buffer) => boolean = () => true): Promise<Buffer> {
    return await this.#until(() => {
      const at = this.#inbox.findIndex((payload) => payload[0] === type && fits(payload));
      return at === -1 ? undefined : this.#inbox.splice(at, 1)[0];
    }, `message ${type}`);
  }

  /** The first payload of one of these types: an answer that may be a yes or a no. */
  async takeFirst(types: readonly number[]): Promise<Buffer> {
    return await this.#until(
      () => {
        const at = this.#inbox.findIndex((payload) => types.includes(payload[0] ?? -1));
        return at === -1 ? undefined : this.#inbox.splice(at, 1)[0];
      },
      `one of the messages ${types.join(', ')}`,
    );
  }

  /** Types of what came and was not taken. */
  get untaken(): number[] {
    return this.#inbox.map((payload) => payload[0] ?? -1);
  }

  /** The host keys that the server has told of behind the login, each as a blob (OpenSSH PROTOCOL §2.5); null: it has not. What tells
   *  of them is never in the inbox. */
  get hostKeys(): readonly Buffer[] | null {
    if (this.#announced === null) return null;
    const reader = new WireReader(this.#announced, 1);
    reader.text();
    if (reader.boolean()) throw new Error('a reply is wanted');
    const blobs: Buffer[] = [];
    while (reader.left > 0) blobs.push(reader.bytes());
    if (!reader.atEnd) throw new Error('host keys that cannot be read');
    return blobs;
  }

  /** Resolves when the server has handled everything that was sent before: opens a channel of a kind that no server knows
   *  and waits for its refusal, which is told from all others by its number. */
  async roundTrip(): Promise<void> {
    const id = 0xf000_0000 + this.#roundTrips++;
    this.send(message(MSG.CHANNEL_OPEN, 'round-trip@test', id, 1000, 1000));
    await this.take(MSG.CHANNEL_OPEN_FAILURE, (payload) => payload.readUInt32BE(1) === id);
  }

  async login(user: string, credential: Credential): Promise<void> {
    await this.#tryLogin(user, credential);
    await this.take(MSG.USERAUTH_SUCCESS);
  }
  /** A login that must be refused. */
  async refusedLogin(user: string, credential: Credential): Promise<void> {
    await this.#tryLogin(user, credential);
    await this.take(MSG.USERAUTH_FAILURE);
  }

  async #tryLogin(user: string, credential: Credential): Promise<void> {
    await this.ready;
    this.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await this.take(MSG.SERVICE_ACCEPT);
    this.send('password' in credential ? passwordRequest(user, credential.password) : this.#signed(user, credential));
  }

  describe(): string {
    return `raw client: ${JSON.stringify({ end: this.#end, untaken: this.untaken })}`;
  }

  #signed(user: string, { keyFile }: { readonly keyFile: string }): Buffer {
    const key = ssh2.parseKey(readFileSync(keyFile, 'utf8'));
    const fields = [user, 'ssh-connection', 'publickey', true, key.type, key.getPublicSSH()] as const;
    const request = message(MSG.USERAUTH_REQUEST, ...fields);
    const signature = concatFields([key.type, key.sign(concatFields([this.sessionId, { raw: request }]))]);
    return message(MSG.USERAUTH_REQUEST, ...fields, signature);
  }

  /** Asks `probe` now and whenever something has come, until it gives a value, and not once more. */
  async #until<Value>(probe: () => Value | undefined, what: string): Promise<Value> {
    const { promise, resolve, reject } = deferred<Value>();
    const look = (): void => {
      const value = probe();
      if (value === undefined && this.#end === null) return;
      this.#waiters.delete(look);
      if (value !== undefined) resolve(value);
      else reject(new Error(`ended before ${what}: ${JSON.stringify(this.#end)}`));
    };
    this.#waiters.add(look);
    look();
    try {
      return await within(promise, what, DEADLINE_MS, () => this.describe());
    } finally {
      this.#waiters.delete(look);
    }
  }

  #onKeys(negotiated: Negotiated): void {
    this.#negotiated = negotiated;
    this.#rekeys++;
    this.#packets = 0;
    const held = this.#held;
    this.#held = [];
    for (const payload of held) this.send(payload);
    this.#ready.resolve();
    this.#wake();
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

function isAnnouncement(payload: Buffer): boolean {
  return payload[0] === MSG.GLOBAL_REQUEST && new WireReader(payload, 1).text() === 'hostkeys-00@openssh.com';
}

function offerOf(options: Omit<RawClientOptions, 'from'>): Ssh2KexInit {
  const { cipher = 'aes128-gcm@openssh.com', mac = 'hmac-sha2-256-etm@openssh.com' } = options;
  const { kex = 'curve25519-sha256', strict = true } = options;
  const names = { cipher: [cipher], mac: [mac], compress: ['none'], lang: [] };
  const kexes = [kex, 'ext-info-c', ...(strict ? ['kex-strict-c-v00@openssh.com'] : [])];
  const hostKeys = ['ssh-ed25519', 'ecdsa-sha2-nistp256'];
  const offer: Ssh2KexInit = new ssh2.KexInit({ kex: kexes, serverHostKey: hostKeys, cs: names, sc: names });
  if (kex === HYBRID_KEX) acceptStandIn(offer);
  return offer;
}

export function passwordRequest(user: string, password: string): Buffer {
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', 'password', false, password);
}

/** A test, or whoever else cleans up at its end. */
export interface Owner {
  teardown(end: () => unknown): unknown;
}

/** Connects; keys are not agreed yet. */
export function rawClient(t: Owner, endpoint: SshEndpoint, options: RawClientOptions = {}): RawClient {
  const { from } = options;
  const where = { host: endpoint.host, port: endpoint.port, noDelay: true };
  const socket = connect(from === undefined ? where : { ...where, localAddress: from });
  const client = new RawClient(socket, options);
  t.teardown(() => socket.destroy());
  return client;
}

/** The server's side of a channel, as its confirmation told it. */
export interface OpenChannel {
  /** Ours; the server addresses us by it. */
  readonly id: number;
  /** The server's; we address it by that. */
  readonly peerId: number;
  readonly windowBytes: number;
}

export interface OpenOptions {
  readonly id?: number;
  readonly windowBytes?: number;
  readonly maxPacketBytes?: number;
  readonly host?: string;
}

export const LARGE_WINDOW_BYTES = 0x7fff_ffff;

export function directOpen(port: number, options: OpenOptions = {}): Buffer {
  const { id = 0, windowBytes = LARGE_WINDOW_BYTES, maxPacketBytes = 32_768, host = '127.0.0.1' } = options;
  return message(MSG.CHANNEL_OPEN, 'direct-tcpip', id, windowBytes, maxPacketBytes, host, port, '127.0.0.1', 1);
}

/** Opens a direct-tcpip channel that must be granted. */
export async function openDirectChannel(
  client: RawClient,
  port: number,
  options: OpenOptions = {},
): Promise<OpenChannel> {
  client.send(directOpen(port, options));
  return await confirmed(client, options.id ?? 0);
}

export async function confirmed(client: RawClient, id: number): Promise<OpenChannel> {
  const reader = new WireReader(await client.take(MSG.CHANNEL_OPEN_CONFIRMATION, (p) => p.readUInt32BE(1) === id), 1);
  reader.uint32();
  return { id, peerId: reader.uint32(), windowBytes: reader.uint32() };
}

/** Reason and text of the CHANNEL_OPEN_FAILURE for our channel `id`. */
export async function openRefusal(client: RawClient, id: number): Promise<{ reason: number; text: string }> {
  const reader = new WireReader(await client.take(MSG.CHANNEL_OPEN_FAILURE, (p) => p.readUInt32BE(1) === id), 1);
  reader.uint32();
  return { reason: reader.uint32(), text: reader.text() };
}

export function dataMessage(channel: OpenChannel, data: string | Uint8Array): Buffer {
  return message(MSG.CHANNEL_DATA, channel.peerId, data);
}

/** A stream of known bytes; two generators of one seed give the same. */
export function keyStream(seed: number): (bytes: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  return (bytes) => cipher.update(Buffer.alloc(bytes));
}
