/** SHELL: a handler that serves sessions of its own: commands that a test types, and what a terminal tells. */
import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { type Session, TunnelServer } from '../../../src/index.js';

/** Bytes that `pour` sends. */
export const POUR_BYTES = 20 * 1024 * 1024;

export default class Shell extends TunnelServer {
  override checkAuthPublicKey(): boolean {
    return true;
  }

  override onSession(session: Session): void | Promise<void> {
    const { request } = session;
    if (request.kind === 'shell') return terminal(session);
    if (request.kind === 'subsystem') return session.reject();
    const [name = '', ...args] = request.command.split(' ');
    switch (name) {
      case 'env':
        session.end([...session.env].map(([key, value]) => `${key}=${value}\n`).join(''));
        return session.exit();
      case 'exit':
        session.stderr.write(`leaving with ${args[0]}\n`);
        return session.exit(Number(args[0]));
      case 'signalled':
        return session.exitSignal('TERM', { message: 'asked to' });
      case 'complain':
        session.stderr.write(Buffer.alloc(4 * 1024 * 1024, 'e'), () => session.exit(7));
        return;
      case 'async':
        session.on('data', async () => {
          throw new Error('the listener broke');
        });
        return;
      case 'cat':
        session.pipe(session);
        return;
      case 'pour':
        return pour(session);
      case 'hash':
        return hash(session);
      case 'throws':
        throw new Error('the session broke');
      case 'rejects':
        session.write('so far so good\n');
        return Promise.reject(new Error('the session broke later'));
      default:
        return session.reject(`no such command: ${name}`);
    }
  }
}

/** Says what the terminal is, each change of it and each signal, until `quit`. */
function terminal(session: Session): void {
  const { terminal } = session;
  session.write(`terminal ${terminal?.term} ${terminal?.columns}x${terminal?.rows}\r\n`);
  session.onTerminal(({ columns, rows }) => session.write(`now ${columns}x${rows}\r\n`));
  session.onSignal((signal) => session.write(`signal ${signal}\r\n`));
  session.on('data', (keys: Buffer) => {
    if (keys.toString().includes('q')) session.exit(3);
  });
}

function pour(session: Session): void {
  const chunk = Buffer.alloc(64 * 1024, 'abcdefgh');
  const chunks = Readable.from(
    (function* () {
      for (let sent = 0; sent < POUR_BYTES; sent += chunk.length) yield chunk;
    })(),
  );
  pipeline(chunks, session, (error) => {
    if (!error) session.exit(0);
  });
}

/** Waits for all of it, as `sha256sum` does. */
async function hash(session: Session): Promise<void> {
  const digest = createHash('sha256');
  for await (const chunk of session.iterator({ destroyOnReturn: false })) digest.update(chunk);
  session.end(`${digest.digest('hex')}\n`);
  session.exit();
}
