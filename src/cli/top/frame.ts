/** FRAME: the lines of the screen, out of a state. Owns nothing. Pure. Every text of somebody else's goes through `harmless`. */
import { cut, fit, type Glyphs, harmless, widthOf } from './cells.js';
import { HELP } from './commands.js';
import { layoutOf } from './layout.js';
import type { Listed, Look, Worker } from './look.js';
import { age, rate, size, some } from './quantities.js';
import type { Rate } from './rates.js';
import { listOf, VIEWS } from './rows.js';
import { sparkline } from './sparkline.js';
import type { State } from './state.js';
import { tableOf } from './table.js';

/** What a piece of a line is; paint.ts knows what that looks like. */
export type Style = 'plain' | 'strong' | 'faint' | 'good' | 'careful' | 'bad' | 'heading' | 'sorted' | 'selected';

export interface Piece {
  readonly text: string;
  readonly style: Style;
}

/** At most as wide as the screen. */
export type Line = readonly Piece[];

/** @returns as many lines as the screen has at most; the last one of a full screen is the foot */
export function frameOf(state: State, glyphs: Glyphs): readonly Line[] {
  const layout = layoutOf(state.size);
  const { columns, rows } = state.size;
  const head = [
    ...(layout.title ? [title(state, glyphs)] : []),
    ...(layout.counts ? [counts(state)] : []),
    ...(layout.throughput ? [throughput(state, glyphs)] : []),
    ...workerLines(state.look?.workers ?? [], layout.workers, columns),
    ...(layout.tabs ? [tabs(state, glyphs)] : []),
  ];
  const body = state.mode.kind === 'help' ? help() : table(state, layout.rows, glyphs);
  const foot = layout.foot ? [footOf(state, glyphs)] : [];
  const space = rows - head.length - foot.length;
  const filled = [...body.slice(0, space), ...Array.from({ length: Math.max(0, space - body.length) }, () => [])];
  return [...head, ...filled, ...foot].map((line) => cutLine(line, columns, glyphs)).slice(0, rows);
}

/** A frame without an end, and without what is for keys: everything that there is to say. */
export function onceOf(state: State, glyphs: Glyphs): readonly Line[] {
  const { columns } = state.size;
  const { look } = state;
  const missing = look === undefined ? null : missingFrom(look, state);
  return [
    title(state, glyphs),
    counts(state),
    throughput(state, glyphs),
    ...workerLines(look?.workers ?? [], Number.POSITIVE_INFINITY, columns),
    [],
    ...table(state, state.rows.length, glyphs),
    ...(missing === null ? [] : [[piece(missing, 'careful')]]),
  ].map((line) => cutLine(line, columns, glyphs));
}

function title({ look, size, lost, isPaused }: State, glyphs: Glyphs): Line {
  if (look === undefined) return [piece('sallyport', 'strong')];
  const { version, state, uptimeMs, listeners } = look.status;
  const running =
    lost === null ? piece(harmless(state, glyphs), state === 'running' ? 'good' : 'careful') : piece('lost', 'bad');
  return fitting(size.columns, [
    [piece(`sallyport ${harmless(version, glyphs)}`, 'strong')],
    [running],
    ...(isPaused ? [[piece('paused', 'careful')]] : []),
    [piece(`up ${age(uptimeMs)}`)],
    [piece(listeners.map((each) => harmless(each, glyphs)).join(', '), 'faint')],
  ]);
}

function counts({ look, size: { columns } }: State): Line {
  if (look === undefined) return [];
  const { connections, unauthenticated, waiting, channels, forwards, refusals, bufferedBytes } = look.status;
  return fitting(columns, [
    [piece(some(connections, 'connection'))],
    [piece(some(channels, 'tunnel'))],
    [piece(some(forwards, 'forward'))],
    ...(unauthenticated > 0 ? [[piece(`${unauthenticated} at login`, 'careful')]] : []),
    ...(waiting > 0 ? [[piece(`${waiting} waiting`, 'bad')]] : []),
    [piece(`${refusals} refused`)],
    [piece(`${size(bufferedBytes)} queued`)],
  ]);
}

const SPARK_MIN_CELLS = 4;
const SPARK_MAX_CELLS = 40;

function throughput({ past, rates, look, size: { columns } }: State, glyphs: Glyphs): Line {
  if (look === undefined) return [];
  const now = rates.server ?? past.at(-1);
  const texts = [`in ${rate(now?.in).padEnd(10)}`, `out ${rate(now?.out).padEnd(10)}`];
  const over = columns - texts.reduce((sum, text) => sum + text.length + 1, 2);
  const cells = Math.min(SPARK_MAX_CELLS, Math.floor(over / 2));
  const spark = (way: keyof Rate): readonly Piece[] =>
    cells < SPARK_MIN_CELLS
      ? []
      : [
          piece(
            ` ${sparkline(
              past.map((each) => each[way]),
              cells,
              glyphs,
            )}`,
            'faint',
          ),
        ];
  return [piece(texts[0] ?? ''), ...spark('in'), piece(`  ${texts[1] ?? ''}`), ...spark('out')];
}

const LAG_MS = 200;

