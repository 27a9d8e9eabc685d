import t from 'tap';
import { chaosOptions, UsageError } from '../../chaos/options.js';

t.test('options of npm run chaos', async (t) => {
  const parse = (...args: string[]) => chaosOptions(args, () => 77);
  t.same(parse(), { minutes: 2, seed: 77, workers: 2, verbose: false });
  t.same(parse('--minutes', '0.5', '--seed', '0', '--workers', '1', '--verbose'), {
    ...{ minutes: 0.5, seed: 0, workers: 1, verbose: true },
  });
  t.equal(parse('--help'), 'help');
  for (const wrong of [
    ['--minutes', '0'],
    ['--minutes', 'x'],
    ['--minutes', ''],
    ['--seed', '1.5'],
    ['--seed', '-1'],
    ['--workers', '0'],
    ['--workers', '65'],
    ['--no-such'],
    ['argument'],
  ])
    t.throws(() => parse(...wrong), UsageError, wrong.join(' '));
});
