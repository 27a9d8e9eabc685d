/** REKEY: RFC 4253 §9, again and again under full load both ways, with every cipher that the server offers. */
import t from 'tap';
import { CIPHERS } from '../../src/shared/algorithms.js';
import { exchange, MIB } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import type { Running } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const TRANSFER_BYTES = 100 * MIB;
/** Of each cipher but the first: six of them at 100 MB took a busy machine more than the time that a file has. */
const LESS_BYTES = 40 * MIB;
/** Far below the two for each MB that 1 MB per key amounts to, and far above what happens without RekeyLimit. */
const REKEYS_PER_MB = 0.5;

/** Key exchanges after the first one, by the client's own log. */
function rekeysOf(client: Running): number {
  return client.stderr.split('SSH2_MSG_NEWKEYS sent').length - 2;
}

flow(t, 'rekeying every MB', { needs: ['ssh', 'ssh-keygen'], timeoutMs: 280_000 }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);

  for (const [index, cipher] of CIPHERS.entries()) {
    const bytes = index === 0 ? TRANSFER_BYTES : LESS_BYTES;
    await t.test(`loses nothing of ${bytes / MIB} MB each way with ${cipher}`, async (t) => {
      const near = await freePort();
      const specs = ['-c', cipher, '-o', 'RekeyLimit=1M', '-L', `${near}:localhost:${echo.port}`];
      const { client } = await tunnel(t, server, server.alice, specs);
      const { sent, received } = await exchange(await connect(t, near), cipher, bytes);
      t.same(received, sent);
      t.match(client.stderr, `kex: server->client cipher: ${cipher}`);
      const rekeys = rekeysOf(client);
      t.ok(rekeys >= (bytes / MIB) * REKEYS_PER_MB, `${rekeys} rekeys`);
      await client.stop();
    });
  }
});

flow(t, 'rekeying that the server begins', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: { rekey: { bytes: '1MiB' } } });
  const echo = await startEcho(t);
  const near = await freePort();
  const { client } = await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
  const { sent, received } = await exchange(await connect(t, near), 'from the server', TRANSFER_BYTES);
  t.same(received, sent);
  const rekeys = rekeysOf(client);
  t.ok(rekeys >= (TRANSFER_BYTES / MIB) * REKEYS_PER_MB, `${rekeys} rekeys`);
});
