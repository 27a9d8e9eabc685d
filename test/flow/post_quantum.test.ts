/** POST-QUANTUM: mlkem768x25519-sha256 with the clients that ask for it by themselves, OpenSSH 10.0 of Debian 13 and the one of Debian
 *  testing, which warns of servers that do not have it. */
import t, { type Test } from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import type { Running } from '../support/process.js';
import { programOfSuite } from '../support/programs.js';
import { type ServerOptions, startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

/** Each way; `PQ_MIB=1024` for a gigabyte. */
const BULK_MIB = Number(process.env.PQ_MIB ?? 64);
const SUITES = ['trixie', 'forky'] as const;
const AGREED = 'kex: algorithm: mlkem768x25519-sha256';
/** Of "WARNING: connection is not using a post-quantum key exchange algorithm", since 10.1. */
const WARNING = /warning: (?!permanently)|post-quantum|store now/i;

/** Moves `bytes` there and back through a client of that suite. */
async function through(
  t: Test,
  ssh: string,
  bytes: number,
  options: ServerOptions & { readonly args?: readonly string[] },
): Promise<Running> {
  const { args = [], ...serverOptions } = options;
  const server = await startSallyport(t, serverOptions);
  const echo = await startEcho(t);
  const near = await freePort();
  const specs = [...args, '-L', `${near}:localhost:${echo.port}`];
  const { client } = await tunnel(t, server, server.alice, specs, undefined, ssh);
  const { sent, received } = await exchange(await connect(t, near), specs.join(' '), bytes);
  t.same(received, sent);
  await client.stop();
  return client;
}

for (const suite of SUITES)
  flow(t, `OpenSSH of ${suite}`, { needs: ['ssh-keygen'] }, async (t, workers) => {
    const ssh = programOfSuite(t, suite, 'ssh');
    if (ssh === undefined) return;
    await t.test('some MB each way, and no warning', async (t) => {
      const { stderr } = await through(t, ssh, BULK_MIB * MIB, { workers });
      t.match(stderr, AGREED);
      t.notMatch(stderr, WARNING);
      t.match(stderr, 'ping@openssh.com=<0>', 'it knows that it may ping');
    });
    if (suite === 'forky')
      await t.test('the twin: a server without it', async (t) => {
        const config = { algorithms: { kex: ['curve25519-sha256'] } };
        const { stderr } = await through(t, ssh, MIB, { workers, config });
        t.match(stderr, 'kex: algorithm: curve25519-sha256');
        t.match(stderr, WARNING, 'this is what would be seen');
      });
    for (const [who, options] of [
      ['it', { args: ['-o', 'RekeyLimit=1M'] }],
      ['the server', { config: { rekey: { bytes: '1MiB' } } }],
    ] as const)
      await t.test(`new keys every MB, which ${who} asks for`, async (t) => {
        const { stderr } = await through(t, ssh, 8 * MIB, { workers, ...options });
        const exchanges = stderr.split(AGREED).length - 1;
        t.ok(exchanges >= 5, `${exchanges} exchanges`);
        t.notMatch(stderr, WARNING);
      });
  });
