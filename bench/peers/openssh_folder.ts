/** OPENSSH IN A FOLDER: a newer sshd than this machine's, in a root file system of its own. */
import type { Peer } from '../types.js';
import { openssh } from './openssh.js';

export function opensshIn(root: string): Peer {
  return {
    ...openssh,
    name: 'openssh-new',
    probe: async () => ({ found: false, why: `${root} cannot be entered yet` }),
  };
}
