/** LOAD CLIENT: one SSH connection of the many that a load test holds in one process. The only place that knows ssh2's
 *  client half. Owns the socket. No call waits longer than the connection lives: what is under way when it ends is rejected,
 *  and a channel ends with it, so that only a digest tells a whole stream from a cut one. */
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { connect as dial, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatHostPort } from '../shared/address.js';
import { errnoOf, reasonOf, TunnelError } from '../shared/errors.js';
import { DISCONNECT } from '../shared/protocol.js';
import { LoadError, openFailureName } from './errors.js';

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Private keys in OpenSSH, PEM or PPK format, without passphrase, tried in this order. */
  readonly privateKey?: string | readonly string[];
  /** Path of an agent's socket; its keys are tried after `privateKey`. */
  readonly agent?: string;
  /** Tried last. */
  readonly password?: string;
  /** SSH name of the only cipher to offer. Default: those of ssh2. */
  readonly cipher?: string;
  /** Host key algorithms to ask for first: those of the keys that are known already. Default: ssh2's order. */
  readonly hostKeyTypes?: readonly string[];
  /** Says whether the host key is the right one. @param blob as RFC 4253 §6.6 writes it */
  readonly verifyHostKey: (blob: Buffer) => boolean;
  /** For the TCP connection and the login together. */
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
}

/** What let us in. */
export type Credential =
  | { readonly method: 'publickey' /** Place in `privateKey`. */; readonly index: number }
  | { readonly method: 'agent' | 'password' };

/** What the two sides agreed on. `server` is its name for itself, such as `OpenSSH_9.2p1`. */
export interface Agreed {
  readonly server: string;
  readonly kex: string;
  readonly hostKey: string;
  readonly cipher: string;
}

/** A connection that came through a forwarded port. The handler owns the channel. */
export type ForwardedHandler = (channel: Duplex, from: { readonly host: string; readonly port: number }) => void;

export interface RemoteForward {
  /** The port that the server listens on. */
  readonly port: number;
  /** Without a handler connections are refused. */
  onConnection(handler: ForwardedHandler): void;
  close(): Promise<void>;
}

/** RFC 4254 §5.2: a window is a uint32. */
export const MAX_WINDOW_BYTES = 2 ** 32 - 1;
/** What ssh2 announces by itself; it adjusts a window back to this when half of it is used. */
const WINDOW_BYTES = 2 * 1024 * 1024;
const PACKET_BYTES = 32 * 1024;
/** A peer that does not end its side after our DISCONNECT is left to itself. */
const END_MS = 2_000;

/** Of ssh2: the version whose internals the types at the end of this file describe. */
const PINNED_VERSION = '1.17.0';
const ssh2 = loadSsh2Client();

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

export class LoadClient {
  readonly socket: Socket;
  readonly #client: Ssh2Client;
  readonly #forwards = new Map<number, ForwardedHandler | null>();
  #lost: LoadError | undefined;
  /** Resolves when the connection has ended, with what was wrong; undefined after `end()`. */
  readonly closed: Promise<LoadError | undefined>;
  #ending = false;
  /** What let us in. */
  readonly credential: Credential | undefined;
  readonly agreed: Agreed;

