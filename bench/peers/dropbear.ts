/** DROPBEAR: the small server of routers and rescue systems; Debian's dropbear-bin. It reads authorized_keys from its
 *  user's home only, so it runs in a mount namespace of its own, in which /etc/passwd is a copy with one more user: no
 *  home of this machine is touched, and the namespace is gone with the process. It forks a process per connection.
 *  Compiled in: 5 unauthenticated connections per address, 30 in all, 1000 channels. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Child, freePort } from '../support/child.js';
import { answerOf, run } from '../support/program.js';
import type { Peer } from '../types.js';

const DROPBEAR = '/usr/sbin/dropbear';
const CONVERT = '/usr/bin/dropbearconvert';
const USER = 'sallyport-bench';
/** OpenSSH's. Dropbear's own default of 24 KiB, made for small memories, would be what is measured. */
const WINDOW_BYTES = 2 * 1024 * 1024;
/** `exec` at each step: the process that is started is the one that serves. */
const IN_OWN_NAMESPACE = 'mount --bind "$1" /etc/passwd && shift && exec "$@"';

export const dropbear: Peer = {
  name: 'dropbear',
  ciphers: ['chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr'],
  lacks: ['shared-process', 'logins-at-once'],

  async probe() {
    for (const file of [DROPBEAR, CONVERT])
      if (!existsSync(file)) return { found: false, why: `${file} is not installed (Debian: dropbear-bin)` };
    if (userInfo().uid !== 0)
      return { found: false, why: 'only root can give dropbear a home of its own (unshare and mount)' };
    try {
      await run('unshare', ['--mount', 'mount', '--bind', '/etc/passwd', '/etc/passwd']);
    } catch {
      return { found: false, why: 'this machine allows no mount namespace (unshare --mount): dropbear needs a home' };
    }
    return { found: true, version: (await answerOf(DROPBEAR, ['-V'])) ?? 'dropbear of unknown version' };
  },

  async start({ dir, authorizedKeysFile, hostKeyFile }) {
    const hostKey = join(dir, 'host_key');
    await run(CONVERT, ['openssh', 'dropbear', hostKeyFile, hostKey]);
    const passwd = join(dir, 'passwd');
    writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8').trimEnd()}\n${USER}:x:0:0::${dir}:/bin/sh\n`);
    mkdirSync(join(dir, '.ssh'), { mode: 0o700 });
    copyFileSync(authorizedKeysFile, join(dir, '.ssh/authorized_keys'));
    const port = await freePort();
    const child = new Child('unshare', [
      ...['--mount', 'sh', '-c', IN_OWN_NAMESPACE, 'sh', passwd],
      ...[DROPBEAR, '-F', '-E', '-s', '-m', '-a', '-P', join(dir, 'pid'), '-W', String(WINDOW_BYTES)],
      ...['-r', hostKey, '-p', `127.0.0.1:${port}`],
    ]);
    await child.listening(port);
    return { host: '127.0.0.1', port, user: USER, roots: [child.pid], stop: () => child.stop() };
  },
};
