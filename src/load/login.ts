/** LOGIN: from a TCP connect to the end of the login, and what went wrong on the way in words for a person.
 *  Owns the socket and ssh2's client until it has settled; then they are the caller's, or closed. */
import { connect as dial, type Socket } from 'node:net';
import { formatHostPort } from '../shared/address.js';
import { errnoOf } from '../shared/errors.js';
import { DISCONNECT } from '../shared/protocol.js';
import { LoadError } from './errors.js';
import {
  type AuthAttempt,
  CLIENT_CIPHERS,
  type Negotiated,
  parseKey,
  type Ssh2Client,
  type Ssh2Error,
  ssh2,
} from './ssh2_client.js';

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

/** How it came in. */
export interface Login {
  readonly credential: Credential | undefined;
  readonly agreed: Agreed;
}

/** One attempt. Its listeners are gone when `outcome` settles. */
export class Attempt {
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
