/** INTAKE: the first line of a connection (RFC 4253 §4.2), before anything is spent on it.
 *  Owns the ident until it is complete. Sends ours at once, for peers that wait for it; takes theirs in any number of
 *  pieces; refuses what is no SSH 2 ident with one line, and says nothing to a peer that stays silent. */
import type { CloseReason } from '../shared/errors.js';
import { looksProxied } from './proxy_header.js';
import { SERVER_LINE } from './transport/ident.js';
import type { SocketReader } from './transport/reader.js';

/** With CR LF, as the RFC has it. */
const MAX_IDENT_BYTES = 255;
/** Before a peer has said anything, it costs us a descriptor and nothing else; ten seconds are many round trips. */
const IDENT_TIMEOUT_MS = 10_000;
const LINGER_MS = 1_000;

type IdentEnd = Extract<CloseReason, 'IDENT_TIMEOUT' | 'IDENT_INVALID' | 'PROXY_UNEXPECTED' | 'PEER_CLOSED'>;

export interface IntakeOutcomes {
  /** `line` ends with its LF; `rest` is what came behind it. Both are copies. */
  onIdent(line: Buffer, rest: Buffer): void;
  /** `detail` is for the log. */
  onRefused(reason: IdentEnd, detail: string): void;
}

export class Intake {
  readonly #reader: SocketReader;
  readonly #outcomes: IntakeOutcomes;
  readonly #timer: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #over = false;

  constructor(reader: SocketReader, outcomes: IntakeOutcomes) {
    this.#reader = reader;
    this.#outcomes = outcomes;
    const { socket } = reader;
    socket.on('error', this.#onGone);
    socket.on('close', this.#onGone);
    socket.on('end', this.#onGone);
    reader.consumer = (bytes) => {
      this.receive(bytes);
      return true;
    };
    this.#timer = setTimeout(() => this.#refuse('IDENT_TIMEOUT'), IDENT_TIMEOUT_MS);
    socket.write(SERVER_LINE);
  }

  /** Gives the connection up from outside (drain, grace time). */
  cancel(): void {
    if (this.#finish()) this.#reader.socket.destroy();
  }

  /** What has come: by the reader, or before this step began. */
  receive(bytes: Buffer): void {
    if (this.#over) return;
    this.#received = Buffer.concat([this.#received, bytes]);
    const end = this.#received.indexOf(LF);
    if (end === -1 ? this.#received.length >= MAX_IDENT_BYTES : end >= MAX_IDENT_BYTES)
      return this.#refuse('IDENT_INVALID');
    // What cannot become an ident is refused at its first wrong byte, not at the deadline; but for a PROXY header, of which an
    // operator is to hear by its name.
    if (!mayBecomeIdent(this.#received)) {
      const looks = looksProxied(this.#received);
      if (looks === 'maybe') return;
      return this.#refuse(looks === 'yes' ? 'PROXY_UNEXPECTED' : 'IDENT_INVALID');
    }
    if (end === -1) return;
    const line = this.#received.subarray(0, end + 1);
    if (!IDENT.test(line.toString('latin1'))) return this.#refuse('IDENT_INVALID');
    const rest = this.#received.subarray(end + 1);
    if (this.#finish()) this.#outcomes.onIdent(line, rest);
  }

  readonly #onGone = (): void => {
    if (!this.#finish()) return;
    this.#reader.socket.destroy();
    this.#outcomes.onRefused('PEER_CLOSED', '');
  };

  #refuse(reason: Exclude<IdentEnd, 'PEER_CLOSED'>): void {
    if (!this.#finish()) return;
    const { socket } = this.#reader;
    socket.on('error', ignore);
    if (reason === 'IDENT_TIMEOUT') socket.destroy();
    else {
      socket.end('Invalid SSH identification string.\r\n');
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    }
    this.#outcomes.onRefused(reason, reason === 'PROXY_UNEXPECTED' ? NO_PROXY : '');
  }

  /** @returns false when it was over already */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#reader.consumer = () => true;
    const { socket } = this.#reader;
    socket.off('error', this.#onGone);
    socket.off('close', this.#onGone);
    socket.off('end', this.#onGone);
    return true;
  }
}

const NO_PROXY = 'a PROXY header from an address that is in no listen[].proxyProtocol.from of this listener';
const LF = 0x0a;
/** `SSH-protoversion-softwareversion SP comments CR LF`; §5.1 lets 1.99 mean 2.0. Printable ASCII only; a bare LF is
 *  taken, as every server does. */
const IDENT = /^SSH-(?:2\.0|1\.99)-[\x20-\x7e]+\r?\n$/;
const BEGINNINGS = [Buffer.from('SSH-2.0-'), Buffer.from('SSH-1.99-')];

function mayBecomeIdent(received: Buffer): boolean {
  return BEGINNINGS.some((beginning) => {
    const bytes = Math.min(beginning.length, received.length);
    return received.subarray(0, bytes).equals(beginning.subarray(0, bytes));
  });
}

function ignore(): void {}
