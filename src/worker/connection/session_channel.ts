/** SESSION CHANNEL: a `session` channel until its peer has said what it wants (RFC 4254 §6): terminal, environment, then
 *  one of shell, exec and subsystem, which goes to the server's `onSession`.
 *  Owns what the peer has said so far, bounded. Everything else is refused and the connection goes on. */
import { assertNever, type RefusalCode } from '../../shared/errors.js';
import { safeText } from '../../shared/log.js';
import { WireReader } from '../../shared/protocol.js';
import type { Channel, ChannelUser } from '../channel/channel.js';
import { ChannelPump, type LingerBudget, type RestTimeouts } from '../channel/pump.js';
import { ChannelRecord, type RecordOptions } from '../channel/record.js';
import { Session, type SessionLink, type SessionRequest, SIGNALS, type Terminal } from './session.js';

export interface SessionOptions extends RecordOptions {
  readonly timeouts: RestTimeouts;
  readonly lingering: LingerBudget;
  /** The server's handler. Never throws: a fault is told by `failed`, now or later. */
  onSession(session: Session, failed: (detail: string) => void): void;
  /** What was asked for (`shell`, `exec`, `subsystem sftp`) was refused. */
  onRefused(what: string, code: RefusalCode, detail?: string): void;
}

/** A client sends LANG and LC_*; what it sends beyond this is not kept. There may be a thousand such channels. */
const MAX_VARIABLES = 128;
const MAX_ENV_BYTES = 8 * 1024;
/** What a variable or a mode of a terminal costs beside its own bytes: a thousand channels that only wait for a request, with all
 *  that they may be told, had made a connection 21 MiB larger than anybody knew. */
const ENTRY_BYTES = 96;
/** The longest names of terminfo have some thirty. */
const MAX_TERM_BYTES = 256;
const TTY_OP_END = 0;
/** RFC 4254 §8: opcodes from here on are not yet defined and end the parsing. */
const FIRST_UNDEFINED_OPCODE = 160;

export class SessionChannel implements ChannelUser {
  readonly #channel: Channel;
  readonly #options: SessionOptions;
  readonly #record: ChannelRecord;
  #env = new Map<string, string>();
  #envBytes = 0;
  #link = newLink(null);
  #eofReceived = false;

  constructor(channel: Channel, options: SessionOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#record = new ChannelRecord(channel, { kind: 'session', destination: 'session' }, options, null);
    channel.attach(this);
  }

  onRequest(name: string, details: Buffer): boolean {
    switch (name) {
      case 'pty-req': // §6.2. Granted whoever serves the session: OpenSSH would complain
        return this.#onTerminal(parseTerminal(new WireReader(details)));
      case 'env': // §6.4
        return this.#onVariable(new WireReader(details));
      case 'shell': // §6.5
        return this.#begin({ kind: 'shell' }, name);
      case 'exec': {
        const command = textOf(details);
        return command !== null && this.#begin({ kind: 'exec', command }, name);
      }
      case 'subsystem': {
        const subsystem = textOf(details);
        if (subsystem === null) return false;
        return this.#begin({ kind: 'subsystem', name: subsystem }, `subsystem ${safeText(subsystem)}`);
      }
      default:
        return this.#onLater(name, details);
    }
  }

