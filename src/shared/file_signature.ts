/** FILE SIGNATURE: by what one sees that a file is no longer what it was when it was read.
 *  Owns nothing. */
import type { BigIntStats } from 'node:fs';

/** By path. */
export type WatchedFiles = ReadonlyMap<string, string>;

/** Of one that is not there, or may not be looked at. */
export const UNREADABLE = 'unreadable';

/** Another file in its place has another inode; one that was written or may be read by others has another time. */
export function signatureOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
