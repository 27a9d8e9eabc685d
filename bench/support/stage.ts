/** STAGE: keys, folders and known_hosts that all servers of a run share. Owns a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StartOptions } from '../types.js';

export class Stage {
  readonly dir: string;
  readonly identityFile: string;
  readonly knownHostsFile: string;
  readonly #hostKeyFile: string;
  #folders = 0;

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
    this.identityFile = this.#makeKey('id_ed25519');
    this.#hostKeyFile = this.#makeKey('ssh_host_ed25519_key');
    this.knownHostsFile = join(this.dir, 'known_hosts');
    const [type, blob] = readFileSync(`${this.#hostKeyFile}.pub`, 'utf8').split(' ');
    writeFileSync(this.knownHostsFile, `bench ${type} ${blob}\n`);
  }

  /** What one server is started with. */
  startOptions(workers: number): StartOptions {
    const dir = join(this.dir, `server-${this.#folders++}`);
    mkdirSync(dir);
    return { dir, workers, authorizedKeysFile: `${this.identityFile}.pub`, hostKeyFile: this.#hostKeyFile };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  #makeKey(name: string): string {
    const file = join(this.dir, name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
    return file;
  }
}
