/** NAMESAKES: a server whose own fields have names that the library has, or had, for its own. None of them is a hook, so each
 *  may be anything. */
import { Agent } from 'node:http';
import { type ServerOptions, TunnelServer } from '../../../src/index.js';

/** Of 'foo'. */
const HASH = '$argon2id$v=19$m=8,t=1,p=1$BFrLcmfsBck3T/Ww/o+6cQ$V36kTS9auPvdkCeoYZfPGLMY+A9IUdkcSJye8YaOy8M';

export const NAMESAKES: readonly string[] = [
  ...['_pool', '_configure', '_tell', '_lost', '_ended', '_closed', '_addresses', '_options', '_inside', '_hearing'],
  ...[
    'pool',
    'configure',
    'rules',
    'listeners',
    'listenerCount',
    'hooksDecide',
    'options',
    'config',
    'users',
    'inside',
  ],
  ...['event', 'lost', 'ended', 'closed', 'running', 'streams', 'methods', 'directory', 'served', 'hearing', 'kind'],
];

export default class Namesakes extends TunnelServer {
  // As TypeScript's and JavaScript's own fields: made after the constructors of the library's classes.
  readonly _pool = new Agent();
  readonly _configure = 'by hand';
  readonly rules = ['be kind'];
  readonly #pool = HASH;
  readonly #inside: string = 'of this class';

  constructor(options: ServerOptions) {
    super(options);
    for (const name of NAMESAKES)
      if (!Object.hasOwn(this, name)) Object.defineProperty(this, name, { value: `my ${name}`, writable: true });
  }

  override async checkAuthPassword(username: string, password: string): Promise<boolean> {
    return this.#inside !== '' && (await this.verifyPassword(username === 'alice' ? this.#pool : undefined, password));
  }
}
