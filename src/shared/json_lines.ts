/** JSON LINES: values over a connected Unix socket, one JSON text a line, both ways.
 *  Owns the socket. What is no JSON, or has no end within the bound, ends it: whoever wrote that is none of ours. */
import type { Socket } from 'node:net';
import { LineParser } from './line_parser.js';

export interface LineEvents {
  value(value: unknown): void;
  /** Once, after the last value. */
  closed(): void;
}

export class JsonLines {
  readonly #socket: Socket;
  readonly #lines = new LineParser();
  #events: LineEvents;
  #open = true;

  constructor(socket: Socket, events: LineEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      if (!this.#lines.push(text, (value) => this.#events.value(value))) this.end();
    });
    socket.on('error', ignore); // 'close' follows
    socket.on('close', () => {
      this.#open = false;
      this.#events.closed();
    });
  }

  get open(): boolean {
    return this.#open && this.#socket.writable;
  }

  /** Somebody else hears what comes from now on, the next line of this very read included. */
  listen(events: LineEvents): void {
    this.#events = events;
  }

  /** Dropped when the socket has closed. `done` is called when it is written or lost. */
  send(value: object, done: () => void = ignore): void {
    if (this.open) this.#socket.write(`${JSON.stringify(value)}\n`, () => done());
    else setImmediate(done);
  }

  end(): void {
    this.#socket.destroy();
  }
}

function ignore(): void {}
