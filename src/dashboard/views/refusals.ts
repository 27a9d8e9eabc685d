/** REFUSALS: who was refused what, and why, in words; and how often each reason has occurred. */
import { type RefusalReason, type RefusalRow, refusalReasons, refusalRows } from '../derive.js';
import { KeyedList, make, need, type Part, setAttribute, setHidden, setText } from '../dom.js';
import { clock, count } from '../format.js';
import type { State } from '../state.js';
import { why } from '../words.js';

export function refusalsView(): (state: State) => void {
  const rows = new KeyedList<RefusalRow>(need('refusals-body', HTMLTableSectionElement), ({ key }) => key, refusalRow);
  const reasons = new KeyedList<RefusalReason>(
    need('refusals-reasons', HTMLUListElement),
    ({ reason }) => reason,
    reasonItem,
  );
  let shown: State['details'];
  return ({ details, status }) => {
    const counted = refusalReasons(status?.refusals ?? []);
    reasons.update(counted);
    setHidden(need('refusals-reasons', HTMLUListElement), counted.length === 0);
    if (details === undefined || details === shown) return;
    shown = details;
    const refusals = refusalRows(details.refusals.refusals);
    rows.update(refusals);
    setHidden(need('refusals-empty', HTMLParagraphElement), refusals.length > 0);
    const words = refusals.length === 0 ? '' : `the latest ${count(refusals.length)}`;
    setText(need('refusals-count', HTMLParagraphElement), words);
  };
}

function reasonItem(): Part<RefusalReason> {
  const [words, times] = [make('span', ''), make('b', 'number')];
  const element = make('li', '', times, ' ', words);
  return {
    element,
    update: (reason) => {
      setText(words, why(reason.reason));
      setText(times, count(reason.count));
      setAttribute(element, 'title', reason.reason);
    },
  };
}

const WHO: { readonly [kind in RefusalRow['kind']]: string } = { user: 'user', address: 'place', several: 'muted' };

/** An event never changes: the row is written once. */
function refusalRow(row: RefusalRow): Part<RefusalRow> {
  const reason = make('td', '', row.why);
  if (row.detail !== undefined) reason.append(' ', make('span', 'small muted', row.detail));
  reason.title = row.code;
  const who = make('th', WHO[row.kind], make('bdi', '', row.who));
  who.scope = 'row';
  const time = make('time', '', clock(row.unixMs));
  time.dateTime = new Date(row.unixMs).toISOString();
  const element = make(
    'tr',
    '',
    make('td', 'number muted', time),
    who,
    make('td', '', make('bdi', '', row.what)),
    reason,
  );
  return { element, update: () => {} };
}
