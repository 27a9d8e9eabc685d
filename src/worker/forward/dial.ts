/** DIAL: from checked addresses to one connected socket.
 *  Owns the attempts while they race and destroys the losers. Checks no policy and asks no DNS: whoever calls has passed
 *  every address through mayDial, and the very literal is dialled. Never rejects. */
import type { Socket, SocketConnectOpts } from 'node:net';
import type { Address } from '../../shared/address.js';
import { errnoOf } from '../../shared/errors.js';
import { type After, after, type Cancel } from '../../shared/timer.js';

export type DialFailure = 'CONNECT_REFUSED' | 'CONNECT_TIMEOUT' | 'CONNECT_FAILED' | 'RESOURCE_SHORTAGE';

/** The socket is connected, has Nagle off, and carries one listener of ours: an 'error' listener that does nothing. It
 *  stays, since an error may be emitted between the connect and the caller's first step after its `await`, and would
 *  end the process. So the caller adds its own listeners in that very step, and looks at `socket.destroyed` first. */
export type DialOutcome =
  | { readonly ok: true; readonly socket: Socket }
  | { readonly ok: false; readonly code: DialFailure };

export interface DialOptions {
  /** Makes one unconnected socket per attempt; the caller sets allowHalfOpen and onread, and pauses it where no byte may
   *  be read before its listeners are there. */
  readonly createSocket: () => Socket;
  /** For the whole race. */
  readonly timeoutMs: number;
  /** Destroys every attempt at once; the outcome is then CONNECT_FAILED. After a success it does nothing more: the caller
   *  looks at it again after its `await`. */
  readonly signal?: AbortSignal;
  /** Default: the real clock. */
  readonly after?: After;
}

export interface DialAddressOptions extends DialOptions {
  /** In the order of preference. None is CONNECT_FAILED. */
  readonly addresses: readonly Address[];
  /** 1..65535. */
  readonly port: number;
  /** The next address is tried beside the ones under way after this time, or as soon as one fails. Default 250
   *  (RFC 8305 §5). */
  readonly attemptDelayMs?: number;
}

/** Connects to the first address that answers. Our own race: node's ends each attempt after 250 ms for good, and resolves
 *  names, so that what was checked need not be what is dialled. */
export function dial(options: DialAddressOptions): Promise<DialOutcome> {
  const targets = options.addresses.map(
    ({ text, family }): SocketConnectOpts => ({ host: text, port: options.port, family, autoSelectFamily: false }),
  );
  return new Promise((resolve) => new Race(targets, options, options.attemptDelayMs ?? 250, resolve).start());
}

/** Connects to a Unix socket. The caller has asked mayDialPath about its real path and passes one that nobody can bend
 *  since (shared/pinned.ts): the kernel follows symbolic links. */
export function dialUnix(path: string, options: DialOptions): Promise<DialOutcome> {
  return new Promise((resolve) => new Race([{ path }], options, 0, resolve).start());
}

class Race {
  readonly #targets: readonly SocketConnectOpts[];
  readonly #options: DialOptions;
  readonly #attemptDelayMs: number;
  readonly #resolve: (outcome: DialOutcome) => void;
  readonly #after: After;
  readonly #attempts = new Set<Socket>();
  readonly #failures = new Set<DialFailure>();
  #next = 0;
  #over = false;
  #cancelDeadline: Cancel = nothing;
  #cancelDelay: Cancel = nothing;

  constructor(
    targets: readonly SocketConnectOpts[],
    options: DialOptions,
    attemptDelayMs: number,
    resolve: (outcome: DialOutcome) => void,
  ) {
    this.#targets = targets;
    this.#options = options;
    this.#attemptDelayMs = attemptDelayMs;
    this.#resolve = resolve;
    this.#after = options.after ?? after;
  }

  start(): void {
    const { signal, timeoutMs } = this.#options;
    if (signal?.aborted) {
      this.#abort();
      return;
    }
    signal?.addEventListener('abort', this.#abort, { once: true });
    this.#cancelDeadline = this.#after(timeoutMs, () => this.#end({ ok: false, code: 'CONNECT_TIMEOUT' }));
    this.#tryNext();
  }

  /** Starts the next attempt; with none left and none under way the race is lost. */
  #tryNext(): void {
    this.#cancelDelay();
    this.#cancelDelay = nothing;
    const target = this.#targets[this.#next++];
    if (target === undefined) {
      if (this.#attempts.size === 0) this.#end({ ok: false, code: mostTelling(this.#failures) });
      return;
    }
    if (this.#next < this.#targets.length) {
      this.#cancelDelay = this.#after(this.#attemptDelayMs, () => this.#tryNext());
    }
    let socket: Socket;
    try {
      socket = this.#options.createSocket();
    } catch (thrown) {
      this.#failed(thrown);
      return;
    }
    this.#attempts.add(socket);
    // The outcome of an attempt is told by 'connect' or 'close'; the errno is kept for 'close', and later errors are the
    // losers' and, in the gap that DialOutcome describes, the winner's.
    let cause: unknown;
    socket.on('error', (error) => {
      cause ??= error;
    });
    const onConnect = (): void => {
      socket.off('close', onClose);
      if (isSelfConnected(socket)) {
        this.#attempts.delete(socket);
        socket.destroy();
        this.#failed(SELF_CONNECTED);
      } else {
        socket.setNoDelay(true);
        this.#attempts.delete(socket);
        this.#end({ ok: true, socket });
      }
    };
    const onClose = (): void => {
      socket.off('connect', onConnect);
      if (this.#attempts.delete(socket)) this.#failed(cause);
    };
    socket.once('connect', onConnect);
    socket.once('close', onClose);
    try {
      socket.connect(target);
    } catch (thrown) {
      cause = thrown;
      socket.destroy(); // 'close' follows
    }
  }

  #failed(cause: unknown): void {
    if (this.#over) return;
    this.#failures.add(failureOf(cause));
    this.#tryNext();
  }

  readonly #abort = (): void => this.#end({ ok: false, code: 'CONNECT_FAILED' });

  #end(outcome: DialOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelDeadline();
    this.#cancelDelay();
    this.#options.signal?.removeEventListener('abort', this.#abort);
    for (const loser of this.#attempts) loser.destroy();
    this.#attempts.clear();
    this.#resolve(outcome);
  }
}

/** A connect to a free port of the ephemeral range of this machine may be given that very port as its own, and is then
 *  connected to itself: an echo where nobody listens. */
function isSelfConnected(socket: Socket): boolean {
  return (
    socket.localPort !== undefined &&
    socket.localPort === socket.remotePort &&
    socket.localAddress === socket.remoteAddress
  );
}

const SELF_CONNECTED = 'connected to itself';

function failureOf(cause: unknown): DialFailure {
  if (cause === SELF_CONNECTED) return 'CONNECT_REFUSED';
  switch (errnoOf(cause)) {
    case 'ECONNREFUSED':
      return 'CONNECT_REFUSED';
    case 'ETIMEDOUT':
      return 'CONNECT_TIMEOUT';
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
      return 'RESOURCE_SHORTAGE';
    default:
      return 'CONNECT_FAILED';
  }
}

/** A refusal is an answer of the host and tells most; `::1` of a machine without IPv6 must not hide it. */
function mostTelling(failures: ReadonlySet<DialFailure>): DialFailure {
  return TELLING.find((code) => failures.has(code)) ?? 'CONNECT_FAILED';
}

const TELLING: readonly DialFailure[] = ['RESOURCE_SHORTAGE', 'CONNECT_REFUSED', 'CONNECT_TIMEOUT', 'CONNECT_FAILED'];

function nothing(): void {}
