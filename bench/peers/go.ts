/** GO: a server on golang.org/x/crypto/ssh, which sish, chisel and frp are built on. Built from Debian's sources, in
 *  GOPATH mode: nothing is fetched. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { answerOf, run } from '../support/program.js';
import type { Peer } from '../types.js';
import { besideSource, startOwn } from './own_server.js';

const SOURCES = '/usr/share/gocode';
const MAIN = besideSource('go_server/main.go');

export const go: Peer = {
  name: 'go',
  // aes256-gcm came with x/crypto 0.12.
  ciphers: ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr'],

  async probe() {
    if (!existsSync(join(SOURCES, 'src/golang.org/x/crypto/ssh')))
      return { found: false, why: `no x/crypto in ${SOURCES} (Debian: golang-golang-x-crypto-dev)` };
    const goVersion = await answerOf('go', ['env', 'GOVERSION']);
    if (goVersion === null) return { found: false, why: 'go is not installed (Debian: golang-go)' };
    // GOPATH mode knows no versions; the package does.
    const crypto = (await answerOf('dpkg-query', ['--show', 'golang-golang-x-crypto-dev']))?.split('\t')[1];
    return { found: true, version: `x/crypto ${crypto ?? 'of unknown version'}, ${goVersion}` };
  },

  async start(options) {
    return await startOwn(await build(options.dir), [], options);
  },
};

/** Built for each start: some two seconds, and no binary of another run can be mistaken for it. */
async function build(dir: string): Promise<string> {
  const binary = join(dir, 'go_server');
  const cache = join(dir, 'go-cache');
  await run('go', ['build', '-o', binary, MAIN], {
    env: { PATH: process.env.PATH, HOME: dir, GO111MODULE: 'off', GOPATH: SOURCES, GOFLAGS: '', GOCACHE: cache },
  });
  rmSync(cache, { recursive: true });
  return binary;
}
