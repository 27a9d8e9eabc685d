/** SSH2 CLIENT: ssh2's client half, as far as a load test drives it. The only place that loads it.
 *  Owns nothing but the loaded module. Underscored fields may change in any release: hence the exact version. */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TunnelError } from '../shared/errors.js';

/** The version whose internals the types below describe. */
const PINNED_VERSION = '1.17.0';
export const ssh2: Ssh2ClientHalf = loadSsh2Client();

/** Ciphers that `ConnectOptions.cipher` may name. */
export const CLIENT_CIPHERS: readonly string[] = ssh2.ciphers;

export type KeyLook =
  | { readonly usable: true /** As RFC 4253 §6.6 writes it. */; readonly publicBlob: Buffer }
  | { readonly usable: false; readonly why: string };

/** Whether a text is a private key that `connect` can use. */
export function lookAtKey(text: string): KeyLook {
  const key = parseKey(text);
  return key instanceof Error ? { usable: false, why: key.message } : { usable: true, publicBlob: key.getPublicSSH() };
}

/** @returns the private key in the text, or what is wrong with it */
export function parseKey(text: string): ParsedKey | Error {
  const parsed = ssh2.parseKey(text);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined) return new Error('there is no key in it');
  if (key instanceof Error) {
    const locked = /encrypted/i.test(key.message);
    return locked ? new Error('it has a passphrase; an agent can hold it for us') : key;
  }
  return key.getPrivatePEM() === null ? new Error('it is a public key') : key;
}

export interface ParsedKey {
  readonly type: string;
  getPrivatePEM(): string | null;
  getPublicSSH(): Buffer;
}

/** What ssh2 says of a failure. `level` tells the step, `reason` is that of a refused open, `code` that of a DISCONNECT. */
export interface Ssh2Error extends Error {
  readonly level?: string;
  readonly reason?: number | string;
  readonly code?: number | string;
}

export type AuthAttempt =
  | { readonly type: 'publickey'; readonly username: string; readonly key: ParsedKey }
  | { readonly type: 'agent'; readonly username: string; readonly agent: string }
  | { readonly type: 'password'; readonly username: string; readonly password: string };

/** One side's state of a channel. */
interface Side {
  window: number;
}
export interface Ssh2Channel extends Duplex {
  readonly incoming: Side;
}

/** Told of a channel's confirmation or refusal. ssh2 reads `type` to choose the class of the channel. */
interface OpenCallback {
  (error: Ssh2Error | undefined, channel: Ssh2Channel): void;
  type: 'direct-tcpip';
}

/** Given with 'handshake'. */
export interface Negotiated {
  readonly kex: string;
  readonly serverHostKey: string;
  readonly cs: { readonly cipher: string };
}

export interface ForwardedDetails {
  readonly destIP: string;
  readonly destPort: number;
  readonly srcIP: string;
  readonly srcPort: number;
}

export interface Ssh2Client extends EventEmitter {
  connect(options: {
    readonly sock: Socket;
    readonly username: string;
    readonly readyTimeout: number;
    readonly hostVerifier: (key: Buffer) => boolean;
    readonly authHandler: (methodsLeft: readonly string[] | null) => AuthAttempt | false;
    readonly algorithms: { readonly serverHostKey: readonly string[]; readonly cipher?: readonly string[] };
  }): void;
  end(): void;
  forwardIn(host: string, port: number, done: (error: Ssh2Error | undefined, port: number) => void): void;
  unforwardIn(host: string, port: number, done: (error: Ssh2Error | undefined) => void): void;
  _remoteVer: string | undefined;
  readonly _chanMgr: { add(callback: OpenCallback): number };
  readonly _protocol: {
    directTcpip(
      channel: number,
      windowBytes: number,
      packetBytes: number,
      request: { srcIP: string; srcPort: number; dstIP: string; dstPort: number },
    ): void;
  };
}

interface Ssh2ClientHalf {
  readonly Client: new () => Ssh2Client;
  /** Ciphers by SSH name, those that ssh2 offers by itself first. */
  readonly ciphers: readonly string[];
  readonly hostKeyTypes: readonly string[];
  parseKey(text: string): ParsedKey | Error | ParsedKey[];
}

/** @throws TunnelError SSH2_INCOMPATIBLE */
function loadSsh2Client(): Ssh2ClientHalf {
  const require = createRequire(import.meta.url);
  const version: unknown = require('ssh2/package.json').version;
  if (version !== PINNED_VERSION)
    throw new TunnelError('SSH2_INCOMPATIBLE', `ssh2 ${String(version)} is installed, ${PINNED_VERSION} is needed`);
  return {
    Client: require('ssh2/lib/client.js'),
    ciphers: require('ssh2/lib/protocol/constants.js').SUPPORTED_CIPHER,
    hostKeyTypes: require('ssh2/lib/protocol/constants.js').DEFAULT_SERVER_HOST_KEY,
    parseKey: require('ssh2/lib/protocol/keyParser.js').parseKey,
  };
}
