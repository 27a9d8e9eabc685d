/** SSH2 PIPE: what a Node program does that takes ssh2's Server and pipes. Same Node, same ssh2 as Sallyport's.
 *  After a half-close on a remote forward the answer is lost; on a local one it arrives. */
import { createRequire } from 'node:module';
import type { Peer } from '../types.js';
import { besideSource, startOwn } from './own_server.js';

const SERVER = besideSource('ssh2_pipe_server.js');

export const ssh2Pipe: Peer = {
  name: 'ssh2-pipe',
  ciphers: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ],

  async probe() {
    const { version } = createRequire(import.meta.url)('ssh2/package.json') as { version: string };
    return { found: true, version: `ssh2 ${version} with pipe(), Node ${process.versions.node}` };
  },

  start: (options) => startOwn(process.execPath, [SERVER], options),
};
