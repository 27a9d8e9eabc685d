/** PROXY INTAKE: the header of a connection that a proxy brings, before a byte of the client's is heard.
 *  Owns nothing but its opening.ts. Reads no further than the header until the primary has judged whom it
 *  names. Says nothing of ours before: who is turned away at the door reads the door's words in place of an ident. */
import type { CloseReason } from '../shared/errors.js';
import type { Peer } from '../shared/identity.js';
import type { Admitted } from '../shared/ipc.js';
import { Opening } from './opening.js';
import { readProxyHeader } from './proxy_header.js';
import type { SocketReader } from './transport/reader.js';

/** A proxy says it with its first segment; this is a lost one, sent again twice. */
const HEADER_TIMEOUT_MS = 5_000;

type ProxyEnd = Extract<CloseReason, 'PROXY_MISSING' | 'PROXY_INVALID' | 'PROXY_TIMEOUT' | 'PEER_CLOSED' | 'DRAINED'>;

export interface ProxyIntakeOptions {
  /** May this client come in? Null: there is no primary that could say. Never rejects. */
  judge(source: Peer | null): Promise<Admitted | null>;
  /** `source` null: the proxy itself. `rest` is what came behind the header, a copy. Nothing is read before the next step
   *  resumes the socket. */
  onAdmitted(source: Peer | null, rest: Buffer): void;
  /** The door has told it already. */
  onTurnedAway(): void;
  /** `detail` is for the log. */
  onRefused(reason: ProxyEnd, detail: string): void;
}

export class ProxyIntake {
  readonly #opening: Opening;
  readonly #options: ProxyIntakeOptions;

  constructor(reader: SocketReader, options: ProxyIntakeOptions) {
    this.#options = options;
    this.#opening = new Opening(reader, {
      timeoutMs: HEADER_TIMEOUT_MS,
      onBytes: (received) => this.#onBytes(received),
      onTimeout: () => this.#refuse('PROXY_TIMEOUT', '', ''),
      onGone: () => options.onRefused('PEER_CLOSED', 'before its PROXY header'),
    });
  }

  /** Gives the connection up from outside (drain, grace time). */
  cancel(): void {
    this.#opening.cancel();
  }

  #onBytes(received: Buffer): void {
    const header = readProxyHeader(received);
    switch (header.kind) {
      case 'incomplete':
        return;
      case 'wrong':
        // For whoever tries a plain `ssh` from the proxy's machine.
        this.#refuse(header.reason, header.why, header.reason === 'PROXY_MISSING' ? 'PROXY header expected.\r\n' : '');
        return;
      case 'whole':
        this.#opening.hold();
        void this.#judge(header.source, received.subarray(header.bytes));
        return;
    }
  }

  async #judge(source: Peer | null, rest: Buffer): Promise<void> {
    const verdict = await this.#options.judge(source);
    if (verdict === null) this.#refuse('DRAINED', 'there is no primary that could judge its source', '');
    else if (!verdict.admit) {
      if (this.#opening.end(verdict.lastWords)) this.#options.onTurnedAway();
    } else if (this.#opening.finish()) this.#options.onAdmitted(source, rest);
  }

  #refuse(reason: ProxyEnd, detail: string, lastWords: string): void {
    if (this.#opening.end(lastWords)) this.#options.onRefused(reason, detail);
  }
}
