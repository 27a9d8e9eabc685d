/** TAKEN: what a config gave and the one after it does not give any more.
 *  Owns nothing. What is not of the config, such as a user whom a hook lets in, is none of it and is never taken. */
import type { Address } from '../shared/address.js';
import type { BindAddress, Destination, Identity } from '../shared/identity.js';
import type { Directory } from '../worker/auth/directory.js';
import { mayListen, mayStayOpen, type Rights } from '../worker/policy.js';
import type { Taken } from '../worker/server.js';
import { type Rules, rightsOf } from './rules.js';

/** The users of one config. */
export interface Granted {
  readonly directory: Directory;
  /** By user name. */
  readonly rules: ReadonlyMap<string, Rules>;
}

export const NOTHING_TAKEN: Taken = { login: () => false, open: () => false, bind: () => false };

/** A password is another one when its hash is: only the hash is known. */
export function takenBetween(before: Granted, now: Granted): Taken {
  const lost = ({ user }: Identity, covers: (rights: Rights) => boolean): boolean => {
    const [had, has] = [before.rules.get(user), now.rules.get(user)];
    return had !== undefined && covers(rightsOf(had)) && !(has !== undefined && covers(rightsOf(has)));
  };
  return {
    login(step) {
      const behind = before.directory.behind(step);
      return behind !== null && now.directory.behind(step) !== behind;
    },
    open: (identity: Identity, destination: Destination, address: Address | null) =>
      lost(identity, (rights) => mayStayOpen(rights, destination, address)),
    bind: (identity: Identity, bind: BindAddress) => lost(identity, (rights) => mayListen(rights, bind).allow),
  };
}
