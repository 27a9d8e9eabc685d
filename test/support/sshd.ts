/** SSHD: OpenSSH's own server as the machine behind a jump. Owns the process and its folder. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { start } from './process.js';
import { pathOf } from './programs.js';
import { type Login, makeLogin, type SshEndpoint } from './server.js';
import { freePort } from './targets.js';
import { tempDir } from './temp.js';

export interface Sshd extends SshEndpoint {
  /** The user who runs the tests; sshd without root's rights could let in nobody else. */
  readonly login: Login;
}

/** Root's sshd wants this folder, which a package's boot script makes and a container does not run. */
const PRIVILEGE_SEPARATION_DIR = '/run/sshd';

/** @param options.authorizedKeysFile who may log in besides the key made here
 *  @param options.lines more of its config */
export async function startSshd(
  t: Test,
  options: { readonly authorizedKeysFile?: string; readonly lines?: readonly string[] } = {},
): Promise<Sshd> {
  const dir = tempDir(t);
  const { keyFile: hostKey } = await makeLogin(t, dir, 'host', 'host_key');
  const { keyFile } = await makeLogin(t, dir, 'login');
  chmodSync(hostKey, 0o600);
  if (userInfo().uid === 0) mkdirSync(PRIVILEGE_SEPARATION_DIR, { recursive: true, mode: 0o755 });
  const sshd = pathOf('sshd') ?? 'sshd';
  // sshd cannot be told to take any port, and another program may take ours before it: hence the tries.
  for (let triesLeft = 3; ; triesLeft -= 1) {
    const port = await freePort();
    const config = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${keyFile}.pub ${options.authorizedKeysFile ?? ''}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'MaxStartups 100',
      'Subsystem sftp internal-sftp',
      ...(options.lines ?? []),
    ];
    const file = join(dir, 'sshd_config');
    writeFileSync(file, `${config.join('\n')}\n`);
    const running = start(t, sshd, ['-D', '-e', '-f', file]);
    try {
      await running.waitFor(/Server listening on/);
      return { host: '127.0.0.1', port, login: { name: userInfo().username, keyFile } };
    } catch (error) {
      if (triesLeft <= 1 || !running.stderr.includes('Address already in use')) throw error;
    }
  }
}
