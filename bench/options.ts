/** OPTIONS: argv of `npm run bench` as a plan can use it. Decides only: what is wrong is an error that tells what is
 *  allowed. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../src/shared/errors.js';
import { nearest } from '../src/shared/nearest.js';
import type { Results } from './report/schema.js';

export interface BenchOptions {
  /** Empty: all. */
  readonly scenarios: readonly string[];
  /** undefined: all that can run here. */
  readonly peers: readonly string[] | undefined;
  readonly cells: readonly string[];
  readonly repeats: number;
  readonly quick: boolean;
  readonly opensshRoot: string | undefined;
  readonly out: string | undefined;
  readonly resume: string | undefined;
}

export interface Known {
  readonly scenarios: readonly string[];
  readonly peers: readonly string[];
}

/** Its message is meant for the person who typed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `npm run bench -- [SCENARIO...] [options]

  --peers A,B          only these servers; else all that are installed
  --cells TEXT         only cells whose name contains TEXT; may stand many times
  --repeats N          measurements of each cell and server that count, after one warm-up (default 3)
  --quick              the smallest cells, once, without warm-up: does everything still work? Its figures mean nothing
  --openssh-root DIR   measure the sshd of this root file system too, as openssh-new
  --out FILE           where to write the results; else bench/runs/TIME.json
  --resume FILE        go on with an interrupted run, in its file
  --help

npm run bench:compare BASE    this checkout against BASE: a git ref, or the folder of a build
npm run bench:report          RESULTS.md, the chart and the README's figures, from bench/results.json`;

const DEFAULT_REPEATS = 3;
const MAX_REPEATS = 1_000;

/** @throws UsageError */
export function benchOptions(args: readonly string[], known: Known): BenchOptions | 'help' {
  const { values, positionals } = parsed(args);
  if (values.help) return 'help';
  const peers = values.peers?.split(',').filter((name) => name !== '');
  // The peer of --openssh-root is known only where that option is given.
  const knownPeers = [...known.peers, ...(values['openssh-root'] === undefined ? [] : [OPENSSH_NEW])];
  for (const name of positionals) requireKnown('scenario', name, known.scenarios);
  for (const name of peers ?? []) requireKnown('peer', name, knownPeers);
  if (peers?.length === 0) throw new UsageError(`--peers names no server. Known: ${knownPeers.join(', ')}.`);
  if (values.resume !== undefined) {
    const { resume: _file, 'openssh-root': _root, quick, help: _help, ...others } = values;
    if (positionals.length > 0 || quick || Object.keys(others).length > 0)
      throw new UsageError('--resume goes on with what its file says: only --openssh-root may stand beside it.');
  }
  return {
    scenarios: positionals,
    peers,
    cells: values.cells ?? [],
    repeats: values.repeats === undefined ? (values.quick ? 1 : DEFAULT_REPEATS) : repeatsOf(values.repeats),
    quick: values.quick,
    opensshRoot: values['openssh-root'],
    out: values.out,
    resume: values.resume,
  };
}

/** @param argv which names the file and, where it was given before, the folder of openssh-new
 *  @throws UsageError where there is nothing to go on with */
export function resumedOptions(argv: BenchOptions, before: Results): BenchOptions {
  const run = before.runs.at(-1);
  if (run === undefined || run.complete) throw new UsageError(`${argv.resume} holds no run that was interrupted.`);
  const { quick, repeats, cells, scenarios } = run.options;
  return { ...argv, quick, repeats, cells, scenarios, peers: run.peers.map(({ name }) => name) };
}

export const OPENSSH_NEW = 'openssh-new';

/** @throws UsageError when it is no whole number from 1 to 1000 */
export function repeatsOf(text: string): number {
  const repeats = /^\d+$/.test(text) ? Number(text) : 0;
  if (repeats >= 1 && repeats <= MAX_REPEATS) return repeats;
  throw new UsageError(`--repeats ${text}: a whole number from 1 to ${MAX_REPEATS} is meant.`);
}

/** @throws UsageError that lists what is known */
export function requireKnown(what: string, name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  const meant = nearest(name, known);
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
  throw new UsageError(`There is no ${what} "${name}".${hint} Known: ${known.join(', ')}.`);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        peers: { type: 'string' },
        cells: { type: 'string', multiple: true },
        repeats: { type: 'string' },
        quick: { type: 'boolean', default: false },
        'openssh-root': { type: 'string' },
        out: { type: 'string' },
        resume: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    // Node goes on with advice on how a name could begin with a dash.
    throw new UsageError(`${reasonOf(error).split('. ')[0]}.\n\n${USAGE}`);
  }
}
