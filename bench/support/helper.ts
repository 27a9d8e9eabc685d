/** HELPER: a process of ours beside the measurement (a target, a relay, a flow), so that its work and its pauses
 *  are not those of the process that holds the clock. Owns the process. The other side is helper_process.ts. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { VerificationFailed } from '../types.js';

/** What a helper answers: figures by name. */
export type Answer = Readonly<Record<string, number>>;

export type ToHelper = { readonly type: 'ask'; readonly what: string; readonly argument: number };
export type FromHelper =
  | { readonly type: 'ready'; readonly port: number }
  | { readonly type: 'answer'; readonly answer: Answer }
  | { readonly type: 'failed'; readonly reason: string; readonly verification: boolean };

export type HelperName = 'http_target' | 'delay_relay' | 'bulk_flow';

const STOP_GRACE_MS = 3_000;

export class Helper {
  readonly #name: HelperName;
  readonly #process: ChildProcess;
  readonly port: number;

  private constructor(name: HelperName, process: ChildProcess, port: number) {
    this.#name = name;
    this.#process = process;
    this.port = port;
  }

  /** Resolves when it listens. @throws in its own words when it cannot */
  static async start(name: HelperName, args: readonly (string | number)[]): Promise<Helper> {
    const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
    const process = fork(file, args.map(String), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    try {
      const message = await nextMessage(name, process);
      if (message.type !== 'ready') throw new Error(`helper ${name} answered before it was ready`);
      return new Helper(name, process, message.port);
    } catch (error) {
      await end(process);
      throw error;
    }
  }

  /** One question at a time. @throws VerificationFailed when the helper's own check says so */
  async ask(what: string, argument = 0): Promise<Answer> {
    const answer = nextMessage(this.#name, this.#process);
    this.#process.send({ type: 'ask', what, argument } satisfies ToHelper);
    const message = await answer;
    return message.type === 'answer' ? message.answer : {};
  }

  stop(): Promise<void> {
    return end(this.#process);
  }
}

/** @throws when it says that it failed, or ends */
function nextMessage(name: HelperName, process: ChildProcess): Promise<FromHelper> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromHelper): void => {
      process.off('exit', onExit);
      if (message.type !== 'failed') resolve(message);
      else reject(message.verification ? new VerificationFailed(message.reason) : new Error(message.reason));
    };
    const onExit = (code: number | null, signal: string | null): void => {
      process.off('message', onMessage);
      reject(new Error(`helper ${name} ended (${signal ?? `exit code ${code}`}) and left a question open`));
    };
    process.once('message', onMessage);
    process.once('exit', onExit);
  });
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exited = once(process, 'exit');
  process.kill('SIGTERM');
  const killer = setTimeout(() => process.kill('SIGKILL'), STOP_GRACE_MS);
  await exited;
  clearTimeout(killer);
}