  private constructor(socket: Socket, client: Ssh2Client, login: Login) {
    this.socket = socket;
    this.#client = client;
    this.credential = login.credential;
    this.agreed = login.agreed;
    client.on('error', (error: Ssh2Error) => {
      this.#lost ??= new LoadError('CONNECTION_LOST', `the connection was lost: ${reasonOf(error)}`, { cause: error });
    });
    client.on('tcp connection', (details: ForwardedDetails, accept: () => Duplex, reject: () => void) => {
      const handler = this.#forwards.get(details.destPort);
      if (handler) handler(accept(), { host: details.srcIP, port: details.srcPort });
      else reject();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#lost ??= new LoadError('CONNECTION_LOST', 'the server closed the connection');
        resolve(this.#ending ? undefined : this.#lost);
      });
    });
  }

  /** Connects and logs in. @throws LoadError; nothing is left open then */
  static async connect(options: ConnectOptions): Promise<LoadClient> {
    const attempt = new Attempt(options);
    return new LoadClient(attempt.socket, attempt.client, await attempt.outcome);
  }

  /** Opens a `direct-tcpip` channel. @throws LoadError OPEN_REFUSED with the reason of RFC 4254 §5.1, CONNECTION_LOST */
  openDirect(host: string, port: number): Promise<Duplex> {
    return this.openDirectWithWindow(host, port, WINDOW_BYTES);
  }

  /** The same with a window of any size for a peer that never reads: what comes is buffered here without a bound, unless
   *  the caller pauses `socket`. @param windowBytes up to MAX_WINDOW_BYTES */
  openDirectWithWindow(host: string, port: number, windowBytes: number): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined || !this.socket.writable) return reject(this.#gone());
      const answered = (error: Ssh2Error | undefined, channel: Ssh2Channel): void => {
        if (error !== undefined) return reject(this.#openError(error, host, port));
        channel.incoming.window = windowBytes; // ssh2 has just set its own
        resolve(channel);
      };
      const number = this.#client._chanMgr.add(Object.assign(answered, { type: 'direct-tcpip' as const }));
      const request = { srcIP: '127.0.0.1', srcPort: 0, dstIP: host, dstPort: port };
      this.#client._protocol.directTcpip(number, windowBytes, PACKET_BYTES, request);
    });
  }

  /** Asks for a `tcpip-forward`. @param port 0: the server chooses. @throws LoadError FORWARD_REFUSED, CONNECTION_LOST */
  async forward(bindHost: string, port: number): Promise<RemoteForward> {
    const bound = await new Promise<number>((resolve, reject) => {
      if (this.#lost !== undefined || !this.socket.writable) return reject(this.#gone());
      this.#client.forwardIn(bindHost, port, (error, realPort) => {
        if (error === undefined) return resolve(realPort);
        if (!this.socket.writable) return reject(this.#gone());
        reject(new LoadError('FORWARD_REFUSED', `the server refused to listen on ${bindHost}:${port} for us`));
      });
    });
    this.#forwards.set(bound, null);
    return {
      port: bound,
      onConnection: (handler) => this.#forwards.set(bound, handler),
      close: () => this.#unforward(bindHost, bound),
    };
  }

  /** Ends the connection with a DISCONNECT and waits for its end, 2 s at most. Safe to call twice. */
  async end(): Promise<void> {
    this.#ending = true;
    if (this.socket.closed) return;
    this.#client.end();
    this.socket.resume(); // a paused socket would never see the other side's end
    const timer = setTimeout(() => this.socket.destroy(), END_MS);
    await this.closed;
    clearTimeout(timer);
  }

  /** Closes the socket at once, without a word. */
  destroy(): void {
    this.#ending = true;
    this.socket.destroy();
  }

  #unforward(bindHost: string, port: number): Promise<void> {
    this.#forwards.delete(port);
    return new Promise((resolve) => {
      if (!this.socket.writable) return resolve();
      this.#client.unforwardIn(bindHost, port, () => resolve());
    });
  }

  #gone(): LoadError {
    return this.#lost ?? new LoadError('CONNECTION_LOST', 'the connection has ended');
  }

  #openError(error: Ssh2Error, host: string, port: number): LoadError {
    const { reason } = error;
    if (typeof reason !== 'number') return this.#gone();
    const text = error.message.replace(/^\(SSH\) Channel open failure: /, '');
    const words = `the server refused to open ${host}:${port}: ${openFailureName(reason)}${text === '' ? '' : ` (${text})`}`;
    return new LoadError('OPEN_REFUSED', words, { reason, cause: error });
  }
}

interface Login {
  readonly credential: Credential | undefined;
  readonly agreed: Agreed;
}

