/** ROUTER: what workers say, brought to the room that it concerns.
 *  Owns nothing. What a worker says of a connection counts only while the ledger has that connection with that worker:
 *  one whose hand-off was revoked may still talk of it. */
import { assertNever, reasonOf } from '../shared/errors.js';
import type { EventSink } from '../shared/events.js';
import type { Peer } from '../shared/identity.js';
import type {
  Admitted,
  Answer,
  BandwidthGrant,
  BandwidthWant,
  CodeUse,
  CodeVerdict,
  ConnId,
  Seen,
  ToPrimary,
  ToWorker,
} from '../shared/ipc.js';
import type { Door } from './door.js';
import type { Handoff } from './handoff.js';
import type { LeaseDesk } from './lease_desk.js';
import type { Ledger } from './ledger.js';
import type { Metrics } from './metrics.js';

export interface RouterRooms {
  readonly ledger: Ledger;
  readonly door: Door;
  readonly desk: LeaseDesk;
  readonly handoff: Handoff;
  readonly event: EventSink;
  readonly metrics: Pick<Metrics, 'counted' | 'loaded'>;
  bandwidth(worker: number, want: BandwidthWant): BandwidthGrant;
  code(use: CodeUse): CodeVerdict;
  seen(worker: number, look: number, seen: Seen, isLast: boolean): void;
  /** A proxy has said whose connection this is; null: its own. */
  proxied(id: ConnId, client: Peer | null): Admitted;
  /** Resolves when all workers of an earlier primary have said what they know; null: they have. */
  complete(): Promise<void> | null;
  tell(worker: number, message: ToWorker): void;
  /** So many events of this worker came too fast to be told. */
  lost(worker: number, count: number): void;
  /** In words, for the log. */
  trouble(text: string): void;
}

const NOT_HERE: Admitted = { admit: false, lastWords: '' };
const NOT_YOURS: Answer = { ok: false, reason: 'DRAINING' };

/** @param worker who says it */
export function route(rooms: RouterRooms, worker: number, message: ToPrimary): void {
  const { ledger, door, desk, handoff } = rooms;
  const holds = (id: ConnId): boolean => ledger.connection(id)?.worker === worker;
  switch (message.type) {
    case 'accepted':
      handoff.accepted(worker, message.id);
      return;
    case 'refused':
      handoff.refused(worker, message.id, message.reason);
      return;
    case 'closed':
      if (!holds(message.id) || ledger.closed(message.id) === undefined) return;
      door.ended(message.id, message.penalty);
      desk.released(message.id);
      return;
    case 'release':
      if (holds(message.id) && ledger.release(message.id, message.target) !== undefined) desk.released(message.id);
      return;
    case 'proxied': {
      const { ask, id, client } = message;
      rooms.tell(worker, { type: 'admitted', ask, verdict: holds(id) ? rooms.proxied(id, client) : NOT_HERE });
      return;
    }
    case 'ask':
      void answer(rooms, worker, message, holds(message.question.id));
      return;
    case 'want':
      rooms.tell(worker, { type: 'grant', ask: message.ask, ...rooms.bandwidth(worker, message) });
      return;
    case 'code':
      void judge(rooms, worker, message);
      return;
    case 'probed':
      desk.probed(worker, message.probe, message.alive);
      return;
    case 'seen':
      rooms.seen(worker, message.look, message.seen, message.more !== true);
      return;
    case 'events':
      for (const event of message.events) rooms.event(event);
      if (message.lost > 0) rooms.lost(worker, message.lost);
      return;
    case 'load':
      rooms.metrics.loaded(message.load.loopLagMs);
      return;
    case 'counted':
      rooms.metrics.counted(worker, message);
      return;
    case 'hello':
    case 'ready':
    case 'failed':
    case 'stopping':
    case 'pong':
      return; // the supervisor's own
    default:
      assertNever(message);
  }
}

/** A code that an earlier primary has said yes to is known once its workers have reported. */
async function judge(
  { complete, code, tell }: RouterRooms,
  worker: number,
  message: Extract<ToPrimary, { type: 'code' }>,
): Promise<void> {
  const reports = complete();
  if (reports !== null) await reports;
  tell(worker, { type: 'judged', ask: message.ask, verdict: code(message) });
}

/** Every question is answered, also that of a worker which lost the connection meanwhile. One that cannot be read
 *  is refused: it must not end the primary. */
async function answer(
  { door, desk, tell, trouble }: RouterRooms,
  worker: number,
  { ask, question }: Extract<ToPrimary, { type: 'ask' }>,
  holds: boolean,
): Promise<void> {
  let reply = NOT_YOURS;
  try {
    if (holds && question.kind === 'login') door.loggedIn(question.id, question.user);
    if (holds) reply = await desk.answer(question);
  } catch (error) {
    trouble(`worker ${worker} asked what cannot be answered: ${reasonOf(error)}`);
  }
  tell(worker, { type: 'answer', ask, answer: reply });
}
