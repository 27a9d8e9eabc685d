/** EXPLAIN LISTEN: what the server would say to `-R`, and each condition's part in it.
 *  Owns nothing. Asks policy.ts what the server's hooks ask it, in the same order; nothing is bound. */
import { isOwnPlace } from '../master/ledger.js';
import type { BindAddress } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { permitsListen } from '../shared/key_permit.js';
import { parseBindHost, patternForListen, patternForPath } from '../shared/patterns.js';
import { socketPathError } from '../shared/socket_path.js';
import { listenAddresses } from '../worker/forward/bind.js';
import { SocketPlace } from '../worker/forward/bind_unix.js';
import { bindRanges, mayListen, type Rights, type Said } from '../worker/policy.js';
import { byKey, byPatterns, type PatternNames } from './explain_said.js';
import { type Condition, type Decision, no, yes } from './explained.js';

export interface ListenWorld {
  readonly rights: Rights;
  readonly names: PatternNames;
  /** The server's own. */
  readonly listeners: readonly ListenerAddress[];
}

export async function explainListen(bind: BindAddress, world: ListenWorld): Promise<Decision> {
  const asked = ask(bind, world);
  if (asked.outcome !== 'allowed') return asked;
  return bind.kind === 'unix' ? await explainPath(bind.path, asked, world) : explainPort(bind, asked, world);
}

function ask(bind: BindAddress, { rights, names }: ListenWorld): Decision {
  const heard: Said[] = [];
  const verdict = mayListen(rights, bind, (said) => heard.push(said));
  const conditions = heard.map((said) => conditionOf(said, bind, rights, names));
  if (verdict.allow) return { outcome: 'allowed', code: null, conditions };
  const isHeard = heard.some((said) => !said.verdict.allow);
  const more = isHeard || verdict.detail === undefined ? [] : [no(null, verdict.detail)];
  return { outcome: 'refused', code: verdict.code, conditions: [...conditions, ...more] };
}

function explainPort(
  bind: Extract<BindAddress, { kind: 'tcp' }>,
  { conditions }: Decision,
  { rights, listeners }: ListenWorld,
): Decision {
  const refused = (code: string, condition: Condition): Decision => ({
    outcome: 'refused',
    code,
    conditions: [...conditions, condition],
  });
  if (listenAddresses(parseBindHost(bind.host)) === null)
    return refused('BAD_ADDRESS', no(null, 'a name is not looked up to be bound'));
  if (isOwnPlace(listeners, { kind: 'tcp', port: bind.port }))
    return refused('PORT_TAKEN', no('listen', `port ${bind.port} is the server's own, on every address`));
  if (bind.port !== 0) return { outcome: 'allowed', code: null, conditions };
  const ranges = bindRanges(rights, bind.host).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
  return {
    outcome: 'allowed',
    code: null,
    conditions: [...conditions, yes(null, `a free port of ${ranges.join(',')}`)],
  };
}

/** Where the links of its folder lead counts too. */
async function explainPath(path: string, byText: Decision, world: ListenWorld): Promise<Decision> {
  const refused = (code: string, says: string, where: string | null = null): Decision => ({
    outcome: 'refused',
    code,
    conditions: [...byText.conditions, no(where, says)],
  });
  const place = await SocketPlace.find(path);
  if (place === null) return refused('BIND_FAILED', 'there is no such folder');
  const { realPath, isUsable } = place;
  place.close();
  if (socketPathError(realPath) !== null || !isUsable) return refused('BAD_ADDRESS', `${realPath} is too long`);
  if (isOwnPlace(world.listeners, { kind: 'unix', path: realPath }))
    return refused('PORT_TAKEN', `${realPath} is the server's own`, 'stateDir');
  if (realPath === path) return byText;
  const led = ask({ kind: 'unix', path: realPath }, world);
  return { ...led, conditions: [...byText.conditions, yes(null, `leads to ${realPath}`), ...led.conditions] };
}

function conditionOf(said: Said, bind: BindAddress, rights: Rights, names: PatternNames): Condition {
  const { by, verdict } = said;
  if (by === null || by.kind === 'patterns') {
    const patterns = (by ?? rights).permitListen ?? [];
    const covering =
      bind.kind === 'unix' ? patternForPath(patterns, bind.path) : patternForListen(patterns, bind.host, bind.port);
    return byPatterns('permitListen', said, covering, patterns, null, names);
  }
  const permit =
    bind.kind === 'tcp'
      ? by.permitListen?.find((candidate) => permitsListen(candidate, bind.host, bind.port))
      : undefined;
  return byKey('permitlisten', by, verdict, by.permitListen, permit);
}
