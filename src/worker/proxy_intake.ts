/** PROXY INTAKE: the header of a connection that a proxy brings, before a byte of the client's is heard.
 *  Owns the header until it is complete, in any number of pieces; then reads no further until the primary has judged whom it
 *  names. Says nothing of ours before: who is turned away at the door reads the door's words in place of an ident. */
import type { CloseReason } from '../shared/errors.js';
import type { Peer } from '../shared/identity.js';
import type { Admitted } from '../shared/ipc.js';
import { readProxyHeader } from './proxy_header.js';
import type { SocketReader } from './transport/reader.js';

/** A proxy says it with its first segment; this is a lost one, sent again twice. */
const HEADER_TIMEOUT_MS = 5_000;
const LINGER_MS = 1_000;

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
  readonly #reader: SocketReader;
  readonly #options: ProxyIntakeOptions;
  readonly #timer: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #over = false;

  constructor(reader: SocketReader, options: ProxyIntakeOptions) {
    this.#reader = reader;
    this.#options = options;
    const { socket } = reader;
    socket.on('error', this.#onGone);
    socket.on('close', this.#onGone);
    socket.on('end', this.#onGone);
    reader.consumer = (bytes) => {
      this.#onBytes(bytes);
      return true;
    };
    this.#timer = setTimeout(() => this.#refuse('PROXY_TIMEOUT', ''), HEADER_TIMEOUT_MS);
  }

  /** Gives the connection up from outside (drain, grace time). */
  cancel(): void {
    if (this.#finish()) this.#reader.socket.destroy();
  }

  #onBytes(bytes: Buffer): void {
    if (this.#over) return;
    this.#received = Buffer.concat([this.#received, bytes]);
    const header = readProxyHeader(this.#received);
    switch (header.kind) {
      case 'incomplete':
        return;
      case 'wrong':
        this.#refuse(header.reason, header.why);
        return;
      case 'whole':
        clearTimeout(this.#timer);
        this.#reader.socket.pause();
        this.#reader.consumer = () => true; // nothing comes while it is paused
        void this.#judge(header.source, this.#received.subarray(header.bytes));
        return;
    }
  }

  async #judge(source: Peer | null, rest: Buffer): Promise<void> {
    const verdict = await this.#options.judge(source);
    if (verdict === null) return this.#refuse('DRAINED', 'there is no primary that could judge its source');
    if (!this.#finish()) return;
    if (verdict.admit) return this.#options.onAdmitted(source, rest);
    this.#end(verdict.lastWords);
    this.#options.onTurnedAway();
  }

  readonly #onGone = (): void => {
    if (!this.#finish()) return;
    this.#reader.socket.destroy();
    this.#options.onRefused('PEER_CLOSED', 'before its PROXY header');
  };

  #refuse(reason: ProxyEnd, detail: string): void {
    if (!this.#finish()) return;
    // For whoever tries a plain `ssh` from the proxy's machine.
    if (reason === 'PROXY_MISSING') this.#end('PROXY header expected.\r\n');
    else this.#end('');
    this.#options.onRefused(reason, detail);
  }

  #end(line: string): void {
    const { socket } = this.#reader;
    socket.on('error', ignore);
    if (line === '') {
      socket.destroy();
      return;
    }
    socket.end(line);
    socket.resume(); // its FIN is to be seen
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
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

function ignore(): void {}
