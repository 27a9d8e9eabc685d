/** QUESTIONS: what this worker has asked of the primary and has no answer to yet.
 *  Owns those questions. Each gets an answer: the primary's, that of the next one where it comes soon enough, or one of ours. */
import type { Peer } from '../shared/identity.js';
import type {
  Admitted,
  Answer,
  AskId,
  BandwidthGrant,
  BandwidthWant,
  CodeUse,
  CodeVerdict,
  ConnId,
  Question,
  ToPrimary,
} from '../shared/ipc.js';

/** What a question gets that no primary answers. A port may be another one's by now; a login was a yes already, and the next
 *  primary counts it when it hears of it. */
const UNHEARD: { readonly [kind in Question['kind']]: Answer } = {
  login: { ok: true, port: 0 },
  lease: { ok: false, reason: 'DRAINING' },
};

/** How long a question waits for a primary to hear it. One that takes another's place is there within some milliseconds, one
 *  that is started after a crash often within a second; a client that asks for a port waits no longer for anything else. */
export const UNHEARD_MS = 1_000;

interface Asked {
  readonly question: Question;
  readonly settle: (answer: Answer) => void;
  /** Runs while no primary has heard it: from then on there will be an answer, and one of ours beside it would leave the
   *  ledger with a grant that nobody uses. */
  unheard: NodeJS.Timeout | undefined;
}

/** A client that waits behind its proxy's header. */
interface Brought {
  readonly message: Extract<ToPrimary, { type: 'proxied' }>;
  readonly settle: (verdict: Admitted | null) => void;
  /** As of `Asked`. */
  unheard: NodeJS.Timeout | undefined;
}

export class Questions {
  readonly #asked = new Map<AskId, Asked>();
  readonly #wanted = new Map<AskId, (grant: BandwidthGrant | null) => void>();
  readonly #codes = new Map<AskId, (verdict: CodeVerdict | null) => void>();
  readonly #brought = new Map<AskId, Brought>();
  #last = 0;

  /** Never rejects. @param send null: there is no primary */
  ask(question: Question, send: ((message: ToPrimary) => void) | null): Promise<Answer> {
    const ask = askId(++this.#last);
    return new Promise((settle) => {
      const asked: Asked = { question, settle, unheard: undefined };
      this.#asked.set(ask, asked);
      if (send === null) this.#wait(ask, asked);
      else send({ type: 'ask', ask, question });
    });
  }

  /** Never rejects; null: there is nobody to grant anything. */
  want(want: BandwidthWant, send: ((message: ToPrimary) => void) | null): Promise<BandwidthGrant | null> {
    if (send === null) return Promise.resolve(null);
    const ask = askId(++this.#last);
    return new Promise((settle) => {
      this.#wanted.set(ask, settle);
      send({ type: 'want', ask, ...want });
    });
  }

  /** Never rejects; null: there is nobody who knows whether it was used. */
  judge(use: CodeUse, send: ((message: ToPrimary) => void) | null): Promise<CodeVerdict | null> {
    if (send === null) return Promise.resolve(null);
    const ask = askId(++this.#last);
    return new Promise((settle) => {
      this.#codes.set(ask, settle);
      send({ type: 'code', ask, ...use });
    });
  }

  /** Never rejects; null: there is nobody who could judge. */
  proxied(id: ConnId, client: Peer | null, send: ((message: ToPrimary) => void) | null): Promise<Admitted | null> {
    const ask = askId(++this.#last);
    return new Promise((settle) => {
      const brought: Brought = { message: { type: 'proxied', ask, id, client }, settle, unheard: undefined };
      this.#brought.set(ask, brought);
      if (send === null) this.#waitToJudge(ask, brought);
      else send(brought.message);
    });
  }

  answered(ask: AskId, answer: Answer): void {
    const asked = this.#asked.get(ask);
    if (asked === undefined) return;
    this.#asked.delete(ask);
    clearTimeout(asked.unheard);
    asked.settle(answer);
  }

  granted(ask: AskId, grant: BandwidthGrant): void {
    this.#wanted.get(ask)?.(grant);
    this.#wanted.delete(ask);
  }

  judged(ask: AskId, verdict: CodeVerdict): void {
    this.#codes.get(ask)?.(verdict);
    this.#codes.delete(ask);
  }

  admitted(ask: AskId, verdict: Admitted | null): void {
    const brought = this.#brought.get(ask);
    if (brought === undefined) return;
    this.#brought.delete(ask);
    clearTimeout(brought.unheard);
    brought.settle(verdict);
  }

  /** The primary is gone: what it has granted and not told is granted to nobody. */
  forget(): void {
    for (const settle of this.#codes.values()) settle(null);
    this.#codes.clear();
    for (const settle of this.#wanted.values()) settle(null);
    this.#wanted.clear();
    for (const [ask, asked] of this.#asked) if (asked.unheard === undefined) this.#wait(ask, asked);
    for (const [ask, brought] of this.#brought) if (brought.unheard === undefined) this.#waitToJudge(ask, brought);
  }

  /** Another one is there, and knows of the connections. */
  follow(send: (message: ToPrimary) => void): void {
    for (const [ask, asked] of this.#asked) {
      clearTimeout(asked.unheard);
      asked.unheard = undefined;
      send({ type: 'ask', ask, question: asked.question });
    }
    for (const brought of this.#brought.values()) {
      clearTimeout(brought.unheard);
      brought.unheard = undefined;
      send(brought.message);
    }
  }

  #waitToJudge(ask: AskId, brought: Brought): void {
    brought.unheard = setTimeout(() => this.admitted(ask, null), UNHEARD_MS).unref();
  }

  #wait(ask: AskId, asked: Asked): void {
    asked.unheard = setTimeout(() => this.answered(ask, UNHEARD[asked.question.kind]), UNHEARD_MS).unref();
  }
}

function askId(value: number): AskId {
  return value as AskId; // the one place that gives them out
}
