/** PEERS: all servers that a run may measure, in the order of the tables. Owns nothing. */
import type { Peer } from '../types.js';
import { openssh } from './openssh.js';
import { OWN_ROOT, sallyport } from './sallyport.js';

export const PEERS: readonly Peer[] = [sallyport('sallyport', OWN_ROOT), openssh];
