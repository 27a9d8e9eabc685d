import t from 'tap';
import { Orders } from '../../src/master/orders.js';
import { deferred } from '../support/deadline.js';

/** Orders that end when the test says so. */
function room() {
  const orders = new Orders();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const order = (name: string) => (): Promise<string> => {
    begun.push(name);
    const { promise, resolve } = deferred<string>();
    ends.push(() => resolve(name));
    return promise;
  };
  const end = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { orders, begun, order, end };
}

t.test('what is asked for before the server runs is done when it does, one after the other', async (t) => {
  const { orders, begun, order, end } = room();
  orders.give('reload', order('reload'));
  orders.give('replace', order('replace'));
  t.same(begun, []);
  orders.begin();
  t.same(begun, ['reload']);
  await end();
  t.same(begun, ['reload', 'replace']);
});

t.test('asked twice while it waits is asked once; while it runs, once more', async (t) => {
  const { orders, begun, order, end } = room();
  orders.begin();
  for (let count = 0; count < 5; count++) orders.give('reload', order('reload'));
  t.same(begun, ['reload']);
  await end();
  t.same(begun, ['reload', 'reload'], 'what changed since the first was read is read as well');
  await end();
  t.same(begun, ['reload', 'reload']);
});

t.test('each caller gets an answer of its own', async (t) => {
  const { orders, order, end } = room();
  orders.begin();
  const answers = Promise.all([orders.ask(order('one')), orders.ask(order('two'))]);
  await end();
  await end();
  t.same(await answers, ['one', 'two']);
});

t.test('after the end signals begin nothing, and whoever waits is answered', async (t) => {
  const { orders, begun, order, end } = room();
  orders.begin();
  orders.give('replace', order('running'));
  orders.give('reload', order('never'));
  const waiting = orders.ask(order('waiting'));
  orders.end();
  orders.give('reload', order('never'));
  const late = orders.ask(order('late'));
  t.same(begun, ['running', 'waiting', 'late']);
  for (let count = 0; count < 3; count++) await end();
  t.same(await Promise.all([waiting, late]), ['waiting', 'late']);
});
