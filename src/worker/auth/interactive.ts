/** INTERACTIVE: keyboard-interactive on the wire (RFC 4256), for the first factor and the second.
 *  Owns the conversation under way, and whether its questions have been sent. */
import type { Identity, Peer } from '../../shared/identity.js';
import { MSG, message } from '../../shared/protocol.js';
import type { After } from '../../shared/timer.js';
import { failure, type Outcome, readLogin } from './credentials.js';
import { askPassword, Dialogue, type Questions, type Turn } from './dialogue.js';
import { type AuthHooks, MAX_PASSWORD_BYTES } from './hooks.js';
import { type Notes, withNotes } from './notes.js';
import { parseInfoResponse } from './request.js';

export interface InteractiveOptions {
  readonly hooks: AuthHooks;
  readonly peer: Peer;
  readonly hookTimeoutMs: number;
  readonly after: After;
}

interface UnderWay {
  readonly factor: 'first' | 'second';
  readonly dialogue: Dialogue;
  /** Of the hook that leads it. */
  readonly notes: Notes;
  /** False for a name that nobody can have: its conversation looks the same and leads nowhere. */
  readonly isReal: boolean;
  questions: Questions | null;
  /** The peer has the questions. */
  areSent: boolean;
}

/** Whom the first factor let in. */
export interface FirstFactor {
  readonly identity: Identity;
  /** Users of the config whose credentials were found right. */
  readonly checked: ReadonlySet<string>;
}

const METHOD = 'keyboard-interactive';

export class Interactive {
  readonly #options: InteractiveOptions;
  #underWay: UnderWay | null = null;

  constructor(options: InteractiveOptions) {
    this.#options = options;
  }

  /** Questions are with the peer. */
  get isWaiting(): boolean {
    return this.#underWay?.areSent === true;
  }

  /** RFC 4256 §3.1: a new request abandons the open questions. Those that were not sent yet stay for whoever asks for them. */
  newRequest(): void {
    if (this.isWaiting) this.close();
  }

  /** The first factor. @param name null: one that nobody can have */
  async first(name: string | null, soFar: Identity | null): Promise<Outcome> {
    const { hooks } = this.#options;
    const { peer, notes } = withNotes(this.#options.peer);
    const dialogue = this.#start((conversation, signal) =>
      name === null
        ? askPassword(() => false, '', conversation, peer, signal, null)
        : hooks.checkAuthInteractive(name, conversation, peer, signal, soFar),
    );
    return this.#sent(await this.#take({ factor: 'first', dialogue, notes, isReal: name !== null }));
  }

  /** Is there a second factor for whom the first one let in? `success`: there is none, or it wants no answer. `more`: its
   *  questions are ready, and `second` has them; nothing is sent yet. */
  async prepareSecond({ identity, checked }: FirstFactor): Promise<Outcome> {
    const { hooks } = this.#options;
    const { peer, notes } = withNotes(this.#options.peer, checked);
    const dialogue = this.#start((conversation, signal) =>
      hooks.checkSecondFactor(identity, conversation, peer, signal),
    );
    return this.#take({ factor: 'second', dialogue, notes, isReal: true });
  }

  async second(first: FirstFactor): Promise<Outcome> {
    const ready = this.#underWay;
    if (ready !== null && ready.questions !== null && !ready.areSent)
      return this.#sent({ kind: 'more', reply: infoRequest(ready.questions) });
    return this.#sent(await this.prepareSecond(first));
  }

  /** An INFO_RESPONSE. @returns null where nobody asked, or it is malformed */
  async answered(payload: Buffer): Promise<Outcome | null> {
    const underWay = this.#underWay;
    if (underWay === null || !underWay.areSent) return null;
    const count = underWay.questions?.prompts.length ?? 0;
    const response = parseInfoResponse(payload, count);
    if (response === null) return null;
    underWay.areSent = false;
    if (response === 'wrong count') return this.#over(failure('MALFORMED'));
    const answers = response.filter((answer) => answer !== null && Buffer.byteLength(answer) <= MAX_PASSWORD_BYTES);
    // Refused unseen, for whomever: what is no text, and what is longer than any password or code.
    if (answers.length < count) return this.#over(wrongAnswer(underWay));
    underWay.questions = null;
    underWay.dialogue.answer(answers.filter((answer) => answer !== null));
    return this.#sent(await this.#take(underWay));
  }

  close(): void {
    this.#underWay?.dialogue.end();
    this.#underWay = null;
  }

  #start(lead: ConstructorParameters<typeof Dialogue>[0]): Dialogue {
    this.close();
    const { hookTimeoutMs: timeoutMs, after } = this.#options;
    return new Dialogue(lead, { timeoutMs, after });
  }

  /** What the hook does next. */
  async #take(began: Omit<UnderWay, 'questions' | 'areSent'>): Promise<Outcome> {
    const underWay: UnderWay = { ...began, questions: null, areSent: false };
    this.#underWay = underWay;
    const turn = await underWay.dialogue.next();
    if (turn.kind === 'done') return this.#over(outcomeOf(underWay, turn));
    underWay.questions = turn.questions;
    return { kind: 'more', reply: infoRequest(turn.questions) };
  }

  #sent(outcome: Outcome): Outcome {
    if (outcome.kind === 'more' && this.#underWay !== null) this.#underWay.areSent = true;
    return outcome;
  }

  #over(outcome: Outcome): Outcome {
    this.close();
    return outcome;
  }
}

function outcomeOf(underWay: UnderWay, { answer }: Extract<Turn, { kind: 'done' }>): Outcome {
  if (!underWay.isReal) return failure('UNKNOWN_USER');
  const hook = underWay.factor === 'first' ? 'checkAuthInteractive' : 'checkSecondFactor';
  const named = answer.ok || answer.refused ? answer : { ...answer, detail: `${hook}: ${answer.detail}` };
  const verdict = readLogin(hook, named, wrongAnswer(underWay).code, underWay.notes);
  if ('code' in verdict) return verdict;
  if (underWay.factor === 'second' && verdict.identity !== null)
    return failure('HOOK_FAILED', `${hook}: answered an object; wanted true or false`);
  return { kind: 'success', ...verdict, method: METHOD };
}

function wrongAnswer({ factor, isReal }: UnderWay): ReturnType<typeof failure> {
  if (!isReal) return failure('UNKNOWN_USER');
  return failure(factor === 'first' ? 'WRONG_PASSWORD' : 'CODE_WRONG');
}

/** RFC 4256 §3.2: name, instruction, language tag, number of prompts, then prompt and echo of each. */
function infoRequest({ name, instruction, prompts }: Questions): Buffer {
  const fields = prompts.flatMap(({ prompt, echo }) => [prompt, echo]);
  return message(MSG.USERAUTH_INFO_REQUEST, name, instruction, '', prompts.length, ...fields);
}
