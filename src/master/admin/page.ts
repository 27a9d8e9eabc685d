/** PAGE: the files of the page, read once, from a fixed list: no path of a request reaches the file system.
 *  Owns their bytes. */
import { readFileSync } from 'node:fs';
import { DASHBOARD_FILES, DASHBOARD_HEADERS } from '../../shared/dashboard_files.js';
import { errnoOf, reasonOf } from '../../shared/errors.js';
import type { Answer } from './answer.js';

export type Page = ReadonlyMap<string, Answer>;

/** @param folder with a `/` at its end
 *  @param trouble told where there is a page that cannot be read whole
 *  @returns the answers by path; empty where the page is not there, as in a program that was bundled, or not whole */
export function readPage(folder: URL, trouble: (text: string) => void): Page {
  const page = new Map<string, Answer>();
  for (const { path, file, type } of DASHBOARD_FILES) {
    try {
      const body = readFileSync(new URL(file, folder));
      page.set(path, { kind: 'text', status: 200, type, body, headers: DASHBOARD_HEADERS });
    } catch (error) {
      const isAbsent = path === '/' && errnoOf(error) === 'ENOENT';
      if (!isAbsent) trouble(`the admin API has no page: ${reasonOf(error)}`);
      return new Map();
    }
  }
  return page;
}
