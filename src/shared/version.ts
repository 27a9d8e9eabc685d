/** VERSION: which version of this package runs. Owns nothing: package.json has it. */
import { readFileSync } from 'node:fs';

/** Read anew each time: who wants it, wants it once. `unknown` where package.json is missing. */
export function ownVersion(): string {
  try {
    const described: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    if (typeof described === 'object' && described !== null && 'version' in described) return String(described.version);
  } catch {
    // Installed without it: no reason not to run.
  }
  return 'unknown';
}
