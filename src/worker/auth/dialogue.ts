/** DIALOGUE: a hook that asks the peer questions and waits for the answers, as keyboard-interactive carries them (RFC 4256).
 *  Owns the hook's call and its time, which stands still while the peer types. Knows no message and no socket: who made it
 *  brings the questions to the peer and the answers back. */
import { Ending } from '../../shared/ending.js';
import { TunnelError } from '../../shared/errors.js';
import type { Peer } from '../../shared/identity.js';
import { hasControl } from '../../shared/text.js';
import type { After, Cancel } from '../../shared/timer.js';
import type { Conversation, Prompt, PromptHeading } from './conversation.js';
import { callHook, type HookAnswer } from './hooks.js';

/** What the peer is to be asked. */
export interface Questions {
  readonly name: string;
  readonly instruction: string;
  readonly prompts: readonly Required<Prompt>[];
}

/** What a hook does next. */
export type Turn =
  | { readonly kind: 'asks'; readonly questions: Questions }
  | { readonly kind: 'done'; readonly answer: HookAnswer };

export const MAX_PROMPTS = 16;
const MAX_CHARACTERS = 1024;

/** The conversation of every server that has no other: one question, whose answer is a password. An empty one is never
 *  shown to `check`: with some directories it means anonymous, hence yes. */
export async function askPassword<A, I>(
  check: (username: string, password: string, peer: Peer, signal: AbortSignal, soFar: I) => A | Promise<A>,
  username: string,
  conversation: Conversation,
  peer: Peer,
  signal: AbortSignal,
  soFar: I,
): Promise<A | false> {
  const [password = ''] = await conversation.ask([{ prompt: PASSWORD_PROMPT }]);
  return password !== '' && (await check(username, password, peer, signal, soFar));
}

/** As OpenSSH's server asks for it. */
const PASSWORD_PROMPT = 'Password: ';

export interface DialogueOptions {
  /** For what the hook does between two answers. */
  readonly timeoutMs: number;
  readonly after: After;
}

/** One call of a hook that may ask. */
export class Dialogue {
  readonly #ending = new Ending();
  readonly #time: StoppingTime;
  readonly #turns: Turn[] = [];
  #waiter: ((turn: Turn) => void) | null = null;
  #asked: { readonly resolve: (answers: readonly string[]) => void; readonly reject: (why: unknown) => void } | null =
    null;

  /** Calls the hook at once. */
  constructor(lead: (conversation: Conversation, signal: AbortSignal) => unknown, options: DialogueOptions) {
    this.#time = new StoppingTime(options.after);
    const conversation: Conversation = { ask: (prompts, heading) => this.#ask(prompts, heading) };
    const answered = callHook((signal) => lead(conversation, signal), {
      timeoutMs: options.timeoutMs,
      after: this.#time.after,
      closing: this.#ending.signal,
    });
    void answered.then((answer) => this.#push({ kind: 'done', answer }));
  }

  /** What it does next. One call at a time, and none behind `done`. Never rejects. */
  next(): Promise<Turn> {
    const turn = this.#turns.shift();
    if (turn !== undefined) return Promise.resolve(turn);
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** Brings the answers to the questions that were asked last; as many as those. */
  answer(answers: readonly string[]): void {
    const asked = this.#asked;
    this.#asked = null;
    this.#time.goOn();
    asked?.resolve(answers);
  }

  /** Nobody waits for it any more: its signal fires, and its questions fail. May be called again. */
  end(): void {
    const asked = this.#asked;
    this.#asked = null;
    this.#ending.end();
    asked?.reject(this.#ending.signal.reason);
  }

  #ask(prompts: unknown, heading: unknown): Promise<readonly string[]> {
    const asked = new Promise<readonly string[]>((resolve, reject) => {
      const questions = readQuestions(prompts, heading);
      if (this.#ending.hasEnded) throw this.#ending.signal.reason;
      if (this.#asked !== null) throw new TunnelError('HOOK_FAILED', 'ask: the last questions have no answer yet');
      this.#asked = { resolve, reject };
      this.#time.stop();
      this.#push({ kind: 'asks', questions });
    });
    asked.catch(ignore); // a hook that does not wait for it must not end the worker
    return asked;
  }

  #push(turn: Turn): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) this.#turns.push(turn);
    else waiter(turn);
  }
}

/** A deadline that begins anew with each answer of the peer. */
class StoppingTime {
  readonly #real: After;
  #due: { readonly delayMs: number; readonly action: () => void } | null = null;
  #cancel: Cancel | null = null;
  #stopped = false;

  constructor(real: After) {
    this.#real = real;
  }

  readonly after: After = (delayMs, action) => {
    this.#due = { delayMs, action };
    if (!this.#stopped) this.#start();
    return () => {
      this.#due = null;
      this.stop();
    };
  };

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  goOn(): void {
    this.#stopped = false;
    this.#start();
  }

  #start(): void {
    if (this.#due !== null) this.#cancel = this.#real(this.#due.delayMs, this.#due.action);
  }
}

/** JavaScript lets anything in here. @throws TunnelError HOOK_FAILED */
function readQuestions(prompts: unknown, heading: unknown): Questions {
  if (!Array.isArray(prompts) || prompts.length > MAX_PROMPTS)
    throw new TunnelError('HOOK_FAILED', `ask: wanted a list of at most ${MAX_PROMPTS} prompts`);
  const { name, instruction }: PromptHeading = Object(heading);
  return {
    name: textOf('name', name ?? '', ''),
    instruction: textOf('instruction', instruction ?? '', '\n\t'),
    prompts: prompts.map((one) => {
      const { prompt, echo }: Partial<Prompt> = Object(one);
      return { prompt: textOf('prompt', prompt, ''), echo: echo === true };
    }),
  };
}

function textOf(what: string, text: unknown, controls: string): string {
  if (typeof text === 'string' && text.length <= MAX_CHARACTERS && !hasControl(text, controls)) return text;
  throw new TunnelError(
    'HOOK_FAILED',
    `ask: ${what} is no text of at most ${MAX_CHARACTERS} characters without control characters`,
  );
}

function ignore(): void {}
