/** FLOW END: one end of one flow: sends what its plan says, compares what arrives, and tells the ledger.
 *  Owns its socket from the call on, and tells its close exactly once. */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf } from '../src/shared/errors.js';
import { resetSocket, wasReset } from '../src/shared/handles.js';
import { Content } from './content.js';
import type { Cause, Side } from './flow.js';
import type { Ledger } from './ledger.js';
import type { EndPlan } from './plan.js';

export interface FlowEndOptions {
  readonly id: number;
  readonly side: Side;
  readonly plan: EndPlan;
  readonly ledger: Ledger;
  /** Of the run: the flow's content is drawn from it. */
  readonly seed: number;
  /** A reset here becomes an end of stream on the way: OpenSSH's client holds this end. */
  readonly resetBecomesEof: boolean;
}

export class FlowEnd {
  readonly #socket: Socket;
  readonly #options: FlowEndOptions;
  readonly #expected: Content;
  #receivedBytes = 0;
  #movedBytes = 0;
  #hasStalled = false;
  #error: string | null = null;
  readonly #eof: Promise<void>;

  /** The socket is connected, half-open, paused and has no 'data' listener yet. */
  constructor(socket: Socket, options: FlowEndOptions) {
    const { id, side, plan, ledger, seed } = options;
    this.#socket = socket;
    this.#options = options;
    this.#expected = new Content(`${seed} flow ${id} from ${side === 'near' ? 'far' : 'near'}`);
    ledger.connected(id, side, performance.now());
    this.#eof = new Promise((resolve) => {
      socket.on('end', () => {
        if (wasReset(socket)) this.#error ??= 'ECONNRESET';
        else ledger.eof(id, side, performance.now());
        resolve();
      });
      socket.on('close', () => {
        ledger.closed(id, side, this.#error, performance.now());
        resolve();
      });
    });
    socket.on('error', (error) => {
      this.#error = errnoOf(error) ?? error.message;
    });
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    if (plan.leaves !== null && plan.leaves.afterBytes <= 1) this.#leave(plan.leaves.how);
    else void this.#send(new Content(`${seed} flow ${id} from ${side}`));
    socket.resume();
    if (socket.closed) ledger.closed(id, side, 'closed at once', performance.now());
  }

  #onData(bytes: Buffer): void {
    const { id, side, ledger, plan } = this.#options;
    ledger.received(id, side, bytes.length, this.#expected.differsAt(bytes), performance.now());
    this.#receivedBytes += bytes.length;
    this.#moved(bytes.length);
    if (plan.stall !== null && !this.#hasStalled && this.#receivedBytes >= plan.stall.afterBytes) {
      this.#hasStalled = true;
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), plan.stall.forMs);
    }
  }

  async #send(content: Content): Promise<void> {
    const { id, side, ledger, plan } = this.#options;
    const socket = this.#socket;
    if (plan.afterEof) await this.#eof;
    for (let left = plan.sendBytes; left > 0 && !socket.destroyed; ) {
      const piece = content.next(Math.min(left, plan.pieceBytes));
      left -= piece.length;
      ledger.sent(id, side, piece.length, performance.now());
      const written = new Promise<void>((resolve) => socket.write(piece, () => resolve()));
      this.#moved(piece.length);
      await written; // or lost with the socket
      if (plan.paceMs > 0 && left > 0) await delay(plan.paceMs);
    }
    if (!socket.destroyed) socket.end();
  }

  #moved(bytes: number): void {
    this.#movedBytes += bytes;
    const { leaves } = this.#options.plan;
    if (leaves !== null && this.#movedBytes >= leaves.afterBytes) this.#leave(leaves.how);
  }

  #leave(how: 'reset' | 'close'): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    const { id, side, ledger, resetBecomesEof } = this.#options;
    const nowMs = performance.now();
    const cause: Cause = {
      ...{ name: `${side} end: ${how}`, effect: 'ends', beganMs: nowMs, endedMs: nowMs, lasting: true },
      endsAsEof: resetBecomesEof,
    };
    ledger.caused(id, cause);
    if (how === 'reset') resetSocket(socket);
    else socket.destroy();
  }
}
