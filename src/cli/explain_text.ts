/** EXPLAIN TEXT: what `explain` prints for people.
 *  Owns nothing. Pure. */
import type { Condition, Decision, Explained } from '../library/explained.js';
import { safeText } from '../shared/log.js';

/** Longest line of a condition; a list of patterns may be longer than anybody reads. */
const MAX_LINE = 400;
const MARKS: { readonly [outcome in Condition['outcome']]: string } = {
  allowed: 'yes',
  refused: 'no ',
  depends: '?  ',
  ignored: '-  ',
};

export function explainText(explained: Explained): string {
  const { user, from, at, handler, login, requests } = explained;
  return [
    `${safeText(user)} from ${from} at ${at}`,
    ...(handler === null ? [] : [`${handler} decides: what follows is what the config says without it`]),
    ...decisionLines('login', login),
    ...requests.flatMap(({ kind, target, ...decision }) => decisionLines(`${kind} ${safeText(target)}`, decision)),
    '',
  ].join('\n');
}

function decisionLines(what: string, { outcome, code, conditions }: Decision): readonly string[] {
  const reason = code === null ? '' : ` (${code})`;
  return [`${what}: ${outcome}${reason}`, ...conditions.map(conditionLine)];
}

function conditionLine({ outcome, where, says, address }: Condition): string {
  const place = where === null ? '' : `${where}: `;
  const of = address === undefined ? '' : `${address}: `;
  return `  ${MARKS[outcome]} ${safeText(`${of}${place}${says}`, MAX_LINE)}`;
}
