/** PAGE: the files of the page, read once, from a fixed list: no path of a request reaches the file system.
 *  Owns their bytes. */
import { readFileSync } from 'node:fs';
import { DASHBOARD_FILES, DASHBOARD_HEADERS } from '../../shared/dashboard_files.js';
import type { Answer } from './answer.js';

export type Page = ReadonlyMap<string, Answer>;

/** @param folder with a `/` at its end
 *  @returns the answers by path; empty where the page is not there, as in a program that was bundled */
export function readPage(folder: URL): Page {
  try {
    return new Map(
      DASHBOARD_FILES.map(({ path, file, type }) => {
        const body = readFileSync(new URL(file, folder));
        return [path, { kind: 'text', status: 200, type, body, headers: DASHBOARD_HEADERS }];
      }),
    );
  } catch {
    return new Map();
  }
}
