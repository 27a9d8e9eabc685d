/** PLAN: options, the order of the measurements, progress and estimates; nothing is measured here. */
import t from 'tap';
import { benchOptions, repeatsOf, resumedOptions, UsageError } from '../../bench/options.js';
import { planOf, type Step, stepsOf } from '../../bench/plan.js';
import { duration, Estimate } from '../../bench/progress/estimate.js';
import { Progress } from '../../bench/progress/progress.js';
import type { Cell, Peer, Scenario } from '../../bench/types.js';
import { resultsOf } from '../support/results_under_test.js';

const KNOWN = { scenarios: ['bulk', 'login'], peers: ['sallyport', 'openssh'] };

function peer(name: string, more: Partial<Peer> = {}): Peer {
  return { name, ciphers: ['aes'], probe: async () => ({ found: true, version: '1' }), start: neverCalled, ...more };
}

function scenario(name: string, cells: readonly Cell[], more: Partial<Scenario> = {}): Scenario {
  return { name, about: '', metrics: [], cells: () => cells, measure: neverCalled, ...more };
}

function neverCalled(): never {
  throw new Error('a plan starts nothing');
}

function planned(scenarios: readonly Scenario[], peers: readonly Peer[], cells: readonly string[] = []): string[] {
  return planOf({ scenarios, peers, repeats: 1, quick: true, cells }).map(
    ({ scenario, cell, peers }) => `${scenario.name}/${cell.id}: ${peers.map(({ name }) => name).join()}`,
  );
}

t.test('options', async (t) => {
  t.match(benchOptions([], KNOWN), { scenarios: [], peers: undefined, cells: [], repeats: 3, quick: false });
  t.match(
    benchOptions(['bulk', '--quick', '--peers', 'openssh,sallyport', '--cells', 'up, 1', '--cells', 'x'], KNOWN),
    {
      ...{ scenarios: ['bulk'], peers: ['openssh', 'sallyport'], cells: ['up, 1', 'x'], repeats: 1, quick: true },
    },
  );
  t.match(benchOptions(['--peers', 'openssh-new', '--openssh-root', '/x'], KNOWN), { opensshRoot: '/x' });
  t.equal(benchOptions(['--help'], KNOWN), 'help');
  for (const [args, message] of [
    [['bluk'], /There is no scenario "bluk".*Known: bulk, login\./],
    [['--peers', 'opensh'], /There is no peer "opensh"\. Did you mean openssh\? Known: sallyport, openssh\./],
    [['--peers', 'openssh-new'], /There is no peer "openssh-new"/],
    [['--peers', ','], /names no server/],
    [['--repeats', '0'], /--repeats 0: a whole number from 1 to 1000/],
    [['--repeats', '1.5'], /--repeats 1\.5/],
    [['--fast'], /^Unknown option '--fast'\.\n\nnpm run bench/],
    [['--resume', 'f', '--repeats', '9'], /goes on with what its file says/],
    [['--resume', 'f', '--quick'], /goes on with what its file says/],
    [['--resume', 'f', 'bulk'], /goes on with what its file says/],
  ] as const) {
    t.throws(() => benchOptions(args, KNOWN), message, args.join(' '));
    t.throws(() => benchOptions(args, KNOWN), UsageError);
  }
  t.equal(repeatsOf('12'), 12);
});

t.test('a run goes on as it was begun, when it was interrupted', async (t) => {
  const argv = benchOptions(['--resume', 'f'], KNOWN);
  if (argv === 'help') throw new Error('not asked for');
  const results = resultsOf({ bulk: { up: { sallyport: { cost: 1 } } } });
  t.throws(() => resumedOptions(argv, results), /holds no run that was interrupted/);
  const runs = results.runs.map((run) => ({ ...run, complete: false }));
  t.match(resumedOptions(argv, { ...results, runs }), { scenarios: ['bulk'], peers: ['sallyport'], repeats: 3 });
});

