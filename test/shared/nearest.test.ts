/** NEAREST: a slip finds its word, another word finds none. */
import t from 'tap';
import { nearest } from '../../src/shared/nearest.js';

const KEYS = ['listen', 'workers', 'stateDir', 'permitOpen', 'permitListen', 'log'];

t.test('hints', async (t) => {
  const cases: ReadonlyArray<readonly [string, string | undefined]> = [
    ['lisen', 'listen'],
    ['Listen', 'listen'],
    ['statedir', 'stateDir'],
    ['permitopen', 'permitOpen'],
    ['permitlisten', 'permitListen'],
    ['lgo', undefined],
    ['log', 'log'],
    ['banana', undefined],
    ['', undefined],
    ['x'.repeat(10_000), undefined],
  ];
  for (const [word, known] of cases) t.equal(nearest(word, KEYS), known, word.slice(0, 20));
});