/** From the TCP connect to the end of the login. Owns both until `outcome` settles; the listeners are gone by then. */
class Attempt {
  readonly socket: Socket;
  readonly client: Ssh2Client = new ssh2.Client();
  readonly outcome: Promise<Login>;
  readonly #options: ConnectOptions;
  readonly #where: string;
  /** What we wait for, as a part of a sentence. */
  #step = 'the TCP connection';
  #methodsLeft: readonly string[] = [];
  #tried: Credential | undefined;
  #agreed: Agreed = { server: '', kex: '', hostKey: '', cipher: '' };
  #hostKeyRefused = false;
  #exhausted = false;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#where = formatHostPort(options.host, options.port);
    this.socket = dial({ host: options.host, port: options.port, noDelay: true });
    this.outcome = this.#run();
  }

  async #run(): Promise<Login> {
    const { socket, client } = this;
    const { signal, readyTimeoutMs } = this.#options;
    const settled = new AbortController();
    const timer = setTimeout(() => socket.destroy(this.#timedOut()), readyTimeoutMs);
    const onAbort = (): unknown => socket.destroy(new LoadError('ABORTED', 'stopped'));
    try {
      return await new Promise<Login>((resolve, reject) => {
        const failed = (error: Error): void => {
          // An agent that cannot be asked, or a key that cannot sign, is one way less; the next one is tried.
          const { level }: Ssh2Error = error;
          if (level === 'agent' || (level === 'client-authentication' && !this.#exhausted)) return;
          reject(this.#meaning(error));
        };
        if (signal?.aborted === true) onAbort();
        signal?.addEventListener('abort', onAbort, { signal: settled.signal });
        client.on('error', failed);
        client.on('greeting', () => {});
        socket.on('connect', () => (this.#step = 'its first SSH line'));
        client.on('handshake', (negotiated: Negotiated) => {
          this.#step = 'the login';
          const { kex, serverHostKey, cs } = negotiated;
          this.#agreed = { server: client._remoteVer ?? '', kex, hostKey: serverHostKey, cipher: cs.cipher };
          // ssh2 asks an OpenSSH server to prove each of its host keys: signatures that a tunnel's user does not ask for,
          // and that no other server has to pay. It asks only where this name begins with OpenSSH.
          client._remoteVer = '';
        });
        client.on('ready', () => resolve({ credential: this.#tried, agreed: this.#agreed }));
        socket.on('close', () => reject(this.#closedEarly()));
        this.#start();
      });
    } catch (thrown) {
      socket.on('error', () => {}).destroy();
      throw thrown;
    } finally {
      clearTimeout(timer);
      settled.abort();
      client.removeAllListeners(); // ssh2 itself listens to the socket alone: all of these are ours
      client.on('error', () => {}); // until its next owner listens
    }
  }

  /** @throws LoadError for what is wrong with our own options */
  #start(): void {
    const attempts = this.#attempts();
    const { user, cipher, verifyHostKey, hostKeyTypes = [] } = this.#options;
    const known = new Set(hostKeyTypes.flatMap(signaturesOf));
    const preferred = ssh2.hostKeyTypes.filter((type) => known.has(type));
    if (cipher !== undefined && !CLIENT_CIPHERS.includes(cipher))
      throw new LoadError(
        'NO_COMMON_ALGORITHM',
        `this client has no cipher ${cipher}; it has ${CLIENT_CIPHERS.join(', ')}`,
      );
    this.client.connect({
      sock: this.socket,
      username: user,
      readyTimeout: 0, // ours covers the TCP connection too
      hostVerifier: (blob) => {
        this.#step = 'the key exchange';
        this.#hostKeyRefused = !verifyHostKey(blob);
        return !this.#hostKeyRefused;
      },
      authHandler: (methodsLeft) => {
        this.#methodsLeft = methodsLeft ?? this.#methodsLeft;
        const next = attempts.shift();
        this.#exhausted = next === undefined;
        this.#tried = next?.credential ?? this.#tried;
        return next?.attempt ?? false;
      },
      algorithms: {
        serverHostKey: [...new Set([...preferred, ...ssh2.hostKeyTypes])],
        ...(cipher === undefined ? {} : { cipher: [cipher] }),
      },
    });
  }

  #attempts(): { readonly credential: Credential; readonly attempt: AuthAttempt }[] {
    const { user: username, privateKey = [], agent, password } = this.#options;
    const keys = typeof privateKey === 'string' ? [privateKey] : privateKey;
    return [
      ...keys.map((text, index) => {
        const key = parseKey(text);
        if (key instanceof Error) throw new LoadError('KEY_UNUSABLE', key.message, { cause: key });
        const credential = { method: 'publickey', index } as const;
        return { credential, attempt: { type: 'publickey', username, key } as const };
      }),
      ...(agent === undefined
        ? []
        : [{ credential: { method: 'agent' }, attempt: { type: 'agent', username, agent } } as const]),
      ...(password === undefined
        ? []
        : [{ credential: { method: 'password' }, attempt: { type: 'password', username, password } } as const]),
    ];
  }

  #timedOut(): LoadError {
    const seconds = this.#options.readyTimeoutMs / 1000;
    return new LoadError('TIMED_OUT', `${this.#where} did not answer within ${seconds} s: waited for ${this.#step}`);
  }

  #closedEarly(): LoadError {
    const how = `${this.#where} closed the connection while this client waited for ${this.#step}`;
    return new LoadError(this.#step === 'its first SSH line' ? 'NOT_SSH' : 'CONNECTION_LOST', how);
  }

  #meaning(error: Ssh2Error): LoadError {
    if (error instanceof LoadError) return error;
    const { host } = this.#options;
    const cause = { cause: error };
    if (this.#hostKeyRefused)
      return new LoadError('HOST_KEY_REFUSED', `the host key of ${this.#where} was refused`, cause);
    if (this.#exhausted) return this.#authRefused(cause);
    if (typeof error.code === 'number') {
      const tooMany = error.code === DISCONNECT.NO_MORE_AUTH_METHODS_AVAILABLE || /too many auth/i.test(error.message);
      if (this.#step === 'the login' && tooMany) return this.#authRefused(cause);
      return new LoadError('ENDED_BY_SERVER', `${this.#where} ended the connection: ${error.message}`, cause);
    }
    if (this.#step === 'the TCP connection') {
      const errno = errnoOf(error) ?? 'no connection';
      return new LoadError('UNREACHABLE', unreachable(errno, host, this.#where), { ...cause, errno });
    }
    if (/no matching/i.test(error.message))
      return new LoadError('NO_COMMON_ALGORITHM', noneInCommon(error.message, this.#where), cause);
    if (this.#step === 'its first SSH line') {
      const text = `${this.#where} does not answer as an SSH server (${error.message})`;
      return new LoadError('NOT_SSH', text, cause);
    }
    const text = `the connection to ${this.#where} was lost while this client waited for ${this.#step}: ${error.message}`;
    return new LoadError('CONNECTION_LOST', text, cause);
  }

  #authRefused(cause: { readonly cause: unknown }): LoadError {
    const { user } = this.#options;
    const left = this.#methodsLeft.length === 0 ? '' : `; it would still take: ${this.#methodsLeft.join(', ')}`;
    const text = `${this.#where} refused every login as ${user}${left}`;
    return new LoadError('AUTH_REFUSED', text, { ...cause, methodsLeft: this.#methodsLeft });
  }
}

/** An RSA key signs by either hash of RFC 8332. */
function signaturesOf(keyType: string): readonly string[] {
  return keyType === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [keyType];
}

/** @param words such as `Handshake failed: no matching C->S cipher` */
function noneInCommon(words: string, where: string): string {
  const what = words
    .replace(/^.*no matching /i, '')
    .replace('C->S', 'client to server')
    .replace('S->C', 'server to client');
  return `${where} and this client have none in common: ${what}`;
}

function unreachable(errno: string, host: string, where: string): string {
  switch (errno) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${host} has no address (${errno})`;
    case 'ECONNREFUSED':
      return `nothing listens at ${where} (connection refused)`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no way to ${where} (${errno})`;
    default:
      return `no connection to ${where} (${errno})`;
  }
}

function parseKey(text: string): ParsedKey | Error {
  const parsed = ssh2.parseKey(text);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined) return new Error('there is no key in it');
  if (key instanceof Error) {
    const locked = /encrypted/i.test(key.message);
    return locked ? new Error('it has a passphrase; an agent can hold it for us') : key;
  }
  return key.getPrivatePEM() === null ? new Error('it is a public key') : key;
}

// ssh2's client half, as far as we drive it. Underscored fields may change in any release: hence the exact version.

interface ParsedKey {
  readonly type: string;
  getPrivatePEM(): string | null;
  getPublicSSH(): Buffer;
}

/** What ssh2 says of a failure. `level` tells the step, `reason` is that of a refused open, `code` that of a DISCONNECT. */
interface Ssh2Error extends Error {
  readonly level?: string;
  readonly reason?: number | string;
  readonly code?: number | string;
}

type AuthAttempt =
  | { readonly type: 'publickey'; readonly username: string; readonly key: ParsedKey }
  | { readonly type: 'agent'; readonly username: string; readonly agent: string }
  | { readonly type: 'password'; readonly username: string; readonly password: string };

/** One side's state of a channel. */
interface Side {
  window: number;
}
interface Ssh2Channel extends Duplex {
  readonly incoming: Side;
}

/** Told of a channel's confirmation or refusal. ssh2 reads `type` to choose the class of the channel. */
interface OpenCallback {
  (error: Ssh2Error | undefined, channel: Ssh2Channel): void;
  type: 'direct-tcpip';
}

/** Given with 'handshake'. */
interface Negotiated {
  readonly kex: string;
  readonly serverHostKey: string;
  readonly cs: { readonly cipher: string };
}

interface ForwardedDetails {
  readonly destIP: string;
  readonly destPort: number;
  readonly srcIP: string;
  readonly srcPort: number;
}

interface Ssh2Client extends EventEmitter {
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
