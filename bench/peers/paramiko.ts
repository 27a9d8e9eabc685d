/** PARAMIKO: a server in the manner of the Python class that Sallyport succeeds; Debian's python3-paramiko. It
 *  waits with select(), which knows 1024 descriptors, and uses three a tunnel: beyond some 300 tunnels it drops
 *  them, and has no number there. */
import type { Peer } from '../types.js';
import { probePython, startPython } from './python.js';

export const paramiko: Peer = {
  name: 'paramiko',
  ciphers: ['aes128-ctr', 'aes256-ctr'],
  probe: () => probePython('paramiko'),
  start: (options) => startPython('paramiko', 'paramiko_server.py', options),
};
