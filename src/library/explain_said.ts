/** EXPLAIN SAID: a condition of the policy in words: which pattern, which option, where it stands.
 *  Owns nothing. */
import { formatHostPort } from '../shared/address.js';
import type { Verdict } from '../shared/errors.js';
import type { KeyPermit } from '../shared/key_permit.js';
import type { KeyNarrowing, Said } from '../worker/policy.js';
import type { Named } from './config_places.js';
import type { Condition } from './explained.js';

/** The user's patterns as they are written. */
export interface PatternNames {
  /** @param index null for the whole list */
  pattern(list: 'permitOpen' | 'permitListen', index: number | null): Named & { readonly text: string };
}

/** @param covering of `patterns`, the one that says yes
 *  @param because what more there is to say to a no */
export function byPatterns<P>(
  list: 'permitOpen' | 'permitListen',
  { by, verdict }: Said,
  covering: P | undefined,
  patterns: readonly P[],
  because: string | null,
  names: PatternNames,
): Condition {
  const outcome = verdict.allow ? 'allowed' : 'refused';
  if (by !== null)
    return { outcome, where: by.where, says: `its ${list} ${verdict.allow ? 'covers' : 'does not cover'} it` };
  const index = covering === undefined ? null : patterns.indexOf(covering);
  const { where, name, text } = names.pattern(list, index);
  if (verdict.allow) return { outcome, where, says: `${name}: ${text}` };
  const why =
    because ?? (verdict.code === 'BAD_ADDRESS' ? 'that is nothing to be asked for' : 'none of them covers it');
  return { outcome, where, says: `${name}: ${why}: ${text}` };
}

/** @param permit of `permits`, the one that says yes */
export function byKey(
  option: 'permitopen' | 'permitlisten',
  { where, portForwarding }: KeyNarrowing,
  verdict: Verdict,
  permits: readonly KeyPermit[] | null,
  permit: KeyPermit | undefined,
): Condition {
  const outcome = verdict.allow ? 'allowed' : 'refused';
  if (!portForwarding) return { outcome, where, says: 'no port forwarding' };
  if (permits === null) return { outcome, where, says: `forwards as the user may, without ${option}` };
  if (permit !== undefined) return { outcome, where, says: written(option, permit) };
  const all = permits.map((each) => written(option, each)).join(',');
  return { outcome, where, says: `none of them covers it: ${all}` };
}

function written(option: string, { host, port }: KeyPermit): string {
  const text = port === 'any' ? formatHostPort(host, 0).replace(/0$/, '*') : formatHostPort(host, port);
  return `${option}="${text}"`;
}
