/** EXPLAIN LOGIN: would this user get in, and by what? What a password, a code or a webhook would say is not asked: it stands there
 *  as what it depends on.
 *  Owns nothing. */
import type { Config, UserConfig } from '../shared/config.js';
import type { AuthMethod, Identity } from '../shared/identity.js';
import { isUserName } from '../shared/text.js';
import { AUTH_METHODS } from '../worker/auth/methods.js';
import type { ConfigPlaces } from './config_places.js';
import { asAnswered, type ExplainedKey, explainKey, type KeyAsk, type KeyWorld } from './explain_key.js';
import { asked, type Condition, type Decision, no, type Outcome, worst, yes } from './explained.js';

export interface LoginWorld extends KeyWorld {
  readonly places: ConfigPlaces;
}

export interface LoginAsk extends KeyAsk {
  /** Public keys and certificates in the order in which a client would offer them; none: whatever the user has. */
  readonly blobs: readonly Buffer[];
}

/** `identity`: whose rights count for the requests; null where nobody's do. */
export interface ExplainedLogin extends Decision {
  readonly identity: Identity | null;
}

export async function explainLogin(world: LoginWorld, ask: LoginAsk): Promise<ExplainedLogin> {
  const { config, granted, places } = world;
  const { username } = ask;
  if (!isUserName(username))
    return refused('UNKNOWN_USER', [no(null, 'no name that a user can have: 1 to 255 bytes of printable characters')]);
  const user = granted.directory.user(username);
  const isKnown = granted.directory.knows(username);
  const { where, name } = places.ofUser(username);
  const conditions: Condition[] = [];
  if (isKnown) conditions.push(yes(where, name));
  else if (user === undefined) conditions.push(no(places.of('users').where, `users: there is no ${username}`));
  else
    conditions.push(asked(places.of('auth', 'webhook').where, `users: there is no ${username}: auth.webhook decides`));

  const key = await firstKey(world, ask);
  conditions.push(...(key?.conditions ?? []));
  const method = bestMethod(config, (each) => outcomeBy(each, world, user, key, ask), key !== null);
  if (method === null) {
    if (key === null && user !== undefined)
      conditions.push(no(where, 'has nothing to log in by that auth.methods offers'));
    if (key !== null && key.outcome !== 'refused')
      conditions.push(no(places.of('auth', 'methods').where, `auth.methods: ${config.auth.methods.join(', ')}`));
    return refused(key?.code ?? (user === undefined ? 'UNKNOWN_USER' : 'METHOD_NOT_ALLOWED'), conditions);
  }
  if (method !== 'publickey')
    conditions.push(asked(places.ofUser(username, 'password').where, `${method}: the password would be asked for`));
  else if (key === null) conditions.push(asked(places.ofUser(username, 'authorizedKeys').where, WHICH_KEY));
  if (user !== undefined && user.totp !== null)
    conditions.push(
      asked(places.ofUser(username, 'totp').where, 'totp: a code of the authenticator would be asked for'),
    );
  const identity = key?.identity ?? { user: username };
  const hasWebhook = config.auth.webhook.url !== null;
  if (hasWebhook)
    conditions.push(
      asked(places.of('auth', 'webhook').where, 'auth.webhook: would be asked, has to say yes, and may narrow'),
    );
  if (user !== undefined) conditions.push(limitsOf(user, places, isKnown ? username : null));
  return {
    outcome: worst(conditions.map((condition) => condition.outcome)),
    code: null,
    conditions,
    identity: hasWebhook ? asAnswered(identity, ask) : identity,
  };
}

/** The first that lets in holds, as a client goes on to its next key after a no. Null where none is named. */
async function firstKey(world: LoginWorld, ask: LoginAsk): Promise<ExplainedKey | null> {
  const tried: ExplainedKey[] = [];
  for (const blob of ask.blobs) {
    const key = await explainKey(world, blob, ask);
    tried.push(key);
    if (key.outcome !== 'refused') break;
  }
  const last = tried.at(-1);
  if (last === undefined) return null;
  // What was said to those before one that lets in is no reason for a no any more.
  const before = tried.slice(0, -1).flatMap(({ conditions }) => conditions);
  const passed = last.outcome === 'refused' ? before : before.map((one): Condition => ({ ...one, outcome: 'ignored' }));
  return {
    ...last,
    code: last.code === null ? null : (tried[0]?.code ?? null),
    conditions: [...passed, ...last.conditions],
  };
}

function outcomeBy(
  method: AuthMethod,
  { granted, config }: LoginWorld,
  user: UserConfig | undefined,
  key: ExplainedKey | null,
  { username }: LoginAsk,
): Outcome {
  if (user === undefined) return 'refused';
  if (granted.directory.leavesOpen(username)) return method === 'publickey' && key !== null ? key.outcome : 'depends';
  if (method !== 'publickey') return user.password === null ? 'refused' : 'depends';
  if (key !== null) return key.outcome;
  return user.authorizedKeys.length > 0 || config.auth.trustedUserCAKeys.length > 0 ? 'depends' : 'refused';
}

const WHICH_KEY = 'a key or certificate of the user would be asked for: name it by --key or --certificate';

/** Of those that log in the one that depends on the least, or null.
 *  @param byKey with a key alone */
function bestMethod({ auth }: Config, outcomeOf: (method: AuthMethod) => Outcome, byKey: boolean): AuthMethod | null {
  const methods = byKey ? (['publickey'] as const) : AUTH_METHODS;
  const offered = methods.filter((method) => auth.methods.includes(method));
  const by = (outcome: Outcome): AuthMethod | undefined => offered.find((method) => outcomeOf(method) === outcome);
  return by('allowed') ?? by('depends') ?? null;
}

function limitsOf({ limits }: UserConfig, places: ConfigPlaces, user: string | null): Condition {
  const { where, name } = places.ofUser(user, 'limits');
  const { connections, channels, forwards } = limits;
  return yes(
    where,
    `${name}: at most ${connections} connections, ${channels} channels of each, ${forwards} forwards at a time`,
  );
}

function refused(code: string, conditions: readonly Condition[]): ExplainedLogin {
  return { outcome: 'refused', code, conditions, identity: null };
}
