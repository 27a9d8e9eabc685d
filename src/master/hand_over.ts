/** HAND-OVER: gives the listening sockets to another `serve` of this stateDir and these addresses that asks for them.
 *  Owns the socket in `stateDir` at which it asks, the pipes of all who came, and the one successor under way. Nothing changes
 *  here before that one says `done`; if it ends earlier, or is too late, this server goes on as if nobody had asked. */
import net from 'node:net';
import { reasonOf } from '../shared/errors.js';
import { HandlePipe } from '../shared/handle_pipe.js';
import { closeAny } from '../shared/handles.js';
import {
  isToPredecessor,
  type OfferedListener,
  TAKEOVER_PROTOCOL,
  type ToPredecessor,
  type ToSuccessor,
  takeoverPath,
} from '../shared/takeover.js';
import type { Clock } from './clock.js';
import { openStateSocket, type StateSocket } from './state_socket.js';

export interface HandOverOptions {
  /** As the config has it. */
  listen(): readonly string[];
  listeners(): readonly (OfferedListener & { readonly server: net.Server })[];
  /** The successor accepts. Resolves when nothing comes in here any more and the workers may look for it, with their process
   *  numbers. */
  letGo(pid: number): Promise<readonly number[]>;
  trouble(text: string): void;
  readonly clock: Clock;
}

/** From coming to `done`. In it a successor starts its workers, each of which may take half a minute. */
const PATIENCE_MS = 60_000;

interface Successor {
  readonly pipe: HandlePipe;
  readonly pid: number;
  /** Sockets that it has not got yet. */
  readonly waiting: net.Server[];
}

export class HandOver {
  readonly #options: HandOverOptions;
  #socket: StateSocket | undefined;
  readonly #pipes = new Set<HandlePipe>();
  #successor: Successor | undefined;
  #done = false;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** Somebody has our sockets, or is about to get them. */
  get isUnderWay(): boolean {
    return this.#successor !== undefined;
  }

  /** Where this is not possible, nobody can take over, and that is told. A socket of another living server is its own
   *  affair: the orphanage has told of it. */
  async open(stateDir: string): Promise<void> {
    const { trouble } = this.#options;
    const path = takeoverPath(stateDir);
    try {
      HandlePipe.require();
    } catch (error) {
      trouble(`no other server can take over from this one: ${reasonOf(error)}`);
      return;
    }
    const server = net.createServer({ pauseOnConnect: true }, (socket) => this.#arrived(socket));
    const outcome = await openStateSocket(path, server);
    if (outcome.kind === 'open') this.#socket = outcome.socket;
    if (outcome.kind === 'failed') trouble(`${path}: ${outcome.why}; no other server can take over from this one`);
  }

  /** This server ends: whoever asks finds nobody. A successor that accepts is still to be told that this one has let go. */
  async close(): Promise<void> {
    for (const pipe of this.#pipes) if (!this.#done || pipe !== this.#successor?.pipe) pipe.close();
    await this.#socket?.close();
    this.#socket = undefined;
  }

  #arrived(socket: net.Socket): void {
    const pipe = HandlePipe.over(socket, {
      value: (value, handle) => {
        closeAny(handle); // they come from us alone
        if (pipe === undefined) return;
        if (isToPredecessor(value)) this.#message(pipe, value);
        else pipe.close();
      },
      closed: () => {
        cancel();
        if (pipe !== undefined) this.#pipes.delete(pipe);
        if (this.#successor?.pipe === pipe && !this.#done) this.#successor = undefined;
      },
    });
    if (pipe === undefined) return;
    this.#pipes.add(pipe);
    const { clock } = this.#options;
    // One more turn of the event loop before the verdict: where we ourselves were held up, its `done` may lie unread, and it accepts.
    let cancel = clock.after(PATIENCE_MS, () => {
      cancel = clock.afterPoll(() => this.#tooLate(pipe));
    });
  }

  /** It is told, else it would take our silence for our end, and accept beside us. */
  #tooLate(pipe: HandlePipe): void {
    if (!this.#done) {
      const seconds = PATIENCE_MS / 1_000;
      say(pipe, { type: 'refused', why: `it goes on by itself after ${seconds} s in which this one was not ready` });
      if (this.#successor?.pipe === pipe)
        this.#options.trouble(
          `process ${this.#successor.pid} has not taken over within ${seconds} s: this one goes on, and another may`,
        );
    }
    pipe.close();
  }

  #message(pipe: HandlePipe, message: ToPredecessor): void {
    if (message.type === 'takeover') {
      this.#asked(pipe, message);
      return;
    }
    const successor = this.#successor;
    if (successor?.pipe !== pipe) return pipe.close();
    switch (message.type) {
      case 'next':
        this.#next(successor);
        return;
      case 'done':
        this.#done = true;
        void this.#options.letGo(successor.pid).then((workers) => say(pipe, { type: 'yours', workers }));
        return;
    }
  }

  #asked(pipe: HandlePipe, { protocol, pid, listen }: Extract<ToPredecessor, { type: 'takeover' }>): void {
    const why = this.#objection(protocol, listen);
    if (why !== null) {
      say(pipe, { type: 'refused', why });
      return;
    }
    const listeners = this.#options.listeners();
    this.#successor = { pipe, pid, waiting: listeners.map(({ server }) => server) };
    const offered = listeners.map(({ name, address }) => ({ name, address }));
    say(pipe, { type: 'offer', pid: process.pid, listeners: offered });
  }

  #objection(protocol: number, listen: readonly string[]): string | null {
    const ours = this.#options.listen();
    if (protocol !== TAKEOVER_PROTOCOL) return 'it is of a version that changes places in another way';
    if (this.#successor !== undefined) return 'another one takes over from it already';
    if (ours.length !== listen.length || !ours.every((address) => listen.includes(address)))
      return `it listens on ${ours.join(', ')}, and this one is to listen on ${listen.join(', ')}`;
    return null;
  }

  #next({ pipe, waiting }: Successor): void {
    const server = waiting.shift();
    if (server === undefined)
      pipe.close(); // it counts otherwise than we do
    else say(pipe, { type: 'listener' }, server);
  }
}

function say(pipe: HandlePipe, message: ToSuccessor, listening?: net.Server): void {
  pipe.send(message, listening);
}
