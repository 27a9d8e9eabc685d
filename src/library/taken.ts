/** TAKEN: what a config gave and the one after it does not give any more.
 *  Owns nothing. What is not of the config, such as a user whom a hook lets in, is none of it and is never taken. */
import type { Address } from '../shared/address.js';
import type { AuthChain, BindAddress, Destination, Identity } from '../shared/identity.js';
import type { Directory } from '../worker/auth/directory.js';
import { earlier, GRANT, type GrantedIdentity, grantOf } from '../worker/auth/grant.js';
import { hookedOf } from '../worker/auth/hooked.js';
import { type KeyNarrowing, mayListen, mayStayOpen, type Narrowing, type Rights } from '../worker/policy.js';
import type { Taken } from '../worker/server.js';
import { type Rules, rightsOf } from './rules.js';

/** The users of one config. */
export interface Granted {
  readonly directory: Directory;
  /** By user name. */
  readonly rules: ReadonlyMap<string, Rules>;
  /** Of whom a webhook lets in beside the users, where there is one. */
  readonly othersRules?: Rules | undefined;
  /** `auth.methods`. */
  readonly methods: readonly AuthChain[];
  /** Of `auth.webhook`; null: there is none. */
  readonly webhookUrl: string | null;
  /** `auth.endExpired`. */
  readonly endExpired: boolean;
}

const NEVER_MS = Number.POSITIVE_INFINITY;

export const NOTHING_TAKEN: Taken = {
  login: () => false,
  logins: { methods: false, proofs: false },
  name: () => false,
  ends: () => ({ beforeMs: NEVER_MS, nowMs: NEVER_MS }),
  open: () => false,
  bind: () => false,
};

/** A password is another one when its hash is: only the hash is known.
 *  @param nowMs wall clock */
export function takenBetween(before: Granted, now: Granted, nowMs: number): Taken {
  const lost = (identity: Identity, covers: (rights: Rights) => boolean): boolean => {
    const [had, has] = [before, now].map((granted) => rightsIn(granted, identity));
    return had !== undefined && covers(had) && !(has !== undefined && covers(has));
  };
  return {
    login(step, { address }) {
      const behind = before.directory.behind(step);
      if (behind === null) return false;
      if (now.directory.behind(step) !== behind) return true;
      // An expiry that comes by itself is none of a reload's: then neither lets it in.
      const asking = { address, nowMs };
      return before.directory.letsIn(step, asking) && !now.directory.letsIn(step, asking);
    },
    logins: {
      methods: areOthers(before.methods, now.methods),
      proofs: now.webhookUrl !== null && now.webhookUrl !== before.webhookUrl,
    },
    name(identity) {
      const { named, username } = hookedOf(identity) ?? NOT_HOOKED;
      if (named !== identity.user || named === username) return false; // a name that an override has given is its own affair
      return now.directory.knows(named);
    },
    ends: (identity) => ({ beforeMs: endIn(before, identity), nowMs: endIn(now, identity) }),
    open: (identity: Identity, destination: Destination, address: Address | null) =>
      lost(identity, (rights) => mayStayOpen(rights, destination, address)),
    bind: (identity: Identity, bind: BindAddress) => lost(identity, (rights) => mayListen(rights, bind).allow),
  };
}

/** Are these other ways in? */
export function areOthers(before: readonly AuthChain[], now: readonly AuthChain[]): boolean {
  return before.length !== now.length || before.some((chain, at) => chain !== now[at]);
}

const NOT_HOOKED = { named: null, username: '' };

/** When the session of an identity ends by what the config says: `auth.endExpired` and the lines of its keys as they stand in it, and the
 *  time that a webhook has given. Wall clock; Infinity: never. */
export function endIn({ directory, endExpired }: Granted, identity: Identity): number {
  const hookedMs = hookedOf(identity)?.expiresAtMs ?? null;
  return earlier(hookedMs, endExpired ? expiryIn(directory, identity) : null) ?? NEVER_MS;
}

function expiryIn(directory: Directory, identity: GrantedIdentity): number | null {
  const { narrowings, expiresAtMs } = grantOf(identity);
  const lines = narrowings.flatMap((narrowing) => (narrowing.kind === 'key' ? (narrowing.line ?? []) : []));
  return lines.length === 0 ? expiresAtMs : lines.map((line) => directory.expiry(line)).reduce(earlier, null);
}

/** What the config gives an identity, less what its login takes away; undefined for a user that it does not know. */
export function rightsIn(granted: Granted, identity: Identity): Rights | undefined {
  const own = rulesIn(granted, identity);
  return own === undefined ? undefined : { ...rightsOf(own), narrowings: narrowingsIn(granted.directory, identity) };
}

/** The rules of the config for an identity: of the name that was given at the login, whatever name a webhook has given it. */
export function rulesIn({ rules, othersRules }: Granted, identity: Identity): Rules | undefined {
  const hooked = hookedOf(identity);
  if (hooked === null) return rules.get(identity.user);
  return rules.get(hooked.username) ?? othersRules;
}

/** What narrows an identity's rights. The options of a key of the config hold as its line has them now, and not as it had them at
 *  the login. */
export function narrowingsIn(directory: Directory, identity: GrantedIdentity): readonly Narrowing[] {
  const { user, fingerprint, [GRANT]: grant } = identity;
  // An override may have made a plain yes of the answer that carried the grant.
  if (grant === undefined) return fingerprint === undefined ? [] : directory.narrowings(user, fingerprint);
  return grant.narrowings.map((narrowing) => {
    const line = narrowing.kind === 'key' ? narrowing.line : undefined;
    return line === undefined ? narrowing : (directory.narrowing(line) ?? gone(narrowing.where));
  });
}

/** Of a line that is there no longer: its connection is about to be ended. */
function gone(where: string): KeyNarrowing {
  return { kind: 'key', portForwarding: false, permitOpen: [], permitListen: [], where: `${where}, which is gone` };
}
