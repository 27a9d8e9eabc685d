/** SESSION: a `session` channel whose peer has said what it wants (RFC 4254 §6): the Duplex that a handler of the user's
 *  serves.
 *  Owns the way it ends: exit status, EOF, CLOSE, in this order and behind everything that was written. */
import { Writable } from 'node:stream';
import { reasonOf } from '../../shared/errors.js';
import type { Channel } from '../channel/channel.js';
import type { ChannelPump, Done } from '../channel/pump.js';
import { ChannelStream } from '../channel/stream.js';

/** What the peer asked for, once per session (RFC 4254 §6.5). The texts are the peer's: they may hold anything. */
export type SessionRequest =
  | { readonly kind: 'shell' }
  /** `command` as it was typed, for you to parse: no shell has seen it. */
  | { readonly kind: 'exec'; readonly command: string }
  /** `sftp` for sftp(1) and scp(1). */
  | { readonly kind: 'subsystem'; readonly name: string };

/** A terminal (RFC 4254 §6.2). The peer's terminal is raw: it sends keys as they are pressed, and lines end in CR LF. */
export interface Terminal {
  /** Value of TERM, such as `xterm-256color`. */
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
  /** In pixels; 0 where the peer does not know. */
  readonly width: number;
  readonly height: number;
  /** Encoded terminal modes by opcode (RFC 4254 §8), such as 53 for ECHO. */
  readonly modes: ReadonlyMap<number, number>;
}

/** Signals of RFC 4254 §6.10, without SIG as the RFC has them. */
export const SIGNALS = [
  'ABRT',
  'ALRM',
  'FPE',
  'HUP',
  'ILL',
  'INT',
  'KILL',
  'PIPE',
  'QUIT',
  'SEGV',
  'TERM',
  'USR1',
  'USR2',
] as const;
export type SignalName = (typeof SIGNALS)[number];

/** What the session's channel tells the session, and the session the channel. */
export interface SessionLink {
  terminal: Terminal | null;
  onTerminal: (terminal: Terminal) => void;
  onSignal: (signal: SignalName) => void;
  /** The handler said no. */
  onReject: () => void;
}

/** The standard input and output of whoever asked: read what the peer sends, write what it shall see. Backpressure holds
 *  both ways, in bytes of the channel's window.
 *
 *  It ends by `exit()`, by `exitSignal()`, by `destroy()` (no exit status: ssh(1) then ends with 255), or by itself with
 *  exit status 0 when both directions have ended. `end()` alone is EOF: the session stays open for what the peer still says. 'close' tells that the peer has gone or the session is over. */
export class Session extends ChannelStream {
  readonly request: SessionRequest;
  /** Variables that the peer set (RFC 4254 §6.4), at most 128. The peer's choice: never pass them to a process unseen. */
  readonly env: ReadonlyMap<string, string>;
  /** The peer's standard error (RFC 4254 §5.2). Shares the window; ends with the session. */
  readonly stderr: Writable;
  readonly #pump: ChannelPump;
  readonly #link: SessionLink;
  #last: ((channel: Channel) => void) | null = null;
  #eofSent = false;

  /** @internal Sessions are made by the server. */
  constructor(pump: ChannelPump, request: SessionRequest, env: ReadonlyMap<string, string>, link: SessionLink) {
    super(pump);
    this.#pump = pump;
    this.#link = link;
    this.request = request;
    this.env = env;
    this.stderr = new Stderr(pump);
  }

  /** The peer's terminal as it is now, or null where it asked for none. */
  get terminal(): Terminal | null {
    return this.#link.terminal;
  }

  /** `listener` hears each change of the terminal's size (RFC 4254 §6.7); a later listener replaces it. */
  onTerminal(listener: (terminal: Terminal) => unknown): void {
    this.#link.onTerminal = (terminal) => this.#heard(listener(terminal));
  }

  /** `listener` hears each signal that the peer sends (RFC 4254 §6.9); a later listener replaces it. */
  onSignal(listener: (signal: SignalName) => unknown): void {
    this.#link.onSignal = (signal) => this.#heard(listener(signal));
  }

  /** Ends the session with this exit status (RFC 4254 §6.10), once all that was written has gone out. Default 0; only the
   *  lowest 8 bits reach ssh(1)'s own exit code; what is no whole number counts as 255. The first end counts; later calls do
   *  nothing. */
  exit(status = 0): void {
    this.#exitBy((channel) => channel.request('exit-status', Number.isInteger(status) ? status >>> 0 : 255));
  }

  /** Ends the session as if a signal had (RFC 4254 §6.10); ssh(1) then ends with 255. */
  exitSignal(signal: SignalName, { coreDumped = false, message = '' } = {}): void {
    this.#exitBy((channel) => channel.request('exit-signal', signal, coreDumped, message, ''));
  }

  /** Says no: logged as a refusal. A shell or a command hears `text` on stderr and gets exit status 1; a subsystem is
   *  refused without a text, which is what sftp(1) understands, if this is called before the hook returns. */
  reject(text = ''): void {
    if (this.#last !== null || this.destroyed) return;
    this.#link.onReject();
    if (text !== '') this.stderr.write(withLineEnds(text, this.#link.terminal === null ? '\n' : '\r\n'));
    this.resume(); // nobody reads what the peer types meanwhile
    this.exit(1);
  }

  /** An async listener's fault ends its session, as that of any other. */
  #heard(listened: unknown): void {
    Promise.resolve(listened).catch((thrown: unknown) => {
      this.destroy(thrown instanceof Error ? thrown : new Error(reasonOf(thrown)));
    });
  }

  #exitBy(last: (channel: Channel) => void): void {
    if (this.#last !== null || this.destroyed) return;
    this.#last = last;
    if (this.#eofSent) this.#leave();
    else {
      this.once('finish', () => this.#pump.complete());
      this.end();
    }
  }

  /** `end()` came before the exit: EOF has gone already. */
  #leave(): void {
    this.#pump.step(
      (channel) => this.#last?.(channel),
      () => this.#pump.complete(),
    );
  }

  /** @internal EOF is the end of stderr too. */
  override _final(done: Done): void {
    const ended = (): void => {
      this.#pump.step((channel) => {
        this.#eofSent = true; // by the step behind this one
        this.#last?.(channel);
      }, ignore);
      this.#pump.eof(done);
    };
    if (this.stderr.destroyed) ended();
    else this.stderr.end(ended);
  }

  /** @internal */
  override _destroy(error: Error | null, done: Done): void {
    if (error === null && this.#last === null && this.readableEnded && this.writableFinished)
      this.#pump.step((channel) => channel.request('exit-status', 0), ignore);
    this.stderr.destroy();
    super._destroy(error, done);
  }
}

/** The peer's standard error as a stream. */
class Stderr extends Writable {
  readonly #pump: ChannelPump;

  constructor(pump: ChannelPump) {
    const options = { decodeStrings: true, captureRejections: true }; // Writable's types lack the second
    super(options);
    this.#pump = pump;
    this.on('error', ignore);
  }
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    return this.#pump.contain(() => super.emit(event, ...args)) ?? true;
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#pump.send('stderr', chunk, done);
  }
  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, done: Done): void {
    this.#pump.send('stderr', Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }
}

function withLineEnds(text: string, lineEnd: string): string {
  return text.replaceAll(/\r?\n/g, lineEnd) + lineEnd;
}

function ignore(): void {}
