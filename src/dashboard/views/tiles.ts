/** TILES: the six numbers of a server that one looks at first. */

import type { ServerStatus } from '../../shared/admin.js';
import { latest, throughput } from '../derive.js';
import { make, need, setText } from '../dom.js';
import { bytes, count, rate, some } from '../format.js';
import type { State } from '../state.js';

interface Tile {
  readonly label: string;
  readonly value: (status: ServerStatus, state: State) => string;
  readonly more: (status: ServerStatus) => string;
}

const TILES: readonly Tile[] = [
  {
    label: 'Connections',
    value: ({ connections }) => count(connections),
    more: ({ unauthenticated, waiting }) =>
      [`${count(unauthenticated)} logging in`, ...(waiting > 0 ? [`${count(waiting)} waiting`] : [])].join(', '),
  },
  {
    label: 'Channels',
    value: ({ channels }) => count(channels),
    more: ({ forwards }) => `${some(forwards, 'address', 'addresses')} bound by -R`,
  },
  {
    label: 'From clients',
    value: (_, state) => rate(now(state, 1)),
    more: ({ bytesIn }) => `${bytes(bytesIn)} since the start`,
  },
  {
    label: 'To clients',
    value: (_, state) => rate(now(state, 2)),
    more: ({ bytesOut }) => `${bytes(bytesOut)} since the start`,
  },
  {
    label: 'Queued',
    value: ({ bufferedBytes }) => bytes(bufferedBytes),
    more: ({ workers }) => `in ${some(workers, 'worker')}`,
  },
  {
    label: 'Refused',
    value: ({ refusals }) => count(refusals.reduce((sum, each) => sum + each.count, 0)),
    more: ({ penalisedSources }) => `${some(penalisedSources, 'source')} penalised`,
  },
];

export function tilesView(): (state: State) => void {
  const root = need('tiles', HTMLDListElement);
  const tiles = TILES.map((tile) => {
    const [value, more] = [make('dd', 'value number', '–'), make('dd', 'more number', '\u00a0')];
    root.append(make('div', 'tile', make('dt', '', tile.label), value, more));
    return { tile, value, more };
  });
  return (state) => {
    const { status } = state;
    if (status === undefined) return;
    for (const { tile, value, more } of tiles) {
      setText(value, tile.value(status, state));
      setText(more, tile.more(status));
    }
  };
}

/** Between the last two samples. */
function now({ samples }: State, line: 1 | 2): number | undefined {
  return latest(throughput(samples.slice(-2))[line]);
}
