/** OWN SERVER: the small servers written here on foreign libraries. They all take the same three arguments and say
 *  READY. Owns nothing. */
import { fileURLToPath } from 'node:url';
import { Child, freePort } from '../support/child.js';
import type { RunningServer, StartOptions } from '../types.js';

/** They let in whoever has the key, under any name. */
const USER = 'bench';

/** Runs `command [...args] PORT HOST_KEY_FILE AUTHORIZED_KEYS_FILE`. */
export async function startOwn(
  command: string,
  args: readonly string[],
  { dir, hostKeyFile, authorizedKeysFile }: StartOptions,
): Promise<RunningServer> {
  const port = await freePort();
  const child = new Child(command, [...args, String(port), hostKeyFile, authorizedKeysFile], { cwd: dir });
  await child.says('READY');
  return { host: '127.0.0.1', port, user: USER, roots: [child.pid], stop: () => child.stop() };
}

/** A file of this folder that the compiler does not copy into the build. */
export function besideSource(name: string): string {
  return fileURLToPath(new URL(`../../../bench/peers/${name}`, import.meta.url));
}
