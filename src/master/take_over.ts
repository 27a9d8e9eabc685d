/** TAKE-OVER: asks the server that runs for its listening sockets.
 *  Owns the pipe to it. It serves until `accepting`, and goes on serving if this one gives up before. */
import { errnoOf, TunnelError } from '../shared/errors.js';
import { HandlePipe } from '../shared/handle_pipe.js';
import { closeAny, closeHandle, isTcpHandle, type TcpHandle } from '../shared/handles.js';
import {
  isToSuccessor,
  type OfferedListener,
  TAKEOVER_PROTOCOL,
  type ToPredecessor,
  type ToSuccessor,
  takeoverPath,
} from '../shared/takeover.js';
import type { Clock } from './clock.js';
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
   *  @throws TunnelError LISTEN_FAILED when the one that runs refuses, or does not answer */
  static async find(stateDir: string, listen: readonly string[], clock: Clock): Promise<Predecessor | null> {
    const path = takeoverPath(stateDir);
    const talk = new Talk(clock);
    try {
      await talk.open(path);
    } catch (error) {
      if (NOBODY.has(errnoOf(error) ?? '')) return null;
      throw error;
    }
    const answer = await talk.ask({ type: 'takeover', protocol: TAKEOVER_PROTOCOL, pid: process.pid, listen });
    if (answer.type === 'offer') return new Predecessor(talk, answer);
    talk.close();
    throw cannot('it does not answer as it should');
  }

  /** Copies of its listening sockets, on which it goes on accepting.
   *  @throws TunnelError LISTEN_FAILED when they do not come; then it is free for the next that asks */
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
      this.#talk.close();
      throw error;
    }
  }

  /** @throws TunnelError LISTEN_FAILED when it has given this one up, and goes on as before */
  stillWaits(): void {
    const { end } = this.#talk;
    if (end?.goesOn) throw end.error;
  }

  /** This process accepts: the other one lets go. Resolves when its workers look for another primary, or it is gone, or hangs
   *  (then it lets go when it reads this).
   *  @returns the process numbers of its workers; null when it has not told them
   *  @throws as `stillWaits` */
  async accepting(): Promise<readonly number[] | null> {
    const answer = await this.#talk.ask({ type: 'done' }).catch(() => null);
    this.stillWaits();
    this.#talk.close();
    return (answer?.type === 'yours' ? answer.workers : null) ?? null;
  }

  /** It goes on as before. */
  giveUp(): void {
    this.#talk.close();
  }
}

const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED']);

/** A server that is well answers at once: its listeners close and its state sockets go without waiting for anybody. */
const ANSWER_MS = 5_000;

/** Why nothing more is said. */
interface End {
  readonly error: TunnelError;
  /** It has said that it serves as before. */
  readonly goesOn: boolean;
}

/** Questions and answers, in turn. */
class Talk {
  readonly #clock: Clock;
  #pipe: HandlePipe | undefined;
  #handle: object | undefined;
  #answer: { resolve(message: ToSuccessor): void; reject(error: Error): void } | undefined;
  #end: End | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get end(): End | undefined {
    return this.#end;
  }

  async open(path: string): Promise<void> {
    this.#pipe = await HandlePipe.connect(path, {
      value: (value, handle) => {
        closeAny(this.#handle);
        this.#handle = handle;
        if (!isToSuccessor(value)) this.close();
        else if (value.type === 'refused') this.#over(value.why, true);
        else this.#answer?.resolve(value);
      },
      closed: () => this.#over('it has ended'),
    });
  }

  ask(question: ToPredecessor): Promise<ToSuccessor> {
    const answer = new Promise<ToSuccessor>((resolve, reject) => {
      if (this.#end !== undefined) return reject(this.#end.error);
      this.#answer = { resolve, reject };
      this.#pipe?.send(question);
    });
    const cancel = this.#clock.after(ANSWER_MS, () => this.#over(`it has not answered within ${ANSWER_MS / 1_000} s`));
    return answer.finally(cancel);
  }

  takeHandle(): TcpHandle {
    const handle = this.#handle;
    if (!isTcpHandle(handle)) throw cannot('its sockets do not come'); // the limit of open files, for one
    this.#handle = undefined;
    return handle;
  }

  close(): void {
    this.#pipe?.close();
    closeAny(this.#handle);
    this.#handle = undefined;
  }

  #over(why: string, goesOn = false): void {
    if (this.#end !== undefined) return;
    this.#end = { error: cannot(why), goesOn };
    this.#answer?.reject(this.#end.error);
    this.close();
  }
}

function cannot(why: string): TunnelError {
  return new TunnelError('LISTEN_FAILED', `cannot take over from the server that runs: ${why}`);
}
