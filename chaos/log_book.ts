/** LOG BOOK: the log of one server process, line by line: which worker has which connection, which workers there are, and what
 *  no sound server writes. Owns what it has read. */

/** A worker as the log tells it. */
export interface LoggedWorker {
  readonly id: number;
  readonly pid: number;
  /** It ends with its last connection, and nobody takes its place: an earlier primary's, or one that was replaced. */
  isLeaving: boolean;
  exit: { readonly reason: string; readonly detail: string } | null;
}

export interface LogBookEvents {
  /** @param peer address and port */
  connectionAccepted(peer: string, worker: LoggedWorker): void;
  workerExited(worker: LoggedWorker): void;
  /** A line that tells of a defect. */
  defect(text: string): void;
}

/** So many refusals are kept for whoever looks for the reason of a loss. */
const KEPT_REFUSALS = 5;

type Line = Readonly<Record<string, unknown>>;

export class LogBook {
  readonly #events: LogBookEvents;
  readonly #workers = new Map<number, LoggedWorker>();
  readonly #counts = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #partial = '';
  #listening = false;
  /** The last line that is no event: what a worker said before its end. */
  #lastText = '';
  #refusals: string[] = [];

  constructor(events: LogBookEvents) {
    this.#events = events;
  }

  get workers(): LoggedWorker[] {
    return [...this.#workers.values()];
  }
  get running(): LoggedWorker[] {
    return this.workers.filter(({ exit }) => exit === null);
  }
  /** Those that take new connections. */
  get serving(): LoggedWorker[] {
    return this.running.filter(({ isLeaving }) => !isLeaving);
  }
  get listening(): boolean {
    return this.#listening;
  }
  get lastText(): string {
    return this.#lastText;
  }
  /** The last channels that were refused, as the log has them. */
  get refusals(): readonly string[] {
    return this.#refusals;
  }
  count(event: string): number {
    return this.#counts.get(event) ?? 0;
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
      case '':
        this.#lastText = text;
        return;
      case 'server.listening':
        this.#listening = true;
        return;
      case 'worker.started':
      case 'worker.adopted':
        this.#worker(line, event === 'worker.adopted');
        return;
      case 'worker.exited':
        return this.#exited(line);
      case 'connection.accepted':
        return this.#events.connectionAccepted(String(line.peer), this.#worker(line, false));
      case 'channel.refused':
        this.#refusals = [...this.#refusals, text].slice(-KEPT_REFUSALS);
        return;
      case 'connection.closed':
        if (line.reason === 'INTERNAL_ERROR') this.#events.defect(text);
        return;
    }
  }

  #worker(line: Line, isLeaving: boolean): LoggedWorker {
    const id = Number(line.worker);
    const known = this.#workers.get(id);
    if (known !== undefined) return known;
    const worker: LoggedWorker = { id, pid: Number(line.pid), isLeaving, exit: null };
    this.#workers.set(id, worker);
    return worker;
  }

  #exited(line: Line): void {
    const worker = this.#worker(line, false);
    worker.exit = { reason: String(line.reason), detail: String(line.detail ?? '') };
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
