/** SOCKET PATH: which texts may name a Unix socket, for patterns, opens and binds alike.
 *  Owns nothing. Speaks of the text only: what a symbolic link on the way leads to is asked of the file system by whoever
 *  opens or binds. */
import { hasControl } from './text.js';

/** Longest path that fits sockaddr_un on Linux with its closing NUL. */
export const MAX_PATH_BYTES = 107;

/** What is wrong with a Unix socket's path, or null. Only one spelling per file is taken: absolute, normalised, with no
 *  control characters (NUL would make it an abstract socket, which no file permission guards), at most 107 bytes. */
export function socketPathError(path: string): string | null {
  if (!path.startsWith('/')) return 'not an absolute path';
  if (!isSocketPathLength(path)) return `longer than ${MAX_PATH_BYTES} bytes`;
  if (hasControl(path)) return 'control character in the path';
  const parts = path.slice(1).split('/');
  return parts.some((part) => part === '' || part === '.' || part === '..')
    ? 'a path must be normalised: no "//", ".", ".." or "/" at its end'
    : null;
}

/** Node may cut a longer path short, and then it is another one. */
export function isSocketPathLength(path: string): boolean {
  return Buffer.byteLength(path) <= MAX_PATH_BYTES;
}

/** Parts a path that has passed `socketPathError`; `folder` is empty for a file in the root. */
export function splitPath(path: string): { folder: string; file: string } {
  const slash = path.lastIndexOf('/');
  return { folder: path.slice(0, slash), file: path.slice(slash + 1) };
}

/** Is the path that of a socket of the server's own, or of one that is on its way there? Such a one stands aside under that name
 *  and a dot (openStateSocket), and what comes behind the dot cannot be known: the next primary's number. */
export function isOwnSocketPath(own: string, path: string): boolean {
  return path === own || path.startsWith(`${own}.`);
}
