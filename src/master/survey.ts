/** SURVEY: what connections and forwards there are, asked of all workers, each of which knows its own alone.
 *  Owns the looks that are under way. Each ends within a second, however many workers are silent then; who asks what another one
 *  has just asked gets the same answer, so that a hundred readers cost the workers one look. Of different ones a few are under way
 *  at a time: each may be as large as what is there. Workers answer in parts, and each is made ready as it comes: what is left for the
 *  last turn is putting them in order. Parts are not turns: Node may read several messages in one go (DECISIONS 82). */
import type { ConnectionList, ConnectionView, ForwardList, ForwardView } from '../shared/admin.js';
import type { LookQuery, Seen, SeenConnection } from '../shared/ipc.js';
import type { Clock } from './clock.js';

export interface SurveyRooms {
  /** Those that can answer: they have been started, and may be draining. */
  workers(): readonly number[];
  look(worker: number, look: number, query: LookQuery): void;
  readonly clock: Clock;
}

/** A worker whose event loop stands still for longer is an incident that an operator wants to see as one. */
const ANSWER_MS = 1_000;
/** A page, a terminal and some scripts; looks take milliseconds where all workers answer. */
export const MAX_LOOKS = 8;

/** What one part has brought. */
interface Seeing {
  readonly worker: number;
  readonly total: number;
  /** Of the look's kind; the other is empty. */
  readonly connections: readonly ConnectionView[];
  readonly forwards: readonly ForwardView[];
}

interface Answers {
  readonly seeings: readonly Seeing[];
  readonly silentWorkers: readonly number[];
}

interface Look {
  readonly waiting: Set<number>;
  seeings: Seeing[];
  settle(): void;
}

export class Survey {
  readonly #rooms: SurveyRooms;
  readonly #looks = new Map<number, Look>();
  /** By what was asked. */
  readonly #underWay = new Map<string, Promise<Answers>>();
  /** Did not answer the last time: they are asked, and not waited for. One of an earlier version would hold up every look. */
  readonly #silent = new Set<number>();
  #last = 0;

  constructor(rooms: SurveyRooms) {
    this.#rooms = rooms;
  }

  /** Never rejects.
   *  @returns null while there are as many looks as there may be */
  async connections(query: Extract<LookQuery, { kind: 'connections' }>): Promise<ConnectionList | null> {
    const answers = await this.#ask(query);
    if (answers === null) return null;
    const { seeings, silentWorkers } = answers;
    const found = seeings.flatMap(({ connections }) => connections);
    const connections = found.sort((a, b) => a.id - b.id).slice(0, query.limit);
    return { total: totalOf(seeings), connections, silentWorkers };
  }

  /** As `connections`. */
  async forwards(limit: number): Promise<ForwardList | null> {
    const answers = await this.#ask({ kind: 'forwards', limit });
    if (answers === null) return null;
    const { seeings, silentWorkers } = answers;
    const found = seeings.flatMap(({ forwards }) => forwards);
    const forwards = found.sort((a, b) => a.conn - b.conn).slice(0, limit);
    return { total: totalOf(seeings), forwards, silentWorkers };
  }

  /** A worker has answered, be it too late. Not its last part: it is waited for still. */
  seen(worker: number, look: number, seen: Seen, isLast: boolean): void {
    this.#silent.delete(worker);
    const under = this.#looks.get(look);
    if (under?.waiting.has(worker) !== true) return;
    under.seeings.push(seeing(worker, seen));
    if (!isLast) return;
    under.waiting.delete(worker);
    this.#settleIfWhole(under);
  }

  /** A worker is gone, and its connections with it: nobody waits for it. */
  lost(worker: number): void {
    this.#silent.delete(worker);
    for (const look of [...this.#looks.values()]) {
      if (!look.waiting.delete(worker)) continue;
      look.seeings = look.seeings.filter((part) => part.worker !== worker);
      this.#settleIfWhole(look);
    }
  }

  #ask(query: LookQuery): Promise<Answers> | null {
    const key = JSON.stringify(query);
    const same = this.#underWay.get(key);
    if (same !== undefined) return same;
    if (this.#underWay.size >= MAX_LOOKS) return null;
    const answers = this.#look(query).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answers);
    return answers;
  }

  #look(query: LookQuery): Promise<Answers> {
    const { workers, look: tell, clock } = this.#rooms;
    const number = ++this.#last;
    const asked = workers();
    return new Promise((resolve) => {
      const look: Look = {
        waiting: new Set(asked),
        seeings: [],
        settle: () => {
          if (!this.#looks.delete(number)) return;
          cancel();
          for (const worker of look.waiting) this.#silent.add(worker);
          // Who is named as silent is missing as a whole: a part of it would look like all of it.
          const seeings = look.seeings.filter(({ worker }) => !look.waiting.has(worker));
          resolve({ seeings, silentWorkers: [...look.waiting].sort((a, b) => a - b) });
        },
      };
      const cancel = clock.after(ANSWER_MS, () => look.settle());
      this.#looks.set(number, look);
      for (const worker of asked) tell(worker, number, query);
      if (asked.length === 0) look.settle();
    });
  }

  #settleIfWhole(look: Look): void {
    for (const worker of look.waiting) if (!this.#silent.has(worker)) return;
    look.settle();
  }
}

function totalOf(seeings: readonly Seeing[]): number {
  return seeings.reduce((sum, { total }) => sum + total, 0);
}

function seeing(worker: number, seen: Seen): Seeing {
  const { total } = seen;
  return seen.kind === 'connections'
    ? { worker, total, connections: seen.connections.map((one) => connectionView(worker, one)), forwards: [] }
    : { worker, total, connections: [], forwards: seen.forwards.map((one) => ({ ...one, worker })) };
}

function connectionView(worker: number, { openedAtMs, ...seen }: SeenConnection): ConnectionView {
  return { ...seen, worker, openedAt: new Date(openedAtMs).toISOString() };
}
