/** PRIMARY ENTRY: a whole primary process with fake workers. Arguments: config keys as JSON; a file with those that a reload
 *  brings. Prints its port. */
import { readFileSync } from 'node:fs';
import { startPrimary } from '../../src/master/main.js';
import { reasonOf } from '../../src/shared/errors.js';
import { testConfig } from './test_config.js';

try {
  const { exitCode } = await startPrimary({
    config: testConfig(JSON.parse(process.argv[2] ?? '{}')),
    handler: null,
    workerEntry: new URL('./fake_worker.js', import.meta.url),
    read: async () => {
      const config = testConfig(JSON.parse(readFileSync(process.argv[3] ?? '', 'utf8')));
      return {
        ok: true,
        settings: { config, hostKeys: [], handler: null, written: {} },
        warnings: [],
        files: new Map(),
      };
    },
    onListening(addresses) {
      for (const address of addresses) if (address.kind === 'tcp') console.log(`port ${address.port}`);
    },
  });
  process.exit(await exitCode);
} catch (error) {
  console.error(`failed: ${reasonOf(error)}`);
  process.exit(1);
}
