/** LOG BOOK: the log of one server process, line by line: which worker has which connection, which workers there are, and what
 *  no sound server writes. Owns what it has read. */

/** A worker as the log tells it. */
export interface LoggedWorker {
  readonly id: number;
  readonly pid: number;
  exit: { readonly reason: string; readonly detail: string } | null;
}

export interface LogBookEvents {
  workerExited(worker: LoggedWorker): void;
  /** A line that tells of a defect. */
  defect(text: string): void;
}

type Line = Readonly<Record<string, unknown>>;

export class LogBook {
  readonly #events: LogBookEvents;
  readonly #workers = new Map<number, LoggedWorker>();
  readonly #workerOfPeer = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #partial = '';
  #listening = false;

  constructor(events: LogBookEvents) {
    this.#events = events;
  }

  get workers(): LoggedWorker[] {
    return [...this.#workers.values()];
  }
  get running(): LoggedWorker[] {
    return this.workers.filter(({ exit }) => exit === null);
  }
  get listening(): boolean {
    return this.#listening;
  }
  /** Of the last lines: whoever was killed may have left half a one. */
  get partial(): string {
    return this.#partial;
  }
  count(event: string): number {
    return this.#counts.get(event) ?? 0;
  }
  /** The worker that has the connection from this address and port. */
  workerOf(peer: string): LoggedWorker | undefined {
    const id = this.#workerOfPeer.get(peer);
    return id === undefined ? undefined : this.#workers.get(id);
  }

  feed(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) if (line !== '') this.#line(line);
    for (const look of [...this.#waiting]) look();
  }

  /** Looks after every piece of the log until `probe` is true. */
  until(probe: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!probe()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #line(text: string): void {
    const line = parsed(text);
    if (line === null) return this.#events.defect(`a line of the log that is no JSON: ${text.slice(0, 500)}`);
    const event = String(line.event ?? '');
    this.#counts.set(event, (this.#counts.get(event) ?? 0) + 1);
    switch (event) {
      case 'server.listening':
        this.#listening = true;
        return;
      case 'worker.started': {
        const worker: LoggedWorker = { id: Number(line.worker), pid: Number(line.pid), exit: null };
        this.#workers.set(worker.id, worker);
        return;
      }
      case 'worker.exited':
        return this.#exited(line);
      case 'connection.accepted':
        this.#workerOfPeer.set(String(line.peer), Number(line.worker));
        return;
      case 'connection.closed':
        this.#workerOfPeer.delete(String(line.peer));
        if (line.reason === 'INTERNAL_ERROR') this.#events.defect(text);
        return;
    }
  }

  #exited(line: Line): void {
    const id = Number(line.worker);
    const worker = this.#workers.get(id) ?? { id, pid: Number(line.pid), exit: null };
    worker.exit = { reason: String(line.reason), detail: String(line.detail ?? '') };
    this.#workers.set(id, worker);
    this.#events.workerExited(worker);
  }
}

function parsed(text: string): Line | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}
