/** FORWARDS: the addresses and paths that users have bound by -R. */
import type { ForwardView } from '../../shared/admin.js';
import { KeyedList, make, need, type Part, setAttribute, setHidden, setText } from '../dom.js';
import { bytes, count, duration } from '../format.js';
import type { State } from '../state.js';

/** As many rows as are drawn; the count says how many there are. */
const SHOWN = 1_000;

export function forwardsView(): (state: State) => void {
  const list = new KeyedList<ForwardView>(
    need('forwards-body', HTMLTableSectionElement),
    ({ conn, kind, destination }) => `${conn} ${kind} ${destination}`,
    forwardRow,
  );
  return ({ details }) => {
    if (details === undefined) return;
    const { total, forwards } = details.forwards;
    list.update(forwards.slice(0, SHOWN));
    setHidden(need('forwards-empty', HTMLParagraphElement), total > 0);
    const words = total > SHOWN ? `the first ${count(SHOWN)} of ${count(total)}` : count(total);
    setText(need('forwards-count', HTMLParagraphElement), total === 0 ? '' : words);
  };
}

function forwardRow(): Part<ForwardView> {
  const [destination, user] = [make('bdi', 'place'), make('bdi', '')];
  const [visitors, moved] = [make('td', 'end number'), make('td', 'end number')];
  const address = make('th', '', destination);
  address.scope = 'row';
  const element = make('tr', '', address, make('td', '', user), visitors, moved);
  return {
    element,
    update: (forward) => {
      setText(destination, forward.destination);
      setText(user, forward.user);
      setText(visitors, count(forward.channels));
      setText(moved, bytes(forward.bytesIn + forward.bytesOut));
      setAttribute(
        address,
        'title',
        `connection ${forward.conn}, worker ${forward.worker}, for ${duration(forward.ageMs)}`,
      );
    },
  };
}
