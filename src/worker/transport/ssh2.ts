/** SSH2: the one place that imports ssh2, and the shapes of its transport half that we rely on (DECISIONS 1, 2).
 *  ssh2 is pinned to an exact version; `loadSsh2` proves the shapes at start and refuses to serve otherwise, because
 *  underscored fields may change in any release. Owns nothing. */
import { createRequire } from 'node:module';
import { TunnelError } from '../../shared/errors.js';

/** Cipher objects of ssh2's lib/protocol/crypto.js. With the native binding `_instance` seals a packet in place. */
export interface Ssh2Cipher {
  outSeqno: number;
  readonly _instance?: { encrypt(packet: Uint8Array, sequence?: number): void };
  readonly _macLen?: number;
  readonly _aadLen?: number;
  allocPacket(payloadLength: number): Buffer;
  encrypt(packet: Uint8Array): void;
}

export interface Ssh2Decipher {
  inSeqno: number;
  /** While the tag of a packet is still missing, this may be a view of our read buffer. */
  _packet: Uint8Array | null;
  _onPayload: (payload: Buffer) => ParseStep;
  /** Opens what is whole of `chunk[start..end)`. @returns as `ParseStep` says */
  decrypt(chunk: Buffer, start: number, end: number): ParseStep;
  free(): void;
  /** With the native binding: (packet, length, tag) for AES-GCM, (packet, tag, sequence) for ChaCha20-Poly1305, else
   *  (packet, sequence, length, mac). */
  readonly _instance?: {
    decrypt(packet: Uint8Array, ...rest: ReadonlyArray<Uint8Array | number>): void;
    decryptLen?(length: Uint8Array, sequence: number): number;
    free?(): void;
  };
  readonly _macActualLen?: number;
}

export interface Negotiated {
  readonly kex: string;
  readonly serverHostKey: string;
  readonly cs: { readonly cipher: string; readonly mac: string };
  readonly sc: { readonly cipher: string; readonly mac: string };
}

/** What a payload handler answers: undefined = go on, a number = stop parsing this chunk at that offset. */
export type ParseStep = undefined | false | number;

/** A key exchange, under way or the last one. */
export interface Ssh2KeyExchange {
  readonly sessionID: Buffer;
  remoteExtInfoEnabled: boolean;
  /** The peer's KEXINIT, for the exchange hash; until that is made. */
  _remoteKexinit?: Buffer | undefined;
  negotiated?: { kex: string; serverHostKey: string } | undefined;
  readonly _sentNEWKEYS?: boolean;
  readonly _receivedNEWKEYS?: boolean;
  /** Holds the shared secret. */
  finish: unknown;
  /** '25519' for Curve25519. */
  readonly type?: string;
  /** Ours, as it goes over the wire; asked for behind the secret. */
  getPublicKey?: (() => Buffer) | undefined;
  /** The peer's, as it goes into the exchange hash. */
  convertPublicKey?: ((theirs: Buffer) => Buffer) | undefined;
  /** @returns the shared secret without its length, as it is hashed (most methods say: as an mpint), or what is wrong with the
   *  peer's key */
  computeSecret?: ((theirs: Buffer) => Buffer | Error) | undefined;
}

/** The parts of ssh2's `Protocol` that we drive. */
export interface Ssh2Protocol {
  /** Sends the ident, which we have done ourselves. */
  start: (() => void) | undefined;
  parse(chunk: Uint8Array, start: number, end: number): void;
  rekey(): void;
  cleanup(): void;
  _kexinit: Buffer | undefined;
  _kex: Ssh2KeyExchange | undefined;
  /** Ours: told of each exchange before it begins. */
  onExchange: ((exchange: Ssh2KeyExchange) => void) | undefined;
  /** Parts of each exchange hash (RFC 4253 §8). */
  _identRaw: Buffer;
  _remoteIdentRaw: Buffer | undefined;
  _strictMode: boolean | undefined;
  /** By the name of the algorithm; looked up when the client's half of an exchange comes. */
  _hostKeys: { readonly [algorithm: string]: Ssh2HostKey } | undefined;
  _cipher: Ssh2Cipher;
  _decipher: Ssh2Decipher | undefined;
  _onPayload: (payload: Buffer) => ParseStep;
  _onHandshakeComplete: (negotiated: Negotiated) => void;
}