t.test('who is measured in which cell', async (t) => {
  const all = [peer('a'), peer('b', { ciphers: [] }), peer('c', { lacks: ['many-logins'] }), peer('a@base')];
  t.same(planned([scenario('s', [{ id: 'plain' }])], all), ['s/plain: a,b,c,a@base']);
  t.same(planned([scenario('s', [{ id: 'x', cipher: 'aes' }])], all), ['s/x: a,c,a@base']);
  t.same(planned([scenario('s', [{ id: 'x', needs: ['many-logins'] }])], all), ['s/x: a,b,a@base']);
  t.same(planned([scenario('s', [{ id: 'x' }], { peers: ['a'] })], all), ['s/x: a,a@base'], 'two builds of one server');
  t.same(planned([scenario('s', [{ id: 'x', cipher: 'none' }])], all), [], 'a cell of nobody is no cell');
  const cells = [{ id: 'up, 1' }, { id: 'up, 8' }, { id: 'down, 1' }];
  t.same(planned([scenario('s', cells)], [peer('a')], ['up, 1', 'down']), ['s/up, 1: a', 's/down, 1: a']);
});

t.test('rounds are interleaved, and each begins with another peer', async (t) => {
  const peers = [peer('a'), peer('b')];
  const order = (quick: boolean): string[] =>
    planOf({ scenarios: [scenario('s', [{ id: 'x' }])], peers, repeats: 2, quick, cells: [] })
      .flatMap(stepsOf)
      .map(({ round, peer }) => `${round}${peer.name}`);
  t.same(order(false), ['0a', '0b', '1b', '1a', '2a', '2b'], '0 is the warm-up');
  t.same(order(true), ['1b', '1a', '2a', '2b'], 'none in a quick run');
  const left = planOf({
    ...{ scenarios: [scenario('s', [{ id: 'x' }, { id: 'y' }])], peers, repeats: 1, quick: true, cells: [] },
    isDone: (_scenario, cell) => cell === 'x',
  });
  t.same(
    left.map(({ cell }) => cell.id),
    ['y'],
    'a resumed run leaves out what is done',
  );
});

function steps(...names: string[]): Step[] {
  return names.map((name) => ({ scenario: 's', cell: 'c', peer: peer(name), round: 1, rounds: 1 }));
}

t.test('an estimate', async (t) => {
  const all = steps('a', 'b', 'a', 'b');
  const [first, second, third] = all;
  if (first === undefined || second === undefined || third === undefined) throw new Error('no steps');
  const estimate = new Estimate(all);
  t.equal(estimate.percent, 0);
  estimate.ended(first, 10);
  t.equal(estimate.secondsLeft, 30, 'the others may be like the first');
  estimate.ended(second, 2);
  t.equal(estimate.secondsLeft, 12, 'until each is known');
  t.equal(estimate.percent, 50);
  estimate.ended(third, null);
  t.equal(estimate.secondsLeft, 2, 'one that was skipped says nothing');
  for (const [seconds, text] of [
    [5, '5 s'],
    [600, '10 min'],
    [7500, '2 h 5 min'],
  ] as const)
    t.equal(duration(seconds), text);
});

t.test('progress', async (t) => {
  const [step, other] = steps('a', 'b');
  if (step === undefined || other === undefined) throw new Error('no steps');
  const failure = { round: 1, kind: 'verification', reason: 'a byte was lost' } as const;
  const show = (isTTY: boolean): string => {
    const shown: string[] = [];
    let nowMs = 0;
    const output = { isTTY, columns: 60, write: (text: string) => shown.push(text) };
    const progress = new Progress([step, other], output, () => nowMs);
    progress.stepStarted(step);
    nowMs += 4000;
    progress.note('1,000 of 2,000 held');
    progress.stepEnded(step, { sample: { cost: 1.23456 } });
    progress.stepStarted(other);
    progress.stepEnded(other, { failure });
    progress.end();
    return shown.join('');
  };
  t.equal(
    show(false),
    [
      '[  0 %, 6 s left] s | c | a | round 1 of 1: 1,000 of 2,000 held',
      '[ 50 %, 4 s left] s | c | a | round 1 of 1: cost 1.235',
      '[100 %, 0 s left] s | c | b | round 1 of 1: VERIFICATION FAILED: a byte was lost',
      '',
    ].join('\n'),
  );
  const lines = show(true).split('\r\u001b[K');
  t.ok(
    lines.every((line) => line.length < 60 || line.includes('VERIFICATION')),
    'a line that is rewritten fits',
  );
  t.match(lines.join('\n'), /s \| c \| a \| round 1 of 1: 1,000 of/);
  t.equal(lines.filter((line) => line.endsWith('\n')).length, 1, 'only the failure stays');
  t.equal(lines.at(-1), '', 'and the line is left empty');
});
