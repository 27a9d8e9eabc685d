/** INTAKE: the first line of a connection (RFC 4253 §4.2), before anything is spent on it.
 *  Owns nothing but its opening.ts. Sends our ident at once, for peers that wait for it; refuses what is no SSH 2 ident with
 *  one line, and says nothing to a peer that stays silent. */
import type { CloseReason } from '../shared/errors.js';
import { Opening } from './opening.js';
import { looksProxied } from './proxy_header.js';
import { SERVER_LINE } from './transport/ident.js';
import type { SocketReader } from './transport/reader.js';

/** With CR LF, as the RFC has it. */
const MAX_IDENT_BYTES = 255;
/** Before a peer has said anything, it costs us a descriptor and nothing else; ten seconds are many round trips. */
const IDENT_TIMEOUT_MS = 10_000;

type IdentEnd = Extract<CloseReason, 'IDENT_TIMEOUT' | 'IDENT_INVALID' | 'PROXY_UNEXPECTED' | 'PEER_CLOSED'>;

export interface IntakeOutcomes {
  /** `line` ends with its LF; `rest` is what came behind it. Both are copies. */
  onIdent(line: Buffer, rest: Buffer): void;
  /** `detail` is for the log. */
  onRefused(reason: IdentEnd, detail: string): void;
}

export class Intake {
  readonly #opening: Opening;
  readonly #outcomes: IntakeOutcomes;

  constructor(reader: SocketReader, outcomes: IntakeOutcomes) {
    this.#outcomes = outcomes;
    this.#opening = new Opening(reader, {
      timeoutMs: IDENT_TIMEOUT_MS,
      onBytes: (received) => this.#onBytes(received),
      onTimeout: () => this.#refuse('IDENT_TIMEOUT', ''),
      onGone: () => outcomes.onRefused('PEER_CLOSED', ''),
    });
    reader.socket.write(SERVER_LINE);
  }

  /** Gives the connection up from outside (drain, grace time). */
  cancel(): void {
    this.#opening.cancel();
  }

  /** What came before this step began. */
  receive(bytes: Buffer): void {
    this.#opening.receive(bytes);
  }

  #onBytes(received: Buffer): void {
    const end = received.indexOf(LF);
    if (end === -1 ? received.length >= MAX_IDENT_BYTES : end >= MAX_IDENT_BYTES)
      return this.#refuse('IDENT_INVALID', INVALID_LINE);
    // What cannot become an ident is refused at its first wrong byte, not at the deadline; but for a PROXY header, of which an
    // operator is to hear by its name.
    if (!mayBecomeIdent(received)) {
      const looks = looksProxied(received);
      if (looks === 'maybe') return;
      return this.#refuse(looks === 'yes' ? 'PROXY_UNEXPECTED' : 'IDENT_INVALID', INVALID_LINE);
    }
    if (end === -1) return;
    const line = received.subarray(0, end + 1);
    if (!IDENT.test(line.toString('latin1'))) return this.#refuse('IDENT_INVALID', INVALID_LINE);
    if (this.#opening.finish()) this.#outcomes.onIdent(line, received.subarray(end + 1));
  }

  #refuse(reason: Exclude<IdentEnd, 'PEER_CLOSED'>, lastWords: string): void {
    if (this.#opening.end(lastWords)) this.#outcomes.onRefused(reason, reason === 'PROXY_UNEXPECTED' ? NO_PROXY : '');
  }
}

const INVALID_LINE = 'Invalid SSH identification string.\r\n';
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