  /** What may also come while a session runs; its own requests come here through the pump. */
  #onLater(name: string, details: Buffer): boolean {
    const reader = new WireReader(details);
    switch (name) {
      case 'window-change': {
        // §6.7
        const { terminal } = this.#link;
        const size = sizeOf(reader);
        if (terminal === null || !reader.atEnd) return false;
        this.#link.terminal = { ...terminal, ...size };
        this.#link.onTerminal(this.#link.terminal);
        return true;
      }
      case 'signal': {
        // §6.9
        const asked = reader.text();
        const signal = SIGNALS.find((known) => known === asked);
        if (signal === undefined || !reader.atEnd) return false;
        this.#link.onSignal(signal);
        return true;
      }
      default: // x11-req, auth-agent-req@openssh.com, break, xon-xoff, …
        return false;
    }
  }

  #onTerminal(terminal: Terminal | null): boolean {
    if (terminal !== null) this.#link.terminal = terminal;
    this.#account();
    return terminal !== null;
  }

  #onVariable(reader: WireReader): boolean {
    const [name, value] = [reader.bytes(), reader.bytes()];
    const bytes = name.length + value.length;
    if (!reader.atEnd || this.#env.size >= MAX_VARIABLES || this.#envBytes + bytes > MAX_ENV_BYTES) return false;
    this.#envBytes += bytes;
    this.#env.set(name.toString(), value.toString());
    this.#account();
    return true;
  }

  /** A session keeps as long what it was given of it. */
  #account(requestBytes = 0): void {
    const entries = this.#env.size + (this.#link.terminal?.modes.size ?? 0);
    this.#channel.keep(this.#envBytes + requestBytes + entries * ENTRY_BYTES);
  }

  /** From here on the channel is the handler's. @returns what the peer is told */
  #begin(request: SessionRequest, what: string): boolean {
    const { timeouts, lingering, onSession, onRefused } = this.#options;
    let failure: string | null = null;
    let rejected = false;
    let answered = false;
    const pump = new ChannelPump(this.#channel, {
      timeouts,
      lingering,
      onEnd: (end, detail) => this.#record.closed(failure === null ? end : 'HOOK_FAILED', failure ?? detail),
      onRequest: (name, details) => this.#onLater(name, details),
    });
    this.#account(bytesOf(request));
    const link = this.#link;
    link.onReject = () => {
      onRefused(what, 'POLICY_DENIED');
      rejected = true;
    };
    const env = this.#env;
    this.#env = new Map(); // the session's now
    const session = new Session(pump, request, env, link);
    onSession(session, (detail) => {
      failure ??= detail;
      if (answered) session.destroy();
    });
    answered = true;
    if (failure !== null) onRefused(what, 'HOOK_FAILED', failure);
    if (pump.over) return false; // the handler has destroyed it: there is no answer behind CLOSE
    if (failure !== null || (rejected && request.kind === 'subsystem')) {
      // A plain no, after which the peer may ask for something else, as PuTTY's psftp does.
      pump.disown();
      this.#env = env;
      this.#link = newLink(link.terminal); // what this handler left in its own is nobody's any more
      this.#channel.attach(this);
      return false;
    }
    // The answer to the request goes first; this turn's batch still carries what the handler has written.
    queueMicrotask(() => {
      pump.open();
      if (this.#eofReceived) pump.onEof();
    });
    return true;
  }

  onData(bytes: Buffer): void {
    this.#channel.delivered(bytes.length); // nobody reads it yet
  }
  onEof(): void {
    this.#eofReceived = true;
  }
  onWritable(): void {}
  onReadEnd(): void {}
  onHold(): void {}
  onClose(released: () => void): void {
    released();
    this.#record.closed('PEER_CLOSED');
  }
}

function newLink(terminal: Terminal | null): SessionLink {
  return { terminal, onTerminal: ignore, onSignal: ignore, onReject: ignore };
}

/** §6.2: TERM, columns, rows, width and height in pixels, modes. */
function parseTerminal(reader: WireReader): Terminal | null {
  const term = reader.bytes();
  const size = sizeOf(reader);
  const encoded = reader.bytes();
  return reader.atEnd && term.length <= MAX_TERM_BYTES
    ? { term: term.toString('utf8'), ...size, modes: parseModes(new WireReader(encoded)) }
    : null;
}

/** §6.2, §6.7: columns and rows, then the same in pixels. */
function sizeOf(reader: WireReader): Pick<Terminal, 'columns' | 'rows' | 'width' | 'height'> {
  return { columns: reader.uint32(), rows: reader.uint32(), width: reader.uint32(), height: reader.uint32() };
}

/** §8: an opcode and a uint32 each, up to TTY_OP_END. */
function parseModes(reader: WireReader): ReadonlyMap<number, number> {
  const modes = new Map<number, number>();
  for (let opcode = reader.byte(); opcode !== TTY_OP_END && opcode < FIRST_UNDEFINED_OPCODE; opcode = reader.byte()) {
    const value = reader.uint32();
    if (!reader.ok) break;
    modes.set(opcode, value);
  }
  return modes;
}

function bytesOf(request: SessionRequest): number {
  switch (request.kind) {
    case 'shell':
      return 0;
    case 'exec':
      return request.command.length;
    case 'subsystem':
      return request.name.length;
    default:
      return assertNever(request);
  }
}

function textOf(details: Buffer): string | null {
  const reader = new WireReader(details);
  const bytes = reader.bytes();
  return reader.atEnd ? bytes.toString('utf8') : null; // a packet holds 35 KiB at most
}

function ignore(): void {}