/** As many as there is room for; the last line says how many are left out. */
function workerLines(workers: readonly Worker[], most: number, columns: number): readonly Line[] {
  const lines: Piece[][] = [];
  let line: Piece[] = [];
  let cells = 0;
  for (const [index, worker] of workers.entries()) {
    const text = workerText(worker);
    const left = workers.length - index;
    const more = lines.length === most - 1 && left > 1 ? ` +${left} more`.length : 0;
    if (line.length > 0 && cells + 3 + text.length + more > columns) {
      if (lines.length === most - 1) {
        line.push(piece(` +${left} more`, 'faint'));
        break;
      }
      lines.push(line);
      [line, cells] = [[], 0];
    }
    if (line.length > 0) line.push(piece(' | ', 'faint'));
    line.push(piece(text, worker.state === 'ready' && worker.loopLagMs < LAG_MS ? 'plain' : 'careful'));
    cells += text.length + (cells === 0 ? 0 : 3);
  }
  return most === 0 ? [] : [...lines, ...(line.length > 0 ? [line] : [])];
}

function workerText({ id, state, connections, channels, loopLagMs }: Worker): string {
  const doing = state === 'ready' ? '' : ` ${harmless(state, 'ascii')}`;
  return `w${id}${doing} ${connections}c ${channels}t ${Math.round(loopLagMs)}ms`;
}

function tabs({ view, filter, rows, size: { columns } }: State, glyphs: Glyphs): Line {
  const isNarrow = columns < 70;
  const pieces = VIEWS.flatMap((each, index) => {
    const isHere = each === view;
    const name = isNarrow && !isHere ? '' : ` ${each}${isHere ? ` ${rows.length}` : ''}`;
    return [piece(`${index + 1}${name}`, isHere ? 'heading' : 'faint'), piece('  ')];
  });
  return filter === '' ? pieces : [...pieces, piece(`/${harmless(filter, glyphs)}`, 'careful')];
}

function table(state: State, most: number, glyphs: Glyphs): readonly Line[] {
  const {
    view,
    size: { columns },
    sort,
    rows,
    offset,
    selected,
    look,
    lost,
  } = state;
  if (look?.[listOf(view)] === undefined) return [[piece(lost === null ? '  asking the server ...' : '', 'faint')]];
  const { heading, line } = tableOf(view, columns, sort, glyphs);
  const shown = rows.slice(offset, offset + most).map((row): Line => {
    const isSelected = row.key === selected;
    return [
      piece(
        isSelected ? fit(line(row, true), columns, 'left', glyphs) : line(row, false),
        isSelected ? 'selected' : lost === null ? 'plain' : 'faint',
      ),
    ];
  });
  const titles = heading.map(({ text, isSorted }) => piece(text, isSorted ? 'sorted' : 'heading'));
  return [
    titles,
    ...(shown.length > 0 ? shown : [[piece(`  no ${view}${state.filter === '' ? '' : ' with this text'}`, 'faint')]]),
  ];
}

function help(): readonly Line[] {
  const width = Math.max(...HELP.map(([keys]) => keys.length));
  return HELP.map(([keys, does]) => [piece(keys.padEnd(width + 2), 'strong'), piece(does)]);
}

/** The most urgent of what there is to say. */
function footOf(state: State, glyphs: Glyphs): Line {
  const { mode, lost, notice, look } = state;
  switch (mode.kind) {
    case 'question':
      return [
        piece(`End connection ${mode.id}${mode.who === '' ? '' : ` of ${harmless(mode.who, glyphs)}`}? y/n`, 'bad'),
      ];
    case 'filter':
      return [piece(`/${harmless(mode.typed, glyphs)}_`, 'strong'), piece('  Enter, Esc', 'faint')];
    case 'help':
      return [piece('any key: back', 'faint')];
    case 'table':
      break;
    default:
      return mode satisfies never;
  }
  if (notice !== null) return [piece(harmless(notice, glyphs), 'careful')];
  if (lost !== null) return [piece(`asking every ${age(lost.retryMs)}: ${harmless(lost.why, glyphs)}`, 'bad')];
  const missing = look === undefined ? null : missingFrom(look, state);
  if (missing !== null) return [piece(missing, 'careful')];
  return [piece('q quit  ? help  / filter  x end  p pause  1-4 tables  < > order  r reverse', 'faint')];
}

function missingFrom(look: Look, { view }: State): string | null {
  const list: Listed<unknown> | undefined = look[listOf(view)];
  if (list === undefined) return null;
  const { total, items, silentWorkers } = list;
  if (silentWorkers.length > 0) return `worker ${silentWorkers.join(', ')} did not answer: what it has is missing here`;
  return items.length < total ? `${items.length} of ${total} are here: narrow them with /` : null;
}

/** The first groups that fit, with space between them. */
function fitting(columns: number, groups: readonly Line[]): Line {
  const line: Piece[] = [];
  let cells = 0;
  for (const group of groups) {
    const wide = group.reduce((sum, { text }) => sum + widthOf(text), 0);
    if (line.length > 0 && cells + 2 + wide > columns) break;
    if (line.length > 0) line.push(piece('  '));
    line.push(...group);
    cells += wide + (cells === 0 ? 0 : 2);
  }
  return line;
}

function cutLine(line: Line, columns: number, glyphs: Glyphs): Line {
  const kept: Piece[] = [];
  let left = columns;
  for (const { text, style } of line) {
    if (left <= 0) break;
    const shown = cut(text, left, glyphs);
    kept.push({ text: shown, style });
    left -= shown === text ? widthOf(text) : left;
  }
  return kept;
}

function piece(text: string, style: Style = 'plain'): Piece {
  return { text, style };
}
