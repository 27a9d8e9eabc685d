/** EXPLAIN: what the server of a config would decide about a login and its requests, and by which line of which file.
 *  Owns nothing. It asks the functions that the server asks, and they name their reasons; nobody is contacted, nothing bound. */
import { networkInterfaces } from 'node:os';
import { addressOf } from '../master/admin/place.js';
import { ownSocketsIn } from '../master/succession.js';
import { formatHostPort, parseHostPort } from '../shared/address.js';
import { adminListenOf } from '../shared/admin_listen.js';
import type { Config, UserConfig } from '../shared/config.js';
import type { BindAddress, Destination } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { systemLookup } from '../worker/forward/resolve.js';
import type { ConfigPlaces, Named } from './config_places.js';
import { explainListen } from './explain_listen.js';
import { type ExplainedLogin, explainLogin, type LoginAsk } from './explain_login.js';
import { explainOpen } from './explain_open.js';
import type { PatternNames } from './explain_said.js';
import { type Decision, type Explained, type ExplainedRequest, no, worst } from './explained.js';
import { grantedBy } from './own_word.js';
import { rightsIn } from './taken.js';

export type AskedFor =
  | { readonly kind: 'open'; readonly target: Destination }
  | { readonly kind: 'listen'; readonly target: BindAddress };

export interface ExplainAsk extends LoginAsk {
  readonly requests: readonly AskedFor[];
  /** Names are looked up: the one thing that this machine asks others. */
  readonly resolve: boolean;
}

/** @param places of the config's keys in its file */
export async function explain(config: Config, places: ConfigPlaces, ask: ExplainAsk): Promise<Explained> {
  const { username, address, atMs, resolve } = ask;
  const granted = grantedBy(config, { verifyPassword: notAsked });
  const login = await explainLogin({ config, granted, places }, ask);
  const rights = rightsIn(granted, login.identity ?? { user: username });
  const isKnown = granted.directory.knows(username);
  const user = granted.directory.user(username) ?? config.defaults;
  const world = {
    names: namesOf(user, places, isKnown ? username : null),
    listeners: await listenersOf(config),
    interfaces: Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address)),
    lookup: resolve ? systemLookup : null,
  };
  const requests: ExplainedRequest[] = [];
  for (const { kind, target } of ask.requests) {
    const decide = (): Promise<Decision> =>
      rights === undefined
        ? Promise.resolve(NOTHING)
        : kind === 'open'
          ? explainOpen(target, { ...world, rights })
          : explainListen(target, { ...world, rights });
    const limits = { limits: user.limits, named: places.ofUser(isKnown ? username : null, 'limits') };
    const decision = within(limits, kind, await decide());
    requests.push({ kind, target: textOf(target), ...behind(login, decision) });
  }
  const { identity: _, ...told } = login;
  return {
    user: username,
    from: address,
    at: new Date(atMs).toISOString(),
    handler: config.handler,
    login: told,
    requests,
    outcome: worst([login, ...requests].map(({ outcome }) => outcome)),
  };
}

const NOTHING: Decision = { outcome: 'refused', code: null, conditions: [] };

async function notAsked(): Promise<never> {
  throw new Error('no password is checked here');
}

/** Nobody who is not logged in is heard; and what a webhook or a password decides about the login it decides about all. */
function behind(login: ExplainedLogin, decision: Decision): Decision {
  if (login.outcome !== 'refused') return decision;
  const conditions = [no(null, 'the login is refused'), ...decision.conditions];
  return { outcome: 'refused', code: login.code, conditions };
}

/** A limit of 0 refuses the first already; others are counted by the server that runs. */
function within(
  { limits, named }: Pick<UserConfig, 'limits'> & { readonly named: Named },
  kind: AskedFor['kind'],
  decision: Decision,
): Decision {
  const limit = kind === 'open' ? 'channels' : 'forwards';
  if (limits[limit] > 0 || decision.outcome === 'refused') return decision;
  const condition = no(named.where, `${named.name}: ${limit}: 0`);
  const code = kind === 'open' ? 'CHANNEL_LIMIT' : 'FORWARD_LIMIT';
  return { outcome: 'refused', code, conditions: [...decision.conditions, condition] };
}

function namesOf(
  user: Pick<UserConfig, 'permitOpen' | 'permitListen'>,
  places: ConfigPlaces,
  username: string | null,
): PatternNames {
  return {
    pattern(list, index) {
      if (index === null) return { ...places.ofUser(username, list), text: user[list].join(' ') || 'empty' };
      return { ...places.ofUser(username, list, index), text: user[list][index] ?? '' };
    },
  };
}

/** As far as the config tells: a port that the kernel chose is known to the server that runs alone. */
async function listenersOf({ listen, stateDir, admin }: Config): Promise<readonly ListenerAddress[]> {
  const tcp = listen.flatMap((entry): ListenerAddress[] => {
    const parsed = parseHostPort(entry.address);
    return parsed === null || parsed.port === 0 ? [] : [{ kind: 'tcp', address: parsed.host, port: parsed.port }];
  });
  const place = admin.enabled ? await addressOf(adminListenOf(admin.listen, stateDir)) : null;
  return [...tcp, ...(await ownSocketsIn(stateDir)), ...(place === null ? [] : [place])];
}

function textOf(target: Destination | BindAddress): string {
  return target.kind === 'unix' ? target.path : formatHostPort(target.host, target.port);
}
