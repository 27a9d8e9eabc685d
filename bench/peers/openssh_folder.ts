/** OPENSSH IN A FOLDER: a newer sshd than this machine's, in a root file system that debootstrap unpacked, run by
 *  chroot. Owns a temporary folder inside that root while the server runs. Nothing is mounted; the network is
 *  shared. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Child, freePort } from '../support/child.js';
import { answerOf } from '../support/program.js';
import type { Found, Peer } from '../types.js';
import { openssh, opensshVersion, sshdConfig } from './openssh.js';

const SSHD = '/usr/sbin/sshd';
const PRIVILEGE_SEPARATION_DIR = '/run/sshd';

/** @param root such as debootstrap makes with `--include=openssh-server` */
export function opensshIn(root: string): Peer {
  return {
    name: 'openssh-new',
    ciphers: openssh.ciphers,
    lacks: openssh.lacks ?? [],
    probe: () => probe(root),

    async start({ authorizedKeysFile, hostKeyFile }) {
      mkdirSync(join(root, PRIVILEGE_SEPARATION_DIR), { recursive: true, mode: 0o755 });
      const port = await freePort();
      const outside = mkdtempSync(join(root, 'tmp/sallyport-bench-'));
      const inside = outside.slice(root.length);
      const remove = (): void => rmSync(outside, { recursive: true, force: true });
      try {
        copyFileSync(hostKeyFile, join(outside, 'host_key'));
        copyFileSync(authorizedKeysFile, join(outside, 'authorized_keys'));
        const config = sshdConfig({
          port,
          authorizedKeysFile: join(inside, 'authorized_keys'),
          hostKeyFile: join(inside, 'host_key'),
        });
        // Since 9.8 an address that breaks off logins is shut out for a while. Here all connections have the same one.
        writeFileSync(join(outside, 'sshd_config'), `${config}PerSourcePenalties no\n`);
        const child = new Child('chroot', [root, SSHD, '-D', '-e', '-f', join(inside, 'sshd_config')]);
        await child.listening(port);
        const stop = (): Promise<void> => child.stop().finally(remove);
        return { host: '127.0.0.1', port, user: userInfo().username, roots: [child.pid], stop };
      } catch (error) {
        remove();
        throw error;
      }
    },
  };
}

async function probe(root: string): Promise<Found> {
  if (!existsSync(join(root, SSHD)))
    return { found: false, why: `no ${SSHD} in ${root} (debootstrap --include=openssh-server SUITE ${root})` };
  if (userInfo().uid !== 0) return { found: false, why: 'only root can chroot' };
  if (!isDevice(join(root, 'dev/null')))
    return { found: false, why: `${join(root, 'dev/null')} is no device: unpack the root file system as root` };
  const answer = await answerOf('chroot', [root, SSHD, '-V']);
  const version = opensshVersion(answer);
  return version === null
    ? { found: false, why: `sshd in ${root} does not run: ${answer ?? 'no chroot'}` }
    : { found: true, version };
}

function isDevice(file: string): boolean {
  return existsSync(file) && statSync(file).isCharacterDevice();
}
