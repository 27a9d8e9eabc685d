/** FUZZ SERVER: hooks that let tunnels and sessions end in each way there is, and one user in by one password and one key.
 *  Owns the targets that it made until `release`. Nothing outside of this process is ever dialled or asked for. */
import { Duplex, PassThrough } from 'node:stream';
import { TunnelServer } from '../../src/library/tunnel_server.js';
import type { AuthChain, BindAddress, Destination, Origin, PublicKeyInfo } from '../../src/shared/identity.js';
import type { Session } from '../../src/worker/connection/session.js';
import type { DirectAnswer } from '../../src/worker/server.js';
import type { Places } from './connection_shapes.js';

export const USER = 'alice';
export const PASSWORD = 'let me in';

export class FuzzServer extends TunnelServer {
  readonly #places: Places;
  readonly #keyBlob: Buffer;
  readonly #targets = new Set<Duplex>();

  constructor(places: Places, keyBlob: Buffer) {
    super();
    this.#places = places;
    this.#keyBlob = keyBlob;
  }

  /** The targets so far outlive `release`. */
  keep(): void {
    this.#targets.clear();
  }
  /** Ends every target, also those that would linger for their bytes, a minute long. */
  release(): void {
    for (const target of this.#targets) target.destroy();
    this.#targets.clear();
  }

  override getAllowedAuths(): readonly AuthChain[] {
    return ['publickey', 'password', 'keyboard-interactive'];
  }
  override checkAuthPassword(username: string, password: string): boolean {
    return username === USER && password === PASSWORD;
  }
  override checkAuthPublicKey(username: string, key: PublicKeyInfo): boolean {
    return username === USER && key.blob.equals(this.#keyBlob);
  }

  override checkDirect(_origin: Origin, destination: Destination): DirectAnswer | Promise<DirectAnswer> {
    if (destination.kind === 'unix') return destination.path === this.#places.echoPath;
    switch (destination.host) {
      case 'echo':
        return this.#keep(new PassThrough());
      case 'late':
        return new Promise((resolve) => setImmediate(() => resolve(this.#keep(new PassThrough()))));
      case 'sink':
        return this.#keep(new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }));
      case 'stuck':
        return this.#keep(new Duplex({ read() {}, write() {} }));
      case 'breaks':
        return this.#keep(new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(new Error('broken')) }));
      case 'gone':
        return this.#keep(new PassThrough()).destroy();
      case 'throws':
        throw new Error('a hook that throws');
      default:
        return false;
    }
  }

  /** Unix sockets only: what a mutated port would be is anybody's guess. */
  override checkForwardAddress(bind: BindAddress): boolean {
    return bind.kind === 'unix' && bind.path.startsWith(`${this.#places.folder}/`);
  }

  override onSession(session: Session): void | Promise<void> {
    const { request } = session;
    if (request.kind === 'shell') return session.reject('no shell here');
    if (request.kind === 'subsystem') return session.reject();
    switch (request.command) {
      case 'cat':
        session.pipe(session);
        return;
      case 'fail':
        throw new Error('a handler that throws');
      case 'late':
        return new Promise((resolve) => setImmediate(resolve)).then(() => session.exit(3));
      case 'leave':
        session.destroy();
        return;
      default:
        session.exit(1);
    }
  }

  #keep<Target extends Duplex>(target: Target): Target {
    this.#targets.add(target);
    target.on('close', () => this.#targets.delete(target));
    target.on('error', () => {}); // what the server does about it is what is looked at
    return target;
  }
}
