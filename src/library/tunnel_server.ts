/** TUNNEL SERVER: the class that a program extends: who may log in, what may be opened, what may be bound.
 *  Owns the hooks' defaults, which let nobody in and, once somebody is in, forbid nothing; and the server that `listen`
 *  has started. What a connection asks is written down in worker/server.ts. */
import type { Address } from '../shared/address.js';
import { type Config, SERVER_KEYS } from '../shared/config.js';
import type { ConfigOptions } from '../shared/config_options.js';
import { TunnelError } from '../shared/errors.js';
import type {
  AuthChain,
  AuthMethod,
  BindAddress,
  Destination,
  Identity,
  Origin,
  Peer,
  PublicKeyInfo,
  TcpDestination,
} from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { parseOtpauth } from '../shared/otpauth.js';
import { MAX_PORT, type PortRange } from '../shared/port.js';
import type { Conversation } from '../worker/auth/conversation.js';
import { askPassword } from '../worker/auth/dialogue.js';
import { kindOf, type LoginAnswer } from '../worker/auth/hooks.js';
import type { Session } from '../worker/connection/session.js';
import type { DirectAnswer, HookVerdict, IdentityLimits, ServerHooks, Taken } from '../worker/server.js';
import { type CodeDesk, requireCode } from './codes.js';
import { EventHub } from './events.js';
import { Passwords } from './passwords.js';
import { type Inside, SERVED, SERVED_VERSION } from './served.js';
import type { SingleServer } from './single.js';
import { areOthers, NOTHING_TAKEN } from './taken.js';

/** The config file as an object, every key optional; users and a handler have no place where hooks decide. */
export type ServerOptions = Omit<ConfigOptions, 'users' | 'defaults' | 'handler'>;

/** How to end a server. */
export interface CloseOptions {
  /** True: everything at once. Default false: live connections may end by themselves until `timeouts.drain`. */
  readonly now?: boolean;
}

/** An SSH server that carries tunnels and asks its methods for every decision. Extend it, override what you want to decide,
 *  and call `listen()`; or let `startCluster` or `sallyport serve --handler` run your class in a worker on every core, where
 *  it means the same.
 *
 *  Every hook that gets a `signal` may answer at once or later, within `timeouts.hook` (default 10 s; `onSession`, which serves,
 *  has no deadline); the others answer at once. One that throws, hangs or answers anything else denies, and the log says why.
 *  The signal fires when the peer leaves or the time is up: hand it to what you call. A hook that computes for long holds up
 *  every connection of its process.
 *
 *  `I` is what your login hooks let in, if that is more than a name: later hooks get it with its type.
 *
 *  @example
 *  class Demo extends TunnelServer {
 *    override checkAuthPassword(_username: string, password: string) {
 *      return password === 'foo';
 *    }
 *  }
 *  await new Demo({ listen: ['127.0.0.1:2222'] }).listen();
 */
