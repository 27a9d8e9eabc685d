/** PEERS: all servers that a run may measure, in the order of the tables. Owns nothing. */
import type { Peer } from '../types.js';
import { asyncssh } from './asyncssh.js';
import { dropbear } from './dropbear.js';
import { go } from './go.js';
import { openssh } from './openssh.js';
import { paramiko } from './paramiko.js';
import { OWN_ROOT, sallyport } from './sallyport.js';
import { ssh2Pipe } from './ssh2_pipe.js';

export const PEERS: readonly Peer[] = [
  sallyport('sallyport', OWN_ROOT),
  openssh,
  dropbear,
  go,
  asyncssh,
  ssh2Pipe,
  paramiko,
];
