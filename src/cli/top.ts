/** TOP: the options of `sallyport top`, the terminal that it is on, and the first look: from there on src/cli/top. */
import { setTimeout as wait } from 'node:timers/promises';
import { reasonOf } from '../shared/errors.js';
import { safeText } from '../shared/log.js';
import { nearest } from '../shared/nearest.js';
import { type AdminOptions, findAdmin } from './admin_place.js';
import { MAX_LINE } from './admin_text.js';
import { apiAt } from './top/api.js';
import { lookAt, pastOf } from './top/asker.js';
import type { Glyphs } from './top/cells.js';
import { sortBy } from './top/commands.js';
import { onceOf } from './top/frame.js';
import { step } from './top/model.js';
import { type Palette, paint } from './top/paint.js';
import { SORT_KEYS, VIEWS } from './top/rows.js';
import { Session } from './top/session.js';
import { begin, type State } from './top/state.js';

/** As they were typed. */
export interface TopOptions extends AdminOptions {
  readonly once?: boolean;
  readonly interval?: string;
  readonly view?: string;
  readonly sort?: string;
  readonly filter?: string;
}

const DEFAULT_INTERVAL_S = 2;
const MIN_INTERVAL_S = 0.5;
const MAX_INTERVAL_S = 3_600;
const DEFAULT_COLUMNS = 120;

/** @returns the exit code: 0 good, 1 no server answers, 2 bad usage or no terminal, 128 and the signal's number where one ended it */
export async function top(options: TopOptions): Promise<number> {
  const isOnce = options.once === true;
  const { stdin, stdout, env } = process;
  if (!isOnce && !(stdin.isTTY && stdout.isTTY))
    return fail(
      2,
      'top needs a terminal. Without one: `sallyport top --once`, `sallyport status` or `sallyport ps --json`',
    );
  if (!isOnce && ['', 'dumb'].includes(env.TERM ?? ''))
    return fail(
      2,
      `top cannot move the cursor of this terminal (TERM=${env.TERM ?? ''}): \`sallyport top --once\` prints lines`,
    );
  const settings = settle(options);
  if (typeof settings === 'string') return fail(2, settings);
  const found = findAdmin(options);
  if (!found.ok) return fail(2, found.errors.join('\nerror: '));
  const api = apiAt(found.place);
  try {
    const size = { columns: stdout.columns || columnsOf(env.COLUMNS), rows: stdout.rows || 24 };
    const begun = begin({ size, ...settings });
    const look = await lookAt(api, begun, nowMs);
    const state = step(begun, { kind: 'look', look }).state;
    const glyphs = glyphsOf(env);
    const palette = paletteOf(env);
    const { intervalMs } = settings;
    if (!isOnce)
      return await new Session({ api, input: stdin, output: stdout, glyphs, palette, intervalMs }, state).run();
    const { state: recalled } = step(state, { kind: 'history', samples: await pastOf(api) });
    // Two looks, as rates are of the time between.
    await wait(intervalMs);
    const second = step(recalled, { kind: 'look', look: await lookAt(api, recalled, nowMs) }).state;
    stdout.write(
      onceOf(second, glyphs)
        .map((line) => `${paint(line, stdout.isTTY ? palette : 'none')}\n`)
        .join(''),
    );
    return 0;
  } catch (thrown) {
    return fail(1, safeText(reasonOf(thrown), MAX_LINE)); // whoever listens there may have said it
  }
}

type Settings = { readonly intervalMs: number } & Partial<Pick<State, 'view' | 'sort' | 'filter'>>;

/** @returns a text that says what is wrong */
function settle({ interval, view, sort, filter = '' }: TopOptions): Settings | string {
  const seconds = interval === undefined ? DEFAULT_INTERVAL_S : Number(interval);
  if (!(seconds >= MIN_INTERVAL_S && seconds <= MAX_INTERVAL_S))
    return `--interval '${interval}': expected seconds, ${MIN_INTERVAL_S} to ${MAX_INTERVAL_S}`;
  const chosenView = VIEWS.find((each) => each === view);
  if (view !== undefined && chosenView === undefined) return unknownWord('--view', view, VIEWS);
  const chosenSort = SORT_KEYS.find((each) => each === sort);
  if (sort !== undefined && chosenSort === undefined) return unknownWord('--sort', sort, SORT_KEYS);
  return {
    intervalMs: seconds * 1_000,
    filter,
    ...(chosenView === undefined ? {} : { view: chosenView }),
    ...(chosenSort === undefined ? {} : { sort: sortBy(chosenSort) }),
  };
}

function unknownWord(option: string, word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  return `${option} '${word}': expected ${known.join(', ')}${close === undefined ? '' : ` (did you mean ${close}?)`}`;
}

/** By the locale, as everybody else decides it (POSIX.1 XBD §8.2: the first that is set and not empty). */
function glyphsOf(env: NodeJS.ProcessEnv): Glyphs {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return /utf-?8/i.test(locale) ? 'unicode' : 'ascii';
}

/** Node knows NO_COLOR and the terminals; it says 1 where there are no colours. */
function paletteOf(env: NodeJS.ProcessEnv): Palette {
  return process.stdout.isTTY && process.stdout.getColorDepth(env) > 1 ? 'colours' : 'attributes';
}

function columnsOf(text: string | undefined): number {
  return /^[1-9][0-9]{0,3}$/.test(text ?? '') ? Number(text) : DEFAULT_COLUMNS;
}

function nowMs(): number {
  return performance.now();
}

function fail(exitCode: number, why: string): number {
  process.stderr.write(`error: ${why}\n`);
  return exitCode;
}
