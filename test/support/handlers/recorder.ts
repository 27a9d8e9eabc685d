/** RECORDER: a server that writes down what its hooks are asked, and behaves as the names in the question say. What it wrote
 *  down is a page inside the program, reached through the very tunnels that it serves: `http://calls/`. */
import { createServer } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';
import {
  type Address,
  type AuthChain,
  type BindAddress,
  type Destination,
  type DirectAnswer,
  type HookVerdict,
  type Identity,
  type IdentityLimits,
  type Origin,
  type Peer,
  type PublicKeyInfo,
  refuse,
  type ServerOptions,
  type TcpDestination,
  TunnelServer,
} from '../../../src/index.js';

/** One question to a hook, as JSON carries it. */
export interface Call {
  readonly hook: string;
  readonly [what: string]: unknown;
}

export const PASSWORD = 'foo';

/** Ways in which a hook can fail, by the name that asks for them; none of them may ever allow anything. */
export const MISDEEDS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error('the hook broke');
  },
  rejects: () => Promise.reject(new Error('the hook broke later')),
  hangs: () => new Promise(() => {}),
  nothing: () => undefined,
  one: () => 1,
  text: () => 'true',
  empty: () => ({}),
  nested: () => Promise.resolve(Promise.resolve([true])),
};

/** What the named misdeed answers, which may be of any type: JavaScript does not look at ours. Else `otherwise`. */
function answer<T>(name: string, otherwise: T): T {
  return Object.hasOwn(MISDEEDS, name) ? (MISDEEDS[name]?.() as T) : otherwise;
}

/** For hooks that know little but who asks: the misdeed is in the user's name, behind `prefix`. */
function answerFor<T>(prefix: string, { user }: Identity, otherwise: T): T {
  return user.startsWith(prefix) ? answer(user.slice(prefix.length), otherwise) : otherwise;
}

export default class Recorder extends TunnelServer {
  readonly #calls: Call[] = [];
  readonly #page = createServer((_request, response) => {
    const { identity } = Object(response.socket);
    response.end(JSON.stringify({ asker: identity, calls: this.#calls }));
  });

  constructor(options: ServerOptions) {
    super(options);
    this.on('connection', ({ event, conn }) => this.#record('listener', { event, conn }));
    this.on('auth', ({ event, conn }) => this.#record('listener', { event, conn }));
  }

  #record(hook: string, what: object): void {
    this.#calls.push({ hook, ...what });
  }

  override getAllowedAuths(
    username: string,
    _signal: AbortSignal,
  ): readonly AuthChain[] | Promise<readonly AuthChain[]> {
    this.#record('getAllowedAuths', { username });
    if (username === 'both') return ['publickey,password'];
    if (username === 'either') return Promise.resolve(['publickey', 'keyboard-interactive']);
    if (username === 'keys-only') return ['publickey'];
    const methods: readonly AuthChain[] = ['publickey', 'password'];
    return username.startsWith('methods-') ? answer(username.slice('methods-'.length), methods) : methods;
  }

  override checkAuthPassword(
    username: string,
    password: string,
    peer: Peer,
    signal: AbortSignal,
    soFar: Identity | null,
  ): boolean | Identity | Promise<boolean | Identity> {
    this.#record('checkAuthPassword', { username, password, peer, aborted: signal.aborted, soFar });
    if (username === 'waits') {
      return new Promise(() => {
        signal.addEventListener('abort', () => this.#record('aborted', { username }));
      });
    }
    if (username === 'boss') return Promise.resolve({ user: 'team', fingerprint: 'none', note: 'kept' });
    if (username === 'later') return new Promise((resolve) => setImmediate(() => resolve(password === PASSWORD)));
    return answer(username, password === PASSWORD);
  }

  override checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    _signal: AbortSignal,
    soFar: Identity | null,
  ): boolean | Identity | Promise<boolean | Identity> {
    this.#record('checkAuthPublicKey', { username, peer, soFar, key: { ...key, blob: key.blob.toString('base64') } });
    if (username === 'stranger') return false;
    if (username === 'offer-only') return !key.verified;
    return answer(username, true);
  }

  override checkDirect(
    origin: Origin,
    destination: Destination,
    identity: Identity,
    signal: AbortSignal,
  ): DirectAnswer | Promise<DirectAnswer> {
    if (destination.kind === 'tcp' && destination.host === 'calls') return this.#page;
    this.#record('checkDirect', { origin, destination, identity });
    if (destination.kind === 'unix') return true;
    switch (destination.host) {
      case 'waits':
        return new Promise(() => {
          signal.addEventListener('abort', () => this.#record('aborted', { destination }));
        });
      case 'denied':
        return refuse('POLICY_DENIED', 'because of a test');
      case 'echo':
        return new PassThrough();
      case 'breaks':
        return new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(new Error('the target broke')) });
      default:
        return answer(destination.host, true);
    }
  }

  override checkForwardAddress(
    address: BindAddress,
    identity: Identity,
    _signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict> {
    this.#record('checkForwardAddress', { address, identity });
    if (address.kind === 'unix') return true;
    if (address.host === 'denied') return false;
    return answer(address.host, true);
  }

  override checkDial(_destination: TcpDestination, _address: Address, identity: Identity): HookVerdict {
    return answerFor('dial-', identity, true);
  }

  override checkDialPath(_realPath: string, identity: Identity): HookVerdict {
    return answerFor('dial-', identity, true);
  }

  override limits(identity: Identity): IdentityLimits {
    return answerFor('limits-', identity, super.limits(identity));
  }

  override portRanges(host: string, identity: Identity): ReturnType<TunnelServer['portRanges']> {
    return answerFor('ports-', identity, super.portRanges(host, identity));
  }
}
