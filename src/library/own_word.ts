/** OWN WORD: what a config says of a login by itself: the users, their rules, and what there is for a key.
 *  Owns nothing. The server asks it, and `explain`: one verdict for both. */
import type { Config } from '../shared/config.js';
import type { Identity, PublicKeyInfo } from '../shared/identity.js';
import type { Asker } from '../worker/auth/asking.js';
import { Directory, type DirectoryOptions } from '../worker/auth/directory.js';
import { withGrant } from '../worker/auth/grant.js';
import type { LoginRefused } from '../worker/auth/hooks.js';
import { keyLogin } from '../worker/auth/key_login.js';
import { Rules } from './rules.js';
import type { Granted } from './taken.js';

/** What the config says of a credential. `open`: nothing, the webhook decides. */
export type OwnWord =
  | { readonly kind: 'yes'; readonly identity: Identity }
  | { readonly kind: 'no'; readonly refusal?: LoginRefused }
  | { readonly kind: 'open' };

/** The users of a config, and where it has a webhook what it gives to those whom it does not know. */
export function grantedBy(
  config: Config,
  { verifyPassword, keyLines }: Pick<DirectoryOptions, 'verifyPassword' | 'keyLines'>,
): Granted {
  const hasWebhook = config.auth.webhook.url !== null;
  return {
    directory: new Directory({
      users: config.users,
      trustedCas: config.auth.trustedUserCAKeys,
      others: hasWebhook ? { ...config.defaults, name: '' } : undefined, // nobody's name
      ...{ verifyPassword, keyLines },
    }),
    rules: new Map(config.users.map((user) => [user.name, new Rules(user)])),
    methods: config.auth.methods,
    webhookUrl: config.auth.webhook.url,
    endExpired: config.auth.endExpired,
    othersRules: hasWebhook ? new Rules(config.defaults) : undefined,
  };
}

/** Of a key or a certificate. @param soFar what the methods before gave */
export function keyWord(directory: Directory, key: PublicKeyInfo, asker: Asker, soFar: Identity | null): OwnWord {
  const { username } = asker;
  const login = keyLogin(directory, key, asker);
  if (login.kind === 'no') return login;
  // A certificate whose CA nobody trusts is refused here: a service that looks at its key alone would let it in past its end.
  if (login.kind === 'unknown')
    return key.certificate === undefined ? unknownWord(directory, username) : { kind: 'no' };
  const { fingerprint, grant } = login;
  return yesWord(withGrant({ ...(soFar ?? { user: username }), fingerprint }, grant));
}

export function yesWord(identity: Identity): OwnWord {
  return { kind: 'yes', identity };
}

/** Of a credential that the config does not know. */
export function unknownWord(directory: Directory | undefined, username: string): OwnWord {
  return { kind: directory?.leavesOpen(username) === true ? 'open' : 'no' };
}
