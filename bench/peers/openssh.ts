/** OPENSSH: Debian's sshd, the one that everybody compares with. Root's sshd forks for privilege separation as in
 *  production; PAM and passwords are off, so that a login is what its key costs. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Child, freePort } from '../support/child.js';
import { answerOf } from '../support/program.js';
import type { Peer } from '../types.js';

const SSHD = '/usr/sbin/sshd';
/** Root's sshd wants this folder, which a package's boot script makes and a container does not run. */
const PRIVILEGE_SEPARATION_DIR = '/run/sshd';

export const openssh: Peer = {
  name: 'openssh',
  ciphers: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ],
  lacks: ['shared-process'],

  async probe() {
    if (!existsSync(SSHD)) return { found: false, why: `${SSHD} is not installed (Debian: openssh-server)` };
    const version = opensshVersion(await answerOf(SSHD, ['-V']));
    return version === null ? { found: false, why: `${SSHD} does not run` } : { found: true, version };
  },

  async start({ dir, authorizedKeysFile, hostKeyFile }) {
    if (userInfo().uid === 0) mkdirSync(PRIVILEGE_SEPARATION_DIR, { recursive: true, mode: 0o755 });
    const port = await freePort();
    const configFile = join(dir, 'sshd_config');
    const config = sshdConfig({ port, authorizedKeysFile, hostKeyFile });
    writeFileSync(configFile, config);
    const child = new Child(SSHD, ['-D', '-e', '-f', configFile]);
    await child.listening(port);
    return { host: '127.0.0.1', port, user: userInfo().username, roots: [child.pid], config, stop: () => child.stop() };
  },
};

/** Of what `sshd -V` says. An sshd before 9.3 does not know -V and tells its version all the same. */
export function opensshVersion(answer: string | null): string | null {
  return /OpenSSH_.*/.exec(answer ?? '')?.[0] ?? null;
}

/** Limits are lifted where they would measure themselves. */
export function sshdConfig(options: { port: number; authorizedKeysFile: string; hostKeyFile: string }): string {
  const lines = [
    `ListenAddress 127.0.0.1:${options.port}`,
    `HostKey ${options.hostKeyFile}`,
    `AuthorizedKeysFile ${options.authorizedKeysFile}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'MaxStartups 20000',
    'MaxSessions 2000',
    'GatewayPorts clientspecified',
    'LogLevel ERROR',
  ];
  return `${lines.join('\n')}\n`;
}
