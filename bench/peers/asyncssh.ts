/** ASYNCSSH: the Python server on asyncio; Debian's python3-asyncssh. Of 2.10: after a half-close on a remote
 *  forward the answer is lost; on a local one it arrives. */
import type { Peer } from '../types.js';
import { probePython, startPython } from './python.js';

export const asyncssh: Peer = {
  name: 'asyncssh',
  ciphers: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ],
  lacks: ['chosen-port'],
  probe: () => probePython('asyncssh'),
  start: (options) => startPython('asyncssh', 'asyncssh_server.py', options),
};
