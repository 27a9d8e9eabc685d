/** QUESTIONS: what this worker has asked of the primary and has no answer to yet.
 *  Owns those questions. Each gets an answer: the primary's, or one of ours when there is no primary to give it. */
import type { Answer, AskId, BandwidthGrant, BandwidthWant, Question, ToPrimary } from '../shared/ipc.js';

/** What a question gets that no primary answers. A port may be another one's by now; a login was a yes already, and the next
 *  primary counts it when it hears of it. */
const UNHEARD: { readonly [kind in Question['kind']]: Answer } = {
  login: { ok: true, port: 0 },
  lease: { ok: false, reason: 'DRAINING' },
};

interface Asked {
  readonly kind: Question['kind'];
  readonly settle: (answer: Answer) => void;
}

export class Questions {
  readonly #asked = new Map<AskId, Asked>();
  readonly #wanted = new Map<AskId, (grant: BandwidthGrant | null) => void>();
  #last = 0;

  /** Never rejects. @param send null: there is no primary */
  ask(question: Question, send: ((message: ToPrimary) => void) | null): Promise<Answer> {
    const { kind } = question;
    if (send === null) return Promise.resolve(UNHEARD[kind]);
    const ask = askId(++this.#last);
    return new Promise((settle) => {
      this.#asked.set(ask, { kind, settle });
      send({ type: 'ask', ask, question });
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

  answered(ask: AskId, answer: Answer): void {
    this.#asked.get(ask)?.settle(answer);
    this.#asked.delete(ask);
  }

  granted(ask: AskId, grant: BandwidthGrant): void {
    this.#wanted.get(ask)?.(grant);
    this.#wanted.delete(ask);
  }

  /** The primary is gone. */
  forget(): void {
    for (const settle of this.#wanted.values()) settle(null);
    this.#wanted.clear();
    for (const { kind, settle } of this.#asked.values()) settle(UNHEARD[kind]);
    this.#asked.clear();
  }
}

function askId(value: number): AskId {
  return value as AskId; // the one place that gives them out
}
