/** NAME SERVICE: names that mean what a test says, for a whole server.
 *  Owns the zone and the file that remembers what was asked. The system's own resolver cannot be told by a test without
 *  changing the machine, so its function is replaced within the server's processes (preload/names.ts). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { tempDir } from './temp.js';

/** What a look-up answers: its addresses, or null for no answer at all. */
export type NameAnswer = readonly string[] | null;

export interface NameService {
  /** For the server. */
  readonly env: Readonly<Record<string, string>>;
  /** Names looked up so far, by all workers. */
  asked(): string[];
}

/** @param zone per name what its first look-up answers, its second and so on; the last one holds. In each worker anew. Other
 *  names do not exist. */
export function nameService(t: Test, zone: Readonly<Record<string, readonly NameAnswer[]>>): NameService {
  const file = join(tempDir(t), 'asked');
  writeFileSync(file, '');
  const preload = new URL('./preload/names.js', import.meta.url).href;
  return {
    env: { NODE_OPTIONS: `--import ${preload}`, TEST_ZONE: JSON.stringify(zone), TEST_ASKED: file },
    asked: () => readFileSync(file, 'utf8').split('\n').slice(0, -1),
  };
}
