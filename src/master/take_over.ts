/** TAKE-OVER: asks the server that runs for its listening sockets.
 *  Owns the pipe to it. It serves until `accepting`, and goes on serving if this one gives up before. */
import { errnoOf, TunnelError } from '../shared/errors.js';
import { HandlePipe } from '../shared/handle_pipe.js';
import { closeHandle, isTcpHandle, type TcpHandle } from '../shared/handles.js';
import {
  isToSuccessor,
  type OfferedListener,
  TAKEOVER_PROTOCOL,
  type ToPredecessor,
  type ToSuccessor,
  takeoverPath,
} from '../shared/takeover.js';
import type { TakenListener } from './listener.js';

export class Predecessor {
  readonly pid: number;
  readonly #talk: Talk;
  readonly #offered: readonly OfferedListener[];

  private constructor(talk: Talk, offer: Extract<ToSuccessor, { type: 'offer' }>) {
    this.#talk = talk;
    this.#offered = offer.listeners;
    this.pid = offer.pid;
  }

  /** @returns null when no server runs there
   *  @throws TunnelError LISTEN_FAILED when the one that runs refuses */
  static async find(stateDir: string, listen: readonly string[]): Promise<Predecessor | null> {
    const path = takeoverPath(stateDir);
    const talk = new Talk();
    try {
      await talk.open(path);
    } catch (error) {
      if (NOBODY.has(errnoOf(error) ?? '')) return null;
      throw error;
    }
    const answer = await talk.ask({ type: 'takeover', protocol: TAKEOVER_PROTOCOL, pid: process.pid, listen });
    if (answer.type === 'offer') return new Predecessor(talk, answer);
    talk.close();
    throw cannot(answer.type === 'refused' ? answer.why : 'it does not answer as it should');
  }

  /** Copies of its listening sockets, on which it goes on accepting.
   *  @throws TunnelError LISTEN_FAILED when they do not come */
  async listeners(): Promise<readonly TakenListener[]> {
    const taken: TakenListener[] = [];
    try {
      for (const { name, address } of this.#offered) {
        await this.#talk.ask({ type: 'next' });
        taken.push({ name, address, handle: this.#talk.takeHandle() });
      }
      return taken;
    } catch (error) {
      for (const { handle } of taken) closeHandle(handle);
      throw error;
    }
  }

  /** This process accepts: the other one lets go. Resolves when its workers look for another primary, or it is gone. */
  async accepting(): Promise<void> {
    await this.#talk.ask({ type: 'done' }).catch(nothing);
    this.#talk.close();
  }

  /** It goes on as before. */
  giveUp(): void {
    this.#talk.close();
  }
}

const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED']);

/** Questions and answers, in turn. */
class Talk {
  #pipe: HandlePipe | undefined;
  #handle: object | undefined;
  #answer: { resolve(message: ToSuccessor): void; reject(error: Error): void } | undefined;
  #closed = false;

  async open(path: string): Promise<void> {
    this.#pipe = await HandlePipe.connect(path, {
      value: (value, handle) => {
        this.#handle = handle;
        if (isToSuccessor(value)) this.#answer?.resolve(value);
        else this.close();
      },
      closed: () => {
        this.#closed = true;
        this.#answer?.reject(cannot('it has ended'));
      },
    });
  }

  ask(question: ToPredecessor): Promise<ToSuccessor> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(cannot('it has ended'));
      this.#answer = { resolve, reject };
      this.#pipe?.send(question);
    });
  }

  takeHandle(): TcpHandle {
    const handle = this.#handle;
    this.#handle = undefined;
    if (!isTcpHandle(handle)) throw cannot('its sockets do not come'); // the limit of open files, for one
    return handle;
  }

  close(): void {
    this.#pipe?.close();
  }
}

function cannot(why: string): TunnelError {
  return new TunnelError('LISTEN_FAILED', `cannot take over from the server that runs: ${why}`);
}

function nothing(): void {}
