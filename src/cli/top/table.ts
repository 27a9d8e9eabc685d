/** TABLE: the columns of each view, which of them there is room for, and how wide they are. Owns nothing. Pure. */
import { fit, type Glyphs, harmless } from './cells.js';
import { age, shortRate, shortSize } from './quantities.js';
import type { Row, Sort, SortKey, View } from './rows.js';

interface Column {
  readonly title: string;
  readonly sort?: SortKey;
  /** Cells. A column with `most` takes its part of what is left over. */
  readonly width: number;
  readonly most?: number;
  readonly align: 'left' | 'right';
  /** The highest goes first where there is no room; 0 stays. */
  readonly rank: number;
  text(row: Row): string;
}

const ID: Column = {
  title: 'ID',
  sort: 'id',
  width: 6,
  align: 'right',
  rank: 5,
  text: ({ id }) => String(id),
};
const USER: Column = {
  title: 'USER',
  sort: 'user',
  width: 8,
  most: 24,
  align: 'left',
  rank: 0,
  text: ({ user }) => (user === '' ? '(login)' : user),
};
const PLACE: Column = {
  title: 'PEER',
  sort: 'place',
  width: 15,
  most: 47,
  align: 'left',
  rank: 6,
  text: ({ place }) => place,
};
const TUNNELS: Column = {
  title: 'TUN',
  sort: 'tunnels',
  width: 5,
  align: 'right',
  rank: 3,
  text: ({ tunnels }) => String(tunnels),
};
const IN: Column = {
  title: 'IN/s',
  sort: 'in',
  width: 6,
  align: 'right',
  rank: 0,
  text: (row) => shortRate(row.in),
};
const OUT: Column = {
  title: 'OUT/s',
  sort: 'out',
  width: 6,
  align: 'right',
  rank: 0,
  text: (row) => shortRate(row.out),
};
const TOTAL: Column = {
  title: 'TOTAL',
  sort: 'total',
  width: 6,
  align: 'right',
  rank: 4,
  text: ({ total }) => shortSize(total),
};
const AGE: Column = {
  title: 'AGE',
  sort: 'age',
  width: 6,
  align: 'right',
  rank: 2,
  text: ({ ageMs }) => age(ageMs),
};
const KIND: Column = { title: 'KIND', width: 9, align: 'left', rank: 7, text: ({ kind }) => kind };
const CLIENT: Column = {
  title: 'CLIENT',
  width: 12,
  most: 32,
  align: 'left',
  rank: 8,
  text: ({ kind }) => kind.replace(/^SSH-\d\.\d+-/, ''),
};
const CONNECTIONS: Column = {
  ...ID,
  title: 'CONNS',
  rank: 1,
  text: ({ connections }) => String(connections),
};

const COLUMNS: Readonly<Record<View, readonly Column[]>> = {
  connections: [ID, USER, PLACE, TUNNELS, IN, OUT, TOTAL, AGE, CLIENT],
  tunnels: [ID, USER, KIND, { ...PLACE, title: 'DESTINATION', rank: 1 }, IN, OUT, TOTAL, AGE],
  forwards: [ID, USER, KIND, { ...PLACE, title: 'LISTENS ON', rank: 1 }, TUNNELS, IN, OUT, TOTAL, AGE],
  users: [USER, CONNECTIONS, TUNNELS, IN, OUT, TOTAL, AGE],
};

/** A column and how many cells it has in this table. */
interface Placed {
  readonly column: Column;
  readonly width: number;
}

const GAP = ' ';
/** In front of every row: the mark of the chosen one. */
const MARK_CELLS = 2;

export interface Table {
  /** Its texts, and whether the rows are ordered by it. */
  readonly heading: readonly { readonly text: string; readonly isSorted: boolean }[];
  line(row: Row, isSelected: boolean): string;
}

export function tableOf(view: View, columns: number, sort: Sort, glyphs: Glyphs): Table {
  const placed = place(COLUMNS[view], columns - MARK_CELLS);
  const arrow = glyphs === 'unicode' ? (sort.isDescending ? '▼' : '▲') : sort.isDescending ? 'v' : '^';
  const heading = placed.map(({ column, width }, index) => {
    const isSorted = isSortedBy(column, sort);
    const title = isSorted ? `${column.title}${arrow}` : column.title;
    const before = index === 0 ? ' '.repeat(MARK_CELLS) : GAP;
    return { text: before + fit(title, width, column.align, glyphs), isSorted };
  });
  return {
    heading,
    line: (row, isSelected) =>
      (isSelected ? '> ' : '  ') +
      placed
        .map(({ column, width }) => fit(harmless(column.text(row), glyphs), width, column.align, glyphs))
        .join(GAP)
        .trimEnd(),
  };
}

function isSortedBy({ sort }: Column, { key }: Sort): boolean {
  return key === 'rate' ? sort === 'in' || sort === 'out' : sort === key;
}

function place(columns: readonly Column[], cells: number): readonly Placed[] {
  let kept = columns;
  while (neededBy(kept) > cells) {
    const rank = Math.max(...kept.map((column) => column.rank));
    if (rank === 0) break;
    kept = kept.filter((column) => column.rank !== rank);
  }
  return widened(kept, Math.max(0, cells - neededBy(kept)));
}

function neededBy(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width, 0) + GAP.length * Math.max(0, columns.length - 1);
}

/** What is over goes to those columns that can use it, in equal parts, until each has its most. */
function widened(columns: readonly Column[], over: number): readonly Placed[] {
  const widths = new Map(columns.map((column) => [column, column.width]));
  let left = over;
  const hungry = (): readonly Column[] => columns.filter((each) => (widths.get(each) ?? 0) < (each.most ?? 0));
  for (let open = hungry(); left > 0 && open.length > 0; open = hungry()) {
    const share = Math.max(1, Math.floor(left / open.length));
    for (const column of open.slice(0, left)) {
      const width = widths.get(column) ?? 0;
      const more = Math.min(share, (column.most ?? 0) - width, left);
      widths.set(column, width + more);
      left -= more;
    }
  }
  return columns.map((column) => ({ column, width: widths.get(column) ?? column.width }));
}
