/** SELECTION: which row is chosen, and which part of a table is shown. Owns nothing. Pure. */
import { layoutOf } from './layout.js';
import type { State } from './state.js';

/** The choice stays with its row wherever that goes. Where it is gone its place is the next one's; the question before an end names
 *  the connection, so that nobody ends another one. */
export function settled(state: State): State {
  const { rows, selected, size } = state;
  const shown = layoutOf(size).rows;
  const lastOffset = Math.max(0, rows.length - shown);
  if (selected === null || rows.length === 0)
    return { ...state, selected: null, cursor: 0, offset: Math.min(state.offset, lastOffset) };
  const found = rows.findIndex(({ key }) => key === selected);
  const cursor = found >= 0 ? found : Math.min(state.cursor, rows.length - 1);
  const offset = Math.min(Math.max(state.offset, cursor - shown + 1), cursor, lastOffset);
  return { ...state, selected: rows[cursor]?.key ?? null, cursor, offset };
}

/** The first step chooses the first row that is shown. */
export function moved(state: State, by: number): State {
  const to = state.selected === null ? state.offset : state.cursor + by;
  return movedTo(state, to);
}

export function movedTo(state: State, index: number): State {
  const row = state.rows[Math.max(0, Math.min(index, state.rows.length - 1))];
  return { ...state, selected: row?.key ?? null };
}

/** Rows of a page, one of which is on the next one too. */
export function pageOf({ size }: State): number {
  return Math.max(1, layoutOf(size).rows - 1);
}
