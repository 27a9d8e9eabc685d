/** LAZY HYBRID: where no Node reckons ML-KEM a worker loads 2 MB for it, and only where `algorithms.kex` has the hybrid exchange, from
 *  the start on or since a reload. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { HYBRID_KEX } from '../../src/worker/transport/algorithms.js';
import { nodeMlKem } from '../../src/worker/transport/ml_kem.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { rawClient } from '../support/raw_client.js';
import { startSallyport } from '../support/server.js';
import { tempDir } from '../support/temp.js';

const preload = new URL('../support/preload/imports.js', import.meta.url).href;
const needed = nodeMlKem() === null;

flow(t, 'noble', { needs: ['ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const imports = join(tempDir(t), 'imports');
  writeFileSync(imports, '');
  /** How many processes have imported it. */
  const holders = (): number =>
    readFileSync(imports, 'utf8')
      .split('\n')
      .filter((name) => name.startsWith('@noble/post-quantum')).length;
  const env = { NODE_OPTIONS: `--import ${preload}`, TEST_IMPORTS: imports };
  const config = { algorithms: { kex: ['curve25519-sha256'] } };
  const server = await startSallyport(t, { workers, config, env });
  const classical = rawClient(t, server);
  await classical.login('alice', server.alice);
  t.match(readFileSync(imports, 'utf8'), 'piscina', 'imports are seen');
  t.equal(holders(), 0, 'not offered, not loaded');

  await server.reload({ ...server.config, algorithms: { kex: [HYBRID_KEX, 'curve25519-sha256'] } });
  // Each worker in turn takes one; for a moment the exchanges are those of before.
  for (let agreed = 0; agreed < 2 * workers; ) {
    const client = rawClient(t, server, { kex: HYBRID_KEX });
    const isAgreed = await client.ready.then(
      () => true,
      () => false,
    );
    if (isAgreed) {
      await client.login('alice', server.alice);
      agreed++;
    }
  }
  t.equal(holders(), needed ? workers : 0, 'by each worker once');
  await classical.roundTrip();
});
