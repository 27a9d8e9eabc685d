/** TEMP: folders that vanish with their test. Owns each folder that it made. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A new folder, mode 0700, under a short path: a Unix socket's name has at most 107 bytes. */
export function tempDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