/** A host key as ssh2's key exchange calls it; `sign` answers ASN.1 for ECDSA. */
export interface Ssh2HostKey {
  readonly type: string;
  getPublicSSH(): Buffer;
  sign(data: Buffer, hash?: string): Buffer | Error;
}

export interface Ssh2ProtocolOptions {
  readonly server: true;
  readonly hostKeys: { readonly [type: string]: Ssh2HostKey };
  readonly offer: Ssh2KexInit;
  onWrite(data: Buffer): void;
  onError(error: Error): void;
  readonly messageHandlers: { DISCONNECT(protocol: unknown, reason: number, text: string): void };
}

/** One direction's algorithms in an offer. */
export interface DirectionOffer {
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly compress: readonly string[];
  readonly lang: readonly string[];
}
export interface Offer {
  readonly kex: readonly string[];
  readonly serverHostKey: readonly string[];
  readonly cs: DirectionOffer;
  readonly sc: DirectionOffer;
}

/** An offer, written as a KEXINIT. */
export interface Ssh2KexInit {
  /** The names of key exchanges that ssh2 finds acceptable. */
  readonly lists: { readonly kex: { array: readonly string[] } };
}

export interface Ssh2ParsedKey {
  readonly type: string;
  getPrivatePEM(): string | null;
  getPublicSSH(): Buffer;
  isPrivateKey(): boolean;
}

export interface Ssh2 {
  readonly Protocol: new (options: Ssh2ProtocolOptions) => Ssh2Protocol;
  readonly KexInit: new (offer: Offer) => Ssh2KexInit;
  /** True when ssh2's C++ ciphers could be loaded; without them all is correct and slow. */
  readonly nativeBinding: boolean;
  /** Reads a private key file in OpenSSH, PEM or PPK format. Only ever given our own files, never a peer's bytes. */
  parseKey(text: string): Ssh2ParsedKey | Error | Ssh2ParsedKey[];
}

/** The version whose internals these types describe. */
const PINNED_VERSION = '1.17.0';

/** @throws TunnelError SSH2_INCOMPATIBLE when the installed ssh2 is another version or has other shapes. */
export function loadSsh2(): Ssh2 {
  const require = createRequire(import.meta.url);
  const version: unknown = require('ssh2/package.json').version;
  if (version !== PINNED_VERSION)
    throw new TunnelError('SSH2_INCOMPATIBLE', `ssh2 ${String(version)} is installed, ${PINNED_VERSION} is needed`);
  const ssh2: Ssh2 = {
    Protocol: tellingExchanges(require('ssh2/lib/protocol/Protocol.js')),
    KexInit: require('ssh2/lib/protocol/kex.js').KexInit,
    nativeBinding: require('ssh2/lib/protocol/crypto.js').bindingAvailable === true,
    parseKey: require('ssh2/lib/protocol/keyParser.js').parseKey,
  };
  assertShapes(ssh2);
  return ssh2;
}

/** ssh2 makes an exchange and begins it in one call, with the exchange as a field of its Protocol. An accessor in each object would make a
 *  dictionary of it, a KiB and a half for every connection; in ssh2's own class it would be there for whoever else has ssh2 in this process. */
function tellingExchanges(Protocol: Ssh2['Protocol']): Ssh2['Protocol'] {
  return class extends Protocol {
    override onExchange: ((exchange: Ssh2KeyExchange) => void) | undefined = undefined;
    declare _exchange: Ssh2KeyExchange | undefined; // assigned by ssh2's constructor already, which a field here would undo

    override get _kex(): Ssh2KeyExchange | undefined {
      return this._exchange;
    }
    override set _kex(exchange: Ssh2KeyExchange | undefined) {
      this._exchange = exchange;
      if (exchange !== undefined) this.onExchange?.(exchange);
    }
  };
}

/** Without the native binding Poly1305 is WebAssembly, which loads beside everything else. To be awaited before the first
 *  connection: a login with ChaCha20 that came earlier would fail. */
