/** ADOPTED WORKER: a worker of an earlier primary, behind the same interface as one that was forked.
 *  Owns its channel, and which of its connections has which number here: it goes on using those of its first primary. */
import type { Adoption } from '../shared/adoption.js';
import type { AuditEvent } from '../shared/events.js';
import { closeHandle } from '../shared/handles.js';
import { type ConnId, isToPrimary, type Seen, type ToPrimary, type ToWorker } from '../shared/ipc.js';
import type { JsonLines } from '../shared/json_lines.js';
import { safeText } from '../shared/log.js';
import type { Conflict, Lease } from './ledger.js';
import type { WorkerEvents, WorkerProcess } from './worker_process.js';

export class Numbers {
  readonly #next: () => ConnId;
  readonly #here = new Map<number, ConnId>();
  readonly #there = new Map<ConnId, ConnId>();

  /** @param next a number that no connection of this primary has */
  constructor(next: () => ConnId) {
    this.#next = next;
  }

  /** Also for a connection that ended before it could be told of: its events come still. */
  here(there: ConnId): ConnId {
    const known = this.#here.get(there);
    if (known !== undefined) return known;
    const here = this.#next();
    this.#here.set(there, here);
    this.#there.set(here, there);
    return here;
  }

  /** Undefined: it is none of this worker's. */
  there(here: ConnId): ConnId | undefined {
    return this.#there.get(here);
  }
}

export function adoptedWorker(
  { pid }: Adoption,
  lines: JsonLines,
  numbers: Numbers,
): (events: WorkerEvents) => WorkerProcess {
  return (events) => {
    lines.listen({
      value(messages) {
        if (!Array.isArray(messages)) return;
        for (const message of messages) if (isToPrimary(message)) events.message(numberedHere(message, numbers));
      },
      closed: () => events.gone('its channel has closed'),
    });
    return {
      pid,
      send(message) {
        const numbered = numberedThere(message, numbers);
        if (numbered !== undefined) lines.send(numbered);
      },
      sendWithHandle: (_message, _handle, failed) => failed(), // dispatch asks only those that are ready
      taken: closeHandle,
      kill() {
        if (!lines.open) return; // while its channel is open the number is its own
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          lines.end(); // it has just gone, or is not what it says
        }
      },
      release: () => lines.end(),
    };
  };
}

/** For the log. */
export function conflictText({ lease, others }: Conflict, pid: number): string {
  const { key } = lease;
  const what = key.kind === 'tcp' ? `port ${key.port}` : safeText(key.path);
  const holderText = ({ user, holder }: Lease): string => `${safeText(user)} (connection ${holder})`;
  const both = [lease, ...others].map(holderText).join(' and ');
  return `${what} was granted once more before process ${pid} came with it: it is free again when ${both} have let go`;
}

function numberedHere(message: ToPrimary, numbers: Numbers): ToPrimary {
  switch (message.type) {
    case 'closed':
    case 'release':
    case 'proxied':
      return { ...message, id: numbers.here(message.id) };
    case 'ask':
      return { ...message, question: { ...message.question, id: numbers.here(message.question.id) } };
    case 'seen':
      return { ...message, seen: seenHere(message.seen, numbers) };
    case 'events':
      return { ...message, events: message.events.map((event) => eventHere(event, numbers)) };
    default:
      return message;
  }
}

function seenHere(seen: Seen, numbers: Numbers): Seen {
  if (seen.kind === 'connections')
    return { ...seen, connections: seen.connections.map((one) => ({ ...one, id: numbers.here(one.id) })) };
  return { ...seen, forwards: seen.forwards.map((one) => ({ ...one, conn: numbers.here(one.conn) })) };
}

function eventHere(event: AuditEvent, numbers: Numbers): AuditEvent {
  if (!('conn' in event) || event.conn === undefined) return event;
  return { ...event, conn: numbers.here(event.conn as ConnId) };
}

function numberedThere(message: ToWorker, numbers: Numbers): ToWorker | undefined {
  switch (message.type) {
    case 'close':
    case 'probe':
    case 'revoke': {
      const id = numbers.there(message.id);
      return id === undefined ? undefined : { ...message, id };
    }
    default:
      return message;
  }
}
