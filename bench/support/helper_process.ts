/** HELPER PROCESS: the helper's side of helper.ts. It ends with the process that started it, however that ends. */
import { reasonOf } from '../../src/shared/errors.js';
import { VerificationFailed } from '../types.js';
import type { Answer, FromHelper, ToHelper } from './helper.js';

export type Questions = Readonly<Record<string, (argument: number) => Answer | Promise<Answer>>>;

/** Tells the port and answers questions from now on. */
export function serveParent(port: number, questions: Questions = {}): void {
  process.on('disconnect', () => process.exit());
  process.on('message', (message: ToHelper) => {
    void answerTo(message, questions).then(tell);
  });
  tell({ type: 'ready', port });
}

async function answerTo({ what, argument }: ToHelper, questions: Questions): Promise<FromHelper> {
  try {
    const question = questions[what];
    if (question === undefined) throw new Error(`nobody here answers ${JSON.stringify(what)}`);
    return { type: 'answer', answer: await question(argument) };
  } catch (error) {
    return { type: 'failed', reason: reasonOf(error), verification: error instanceof VerificationFailed };
  }
}

function tell(message: FromHelper): void {
  process.send?.(message);
}

/** The port of a server that was told to take any. */
export function portOf(server: { address(): { port: number } | string | null }): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
  return address.port;
}