export async function ciphersReady(): Promise<void> {
  await createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js').init;
}

/** Lets go of what a finished exchange no longer needs and ssh2 keeps for the life of the connection: the shared secret, the
 *  ephemeral keys, what was agreed, and slices of Node's buffer pool. A slice of ten bytes holds 8 KiB of pool, and each connection held three:
 *  most of what an idle connection weighed. */
export function forgetExchange(protocol: Ssh2Protocol): void {
  if (protocol._kex !== undefined) {
    protocol._kex.finish = undefined;
    protocol._kex.negotiated = undefined;
    protocol._kex.getPublicKey = undefined;
    protocol._kex.computeSecret = undefined;
    protocol._kex.convertPublicKey = undefined;
  }
  protocol.start = undefined;
  const ident = protocol._remoteIdentRaw;
  if (ident === undefined || ident.buffer.byteLength === ident.length) return;
  const own = Buffer.allocUnsafeSlow(ident.length);
  own.set(ident);
  protocol._remoteIdentRaw = own;
}

/** Has our NEWKEYS gone out, and the peer's not come? Whatever we say now the peer reads with the new keys (RFC 4253 §7.3), but
 *  ssh2 takes those up only with the peer's. */
export function isBetweenKeys({ _kex: exchange }: Ssh2Protocol): boolean {
  return exchange?._sentNEWKEYS === true && exchange._receivedNEWKEYS !== true;
}

/** Makes a throw-away Protocol and looks for the fields that it has before an exchange. What an exchange brings is looked for where it is
 *  used: without a native decipher ssh2's own serves. */
function assertShapes(ssh2: Ssh2): void {
  const offer = new ssh2.KexInit({
    kex: ['curve25519-sha256'],
    serverHostKey: ['ssh-ed25519'],
    cs: { cipher: ['aes128-gcm@openssh.com'], mac: [], compress: ['none'], lang: [] },
    sc: { cipher: ['aes128-gcm@openssh.com'], mac: [], compress: ['none'], lang: [] },
  });
  const protocol = new ssh2.Protocol({
    server: true,
    hostKeys: {},
    offer,
    onWrite() {},
    onError() {},
    messageHandlers: { DISCONNECT() {} },
  });
  const expectations: ReadonlyArray<readonly [string, boolean]> = [
    ['Protocol.start', typeof protocol.start === 'function'],
    ['Protocol.parse', typeof protocol.parse === 'function'],
    ['Protocol.rekey', typeof protocol.rekey === 'function'],
    ['Protocol.cleanup', typeof protocol.cleanup === 'function'],
    ['Protocol._onPayload', typeof protocol._onPayload === 'function'],
    ['Protocol._onHandshakeComplete', typeof protocol._onHandshakeComplete === 'function'],
    ['Protocol._kexinit', '_kexinit' in protocol && protocol._kexinit === undefined],
    ['Protocol._kex', '_kex' in protocol && !Object.hasOwn(protocol, '_kex')],
    ['Protocol._identRaw', Buffer.isBuffer(protocol._identRaw)],
    ['Protocol._remoteIdentRaw', '_remoteIdentRaw' in protocol],
    ['Protocol._hostKeys', '_hostKeys' in protocol],
    ['Protocol._strictMode', '_strictMode' in protocol],
    ['Protocol._decipher', '_decipher' in protocol],
    ['Protocol._cipher.allocPacket', typeof protocol._cipher?.allocPacket === 'function'],
    ['Protocol._cipher.encrypt', typeof protocol._cipher?.encrypt === 'function'],
    ['Protocol._cipher.outSeqno', protocol._cipher?.outSeqno === 0],
    ['KexInit.lists.kex.array', Array.isArray(offer.lists?.kex?.array)],
    ['parseKey', typeof ssh2.parseKey === 'function'],
  ];
  const missing = expectations.filter(([, present]) => !present).map(([name]) => name);
  if (missing.length > 0)
    throw new TunnelError('SSH2_INCOMPATIBLE', `ssh2 ${PINNED_VERSION} lacks what we rely on: ${missing.join(', ')}`);
}