export class TunnelServer<I extends Identity = Identity> extends EventHub implements ServerHooks {
  /** What whoever asks for a shell or a command is told. Default: `options.noShell`, or the text of the config table. */
  noShell: string;
  /** What the options said of it last: another text in `noShell` is the program's, and stays. */
  #noShellSaid: string = SERVER_KEYS.noShell.default;
  #options: ServerOptions;
  #addresses: readonly ListenerAddress[] = [];
  /** Those of the config, where it names any. */
  #methods: readonly AuthChain[] | null = null;
  #running: Promise<SingleServer> | null = null;
  readonly #passwords = new Passwords();
  #codes: CodeDesk = null;
  readonly #inside: Inside = {
    hooksDecide: true,
    configure: (config, listeners, written) => this.#configure(config, listeners, written),
    closed: () => this.#closed(),
    listeners: () => this.#addresses,
    pool: () => this.#passwords.pool(),
    serves: (desk) => {
      this.#codes = desk;
    },
    codes: () => this.#codes,
    hint: () => null,
  };

  /** @param options are read by `listen()`; in a worker they were read by the primary
   *  @throws TunnelError CONFIG_INVALID where they are no object */
  constructor(options: ServerOptions = {}) {
    super();
    if (typeof options !== 'object' || options === null)
      throw new TunnelError(
        'CONFIG_INVALID',
        `options: is ${kindOf(options)}, allowed: an object of the config's keys`,
      );
    this.#options = options;
    this.noShell = options.noShell ?? SERVER_KEYS.noShell.default;
  }

  /** Where the server listens, with the ports that port 0 became; empty before it does. The same in every worker. */
  get addresses(): readonly ListenerAddress[] {
    return this.#addresses;
  }

  /** Serves in this process, on one core. Signals are left to your program: call `close()` on those that should end it.
   *  @returns the addresses, once it listens on all of them
   *  @throws TunnelError CONFIG_INVALID (every mistake in the options, one a line), HANDLER_INVALID (a hook is no method),
   *  HOST_KEY_INVALID, LISTEN_FAILED; then nothing is left running. ALREADY_LISTENING when it was called before and not
   *  closed since: what runs then stays */
  async listen(): Promise<readonly ListenerAddress[]> {
    if (this.#running !== null)
      throw new TunnelError('ALREADY_LISTENING', 'this server listens already: close() it first');
    // Only here: a worker, which loads this class too, needs nothing of the primary's.
    const running = import('./single.js').then(({ startSingle }) => startSingle(this, this.#options));
    this.#running = running;
    try {
      return (await running).addresses;
    } catch (error) {
      this.#running = null;
      throw error;
    }
  }

  /** Serves by other options from now on, or, without an argument, reads the files that they name again: keys, host keys. As
   *  one step or not at all. Connections that are there stay; a `ConfiguredServer` ends those whose user, key or password is
   *  gone, and tunnels and forwards that its patterns no longer cover.
   *  @throws TunnelError CONFIG_INVALID, HOST_KEY_INVALID, LISTEN_FAILED: then all is as it was; NOT_LISTENING */
  async reload(options: ServerOptions = this.#options): Promise<void> {
    const running = await this.#running?.catch(() => null);
    if (!running) throw new TunnelError('NOT_LISTENING', 'this server does not listen: listen() reads its options');
    await running.reload(options);
    this.#options = options;
  }

  /** Ends the server: nothing new is taken, what runs may end within `timeouts.drain`, and is ended then. Call it again with
   *  `now` to wait no longer. Does nothing where the server does not listen. Never rejects.
   *  @returns when every connection has ended and every port is free */
  async close(options: CloseOptions = {}): Promise<void> {
    const mine = this.#running;
    const running = await mine?.catch(() => null);
    if (!running) return;
    await running.close(options.now === true);
    if (this.#running === mine) this.#running = null; // else somebody else's close was quicker, and it listens again
  }

  /** Which methods this user may log in with, in any order; a text such as `'publickey,password'` asks for several in a row
   *  (RFC 4252 §5.1, partial success). Asked once per connection, before anything is proven: the list must not depend on
   *  whether the user exists. A reload that changes `auth.methods` asks those anew who are about to log in. `username` is '' for a name that
   *  nobody can have.
   *  Default: `options.auth.methods`; without that, those methods whose check is overridden, since each key
   *  that an agent offers for nothing is one of `auth.maxTries`; where none is, publickey and password. */
  getAllowedAuths(username: string, signal: AbortSignal): readonly AuthChain[] | Promise<readonly AuthChain[]>;
  getAllowedAuths(): readonly AuthChain[] | Promise<readonly AuthChain[]> {
    if (this.#methods !== null) return this.#methods;
    const checks: readonly AuthMethod[] = [
      ...(this.checkAuthPublicKey === TunnelServer.prototype.checkAuthPublicKey ? [] : (['publickey'] as const)),
      ...(this.checkAuthPassword === TunnelServer.prototype.checkAuthPassword ? [] : (['password'] as const)),
      ...(this.checkAuthInteractive === TunnelServer.prototype.checkAuthInteractive
        ? []
        : (['keyboard-interactive'] as const)),
    ];
    return checks.length > 0 ? checks : ['publickey', 'password'];
  }

  /** Is this the user's password (RFC 4252 §8)? Also asked for the answer to the one prompt of keyboard-interactive, unless
   *  `checkAuthInteractive` is overridden. Never asked about an empty password or one of more than 1024 bytes: those are refused.
   *
   *  @param password as it was typed. Keep it out of logs; compare it with a hash made to be slow, such as argon2id
   *  @param soFar what the methods before this one gave where several are asked for in a row, else null
   *  @returns true: logged in as `{ user: username }`, or, after methods before it, as what those gave; an `Identity`: logged
   *  in as that, and later hooks get this very object (after methods before it, its `user` must be theirs); false: refused.
   *  Default false */
  checkAuthPassword(
    username: string,
    password: string,
    peer: Peer,
    signal: AbortSignal,
    soFar: I | null,
  ): LoginAnswer<I> | Promise<LoginAnswer<I>>;
  checkAuthPassword(): LoginAnswer<I> | Promise<LoginAnswer<I>> {
    return false;
  }

  /** Is this one of the user's keys (RFC 4252 §7)? Asked for the offer (`key.verified` false), and, when the peer has proved
   *  that it holds the private key, again (`key.verified` true). Only the second answer logs anybody in, so rights must come
   *  from the key of that call.
   *
   *  @param key compare `key.blob`, `key.line` or `key.fingerprint` with what you have stored
   *  @param soFar as for `checkAuthPassword`
   *  @returns as for `checkAuthPassword`; the default identity carries the key's fingerprint. Default false */
  checkAuthPublicKey(
    username: string,
    key: PublicKeyInfo,
    peer: Peer,
    signal: AbortSignal,
    soFar: I | null,
  ): LoginAnswer<I> | Promise<LoginAnswer<I>>;
  checkAuthPublicKey(): LoginAnswer<I> | Promise<LoginAnswer<I>> {
    return false;
  }

  /** keyboard-interactive (RFC 4256): ask the peer what you want to know, in one round or several. `soFar` and the answers mean
   *  what they do for `checkAuthPassword`.
   *  Default: one question, `Password: `, whose answer goes to `checkAuthPassword` */
  checkAuthInteractive(
    username: string,
    conversation: Conversation,
    peer: Peer,
    signal: AbortSignal,
    soFar: I | null,
  ): LoginAnswer<I> | Promise<LoginAnswer<I>>;
  checkAuthInteractive(
    username: string,
    conversation: Conversation,
    peer: Peer,
    signal: AbortSignal,
    soFar: I | null,
  ): LoginAnswer<I> | Promise<LoginAnswer<I>> {
    return askPassword((...args) => this.checkAuthPassword(...args), username, conversation, peer, signal, soFar);
  }

  /** Is it really this identity? Asked when one of the ways of `getAllowedAuths` is complete, so it may depend on the user, and a
   *  stranger does not learn who has a second factor. The first question that you ask makes one of it: behind a key or a password the
   *  peer is told to go on with keyboard-interactive, whether or not that is among the ways in; behind keyboard-interactive the
   *  conversation goes on. A no is one of `auth.maxTries`, and you are asked anew at the next try.
   *  @returns true or false. Default true, with no question asked: there is no second factor */
  checkSecondFactor(
    identity: I,
    conversation: Conversation,
    peer: Peer,
    signal: AbortSignal,
  ): boolean | Promise<boolean>;
  checkSecondFactor(): boolean | Promise<boolean> {
    return true;
  }

  /** May this identity open a tunnel there (`-L`, `-D`, `-W`, `-J`; RFC 4254 §7.2)? Asked before the host is resolved:
   *  whoever decides by address overrides `checkDial` too, or extends `PatternServer`, which does both.
   *
   *  @param origin where the peer says that the tunnel begins. Never trust it
   *  @returns true or false; a `Verdict` (`refuse('POLICY_DENIED', 'why')`) to give the log a reason; or a target in this
   *  program, in place of the destination: a Duplex, or a server such as an `http.Server`, which gets the tunnel as a
   *  connection (`request.socket` is a `TunnelStream`). No port is opened then. Default true */
  checkDirect(
    origin: Origin,
    destination: Destination,
    identity: I,
    signal: AbortSignal,
  ): DirectAnswer | Promise<DirectAnswer>;
  checkDirect(): DirectAnswer | Promise<DirectAnswer> {
    return true;
  }

  /** May this very address be dialled? Asked, after `checkDirect`, for each address that the host resolved to; only one that
   *  passes is dialled, so a name cannot change in between. Answers at once. Default true */
  checkDial(destination: TcpDestination, address: Address, identity: I): HookVerdict;
  checkDial(): HookVerdict {
    return true;
  }

  /** The same for a Unix socket: its path with every symbolic link resolved. Answers at once. Default true */
  checkDialPath(realPath: string, identity: I): HookVerdict;
  checkDialPath(): HookVerdict {
    return true;
  }

  /** May this identity bind that (`-R`; RFC 4254 §7.1)? Port 0 asks for any port: after a yes one of `portRanges` is chosen,
   *  and you are asked again, about that one. Whatever the answer, a port belongs to one identity on all workers, and the
   *  server's own are nobody's. Default true */
  checkForwardAddress(address: BindAddress, identity: I, signal: AbortSignal): HookVerdict | Promise<HookVerdict>;
  checkForwardAddress(): HookVerdict | Promise<HookVerdict> {
    return true;
  }

  /** Ports, as inclusive pairs, among which port 0 is chosen for a bind on `host`. Answers at once.
   *  Default: every port that needs no privilege */
  portRanges(host: string, identity: I): readonly PortRange[];
  portRanges(): readonly PortRange[] {
    return [[1024, MAX_PORT]];
  }

  /** What this identity may have at a time; asked once, after the login. The limits of `options.limits` hold as well.
   *  Answers at once. Default: no limit per user */
  limits(identity: I): IdentityLimits;
  limits(): IdentityLimits {
    const none = Number.POSITIVE_INFINITY;
    return { connections: none, channels: none, forwards: none };
  }

  /** A shell, a command or a subsystem was asked for (RFC 4254 §6.5), and the session is yours: read from it, write to it,
   *  `exit()`. A hook that throws, or whose promise rejects, ends that session alone.
   *  Default: `session.reject(this.noShell)` */
  onSession(session: Session, identity: I, signal: AbortSignal): void | Promise<void>;
  onSession(session: Session): void | Promise<void> {
    session.reject(this.noShell);
  }

  /** Is this the password of that hash? For `checkAuthPassword` of a program that keeps hashes: they are computed in threads,
   *  a few at a time, so that no tunnel waits for a login. Pass `undefined` for a user whom you do not know: that answers false, and
   *  takes as long as a wrong password, if all your hashes have one cost (the one seen last is taken).
   *
   *  @param hash argon2id, as `sallyport hash-password` prints it, or scrypt or bcrypt
   *  @throws TunnelError POOL_BUSY (too many logins at once), HOOK_TIMEOUT, or HOOK_FAILED (the hash is none); left to your
   *  hook's caller, each denies and is logged */
  protected async verifyPassword(hash: string | undefined, password: string, signal?: AbortSignal): Promise<boolean> {
    return this.#passwords.verify(hash, password, signal);
  }

  /** Is this the code that an authenticator app shows for this secret? For `checkSecondFactor` of a program that keeps otpauth://
   *  URIs. One step of time more or less counts too; a code that was used is refused, whichever worker saw it, and after ten
   *  wrong ones of a user in an hour all are.
   *
   *  @param user whose code it is: `identity.user`
   *  @param uri `otpauth://totp/NAME?secret=…`, with algorithm, digits and period where they are not SHA1, 6 and 30
   *  @returns true. Every no is thrown, so that the log can tell why: LoginRefused CODE_WRONG, CODE_REPLAYED or CODE_LIMIT;
   *  TunnelError HOOK_FAILED (the URI is none, or there is no primary to ask); leave them uncaught */
  protected async verifyCode(user: string, uri: string, code: string): Promise<true> {
    const key = parseOtpauth(uri);
    if (!key.ok) throw new TunnelError('HOOK_FAILED', `verifyCode: the URI ${key.error}`);
    return requireCode(this.#codes, user, key.value, code);
  }

  #configure(config: Config, listeners: readonly ListenerAddress[], written: object): Taken {
    this.#addresses = listeners;
    // A handler whose constructor keeps its options to itself is still held to what the config says.
    const before = this.#methods ?? [];
    this.#methods = saysMethods(written) ? config.auth.methods : null;
    if (this.noShell === this.#noShellSaid) this.noShell = config.noShell;
    this.#noShellSaid = config.noShell;
    // What hooks have given is theirs to take.
    return { ...NOTHING_TAKEN, logins: { methods: areOthers(before, this.#methods ?? []), proofs: false } };
  }

  async #closed(): Promise<void> {
    this.#addresses = [];
    await this.#passwords.close();
  }

  /** @internal */
  static readonly [SERVED]: number = SERVED_VERSION;
  /** @internal */
  get [SERVED](): Inside {
    return this.#inside;
  }
}

function saysMethods(written: object): boolean {
  const auth: unknown = 'auth' in written ? written.auth : undefined;
  return typeof auth === 'object' && auth !== null && 'methods' in auth && auth.methods !== undefined;
}
