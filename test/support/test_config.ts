/** TEST CONFIG: a whole Config from the few keys that a test cares about. Owns nothing. */
import type { Config } from '../../src/shared/config.js';
import { configFromObject, formatIssue } from '../../src/shared/config_file.js';

/** Keys and units as in the file; 127.0.0.1 on a port from the kernel and two workers unless said otherwise. */
export function testConfig(keys: Readonly<Record<string, unknown>> = {}): Config {
  const result = configFromObject({ listen: ['127.0.0.1:0'], workers: 2, ...keys }, 'test', {
    parallelism: 2,
    resolvePath: (path) => path,
    readFile: () => ({ ok: false, error: 'is not read in tests' }),
    readBytes: () => ({ ok: false, error: 'is not read in tests' }),
  });
  if (!result.ok) throw new Error(result.errors.map(formatIssue).join('\n'));
  return result.config;
}
