/** EXAMPLE: one program of examples/ as its reader starts it, from the build, on a port from the kernel.
 *  Owns the process and its folder. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { EventLog } from './events.js';
import { projectRoot } from './paths.js';
import { type Running, start } from './process.js';
import { endpointOf, type Login, makeLogin, type SshEndpoint } from './server.js';
import { HOST, sshConfig } from './ssh.js';
import { tempDir } from './temp.js';

export interface Example extends SshEndpoint {
  readonly program: Running;
  /** Its log; empty where the example has none at this level. */
  readonly events: EventLog;
}

/** Starts build/examples/NAME.js with port 0 before `args`, in a folder that has a copy of examples/ in it. */
export async function startExample(t: Test, name: string, args: readonly string[] = []): Promise<Example> {
  const cwd = tempDir(t);
  cpSync(join(projectRoot, 'examples'), join(cwd, 'examples'), { recursive: true });
  const entry = fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url));
  const program = start(t, process.execPath, [entry, '0', ...args], { cwd });
  const [, logged, host, port] = await program.waitFor(
    /"event":"server.listening","address":"([^"]+)"|listening on .*address: '([^']+)', port: (\d+)/,
  );
  const at = endpointOf(logged ?? `${host}:${port}`);
  return { ...at, program, events: new EventLog(program) };
}

/** The text of examples/FILE. */
export function examplePath(file: string): string {
  return join(projectRoot, 'examples', file);
}

/** A login of this name with a key that nobody has seen before. */
export async function freshLogin(t: Test, name: string): Promise<Login> {
  return await makeLogin(t, tempDir(t), name);
}

const BY_PASSWORD = ['-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1', '-o', 'PubkeyAuthentication=no'];

/** Starts `ssh -N SPECS` with a password; wait for `Entering interactive session`, or for its end. */
export function tunnelByPassword(
  t: Test,
  server: SshEndpoint,
  name: string,
  password: string,
  specs: readonly string[] = [],
): Running {
  const login: Login = { name, keyFile: '/nonexistent' };
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login }]);
  return start(t, 'sshpass', ['-p', password, 'ssh', '-F', config, ...BY_PASSWORD, '-v', '-N', ...specs, HOST]);
}
