/** The worker's memory: what is counted, what follows from it, and who is cut. */
import fc from 'fast-check';
import t from 'tap';
import { type Account, budgetOf, WorkerMemory } from '../../src/worker/memory.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Connections by name; who is cut is written down. */
function make(options: { budgetBytes?: number; processBytes?: number } = {}) {
  const memory = new WorkerMemory({ budgetBytes: 1000, ...options });
  const cut: string[] = [];
  const open = (name: string, user?: string, limitBytes = 0): Account => {
    const account: Account = memory.open(() => {
      cut.push(name);
      account.close();
    });
    if (user !== undefined) account.join(user, limitBytes);
    return account;
  };
  return { memory, cut, open };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('auto is a quarter of what the process may have, and enough to work with', async (t) => {
  t.equal(budgetOf(0, 4 * 1024 * MIB), 1024 * MIB);
  t.equal(budgetOf(0, 100 * MIB), 64 * MIB);
  t.equal(budgetOf(5 * MIB, 100 * MIB), 5 * MIB, 'what was said holds');
});

t.test('whatever the order, the worker holds what its connections hold and what lingers', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ who: fc.nat(3), step: fc.constantFrom('add', 'took', 'drop', 'close'), bytes: fc.nat(99) })),
      (steps) => {
        const { memory, open } = make({ budgetBytes: 1e9 });
        const accounts = ['ann', 'ann', 'ben', undefined].map((user, index) => open(String(index), user));
        const alive = new Set(accounts);
        memory.linger('ann', 7);
        for (const { who, step, bytes } of steps) {
          const account = accounts[who];
          if (account === undefined) return false;
          if (step === 'add') account.add(bytes);
          else if (step === 'took') account.took(Math.min(bytes, account.bytes));
          else if (step === 'drop') account.add(-Math.min(bytes, account.bytes));
          else {
            account.close();
            alive.delete(account);
          }
        }
        const held = [...alive].reduce((sum, { bytes }) => sum + bytes, 0);
        return memory.usedBytes === held + 7;
      },
    ),
  );
});

t.test('up to a half nothing follows; beyond it each has a part of what is left', async (t) => {
  const { open } = make();
  const [a, b] = [open('a'), open('b')];
  a.add(500);
  t.same([a.partBytes, a.isTight, a.isFull], [Number.POSITIVE_INFINITY, false, false]);
  a.add(100);
  t.same([a.partBytes, b.partBytes], [100, 100], 'half of 800 - 600 each');
  t.same([a.isTight, b.isTight], [true, false]);
  a.took(100);
  t.same([a.partBytes, a.isTight], [Number.POSITIVE_INFINITY, false]);
});

t.test('beyond four fifths nothing new is opened', async (t) => {
  const { memory, open, cut } = make();
  const [a, b] = [open('a'), open('b')];
  a.add(801);
  t.same([b.isFull, memory.isFull, b.partBytes], [true, true, 0]);
  a.took(1);
  t.same([b.isFull, memory.isFull], [false, false]);
  await turn();
  t.same(cut, []);
});

t.test('a user feels it himself, before the worker does', async (t) => {
  const { memory, open, cut } = make();
  const [a, a2, b] = [open('a', 'ann'), open('a2', 'ann'), open('b', 'ben')];
  a.add(410);
  t.same([a.isFull, a2.isFull, b.isFull, memory.isFull], [true, true, false, false], 'half of the budget is his');
  t.same([b.partBytes, b.isTight], [Number.POSITIVE_INFINITY, false]);
  a2.add(91);
  await turn();
  t.same(cut, ['a'], 'the one of his that holds most');
  t.equal(memory.usedBytes, 91);

  const less = open('c', 'cyd', 100);
  less.add(81);
  t.equal(less.isFull, true, 'less than half, where that was said');
  const more = open('d', 'dan', 1e6);
  more.add(401);
  t.equal(more.isFull, true, 'never more than half');
});

t.test('what a connection held before its login is its user’s', async (t) => {
  const { open } = make();
  const account = open('a');
  account.add(401);
  t.equal(account.isFull, false);
  account.join('ann', 0);
  t.equal(account.isFull, true);
  account.close();
  const next = open('b', 'ann');
  t.equal(next.isFull, false, 'and goes with it');
});

t.test('over: the one that holds most is cut, and only as many as must be', async (t) => {
  const { memory, open, cut } = make();
  const accounts = ['a', 'b', 'c', 'd'].map((name) => open(name));
  const [a, b, c, d] = accounts;
  for (const [account, bytes] of [
    [a, 100],
    [b, 450],
    [c, 440],
    [d, 20],
  ] as const)
    account?.add(bytes);
  t.same(cut, [], 'not in the middle of the call that made it too much');
  await turn();
  t.same([cut, memory.usedBytes], [['b'], 560]);
  c?.add(1000);
  c?.add(-1000);
  await turn();
  t.same(cut, ['b'], 'what is over by then is no reason');
});

t.test('over: one that stands still goes before one that moves, but not for a trifle', async (t) => {
  const { memory, open, cut } = make();
  const [moving, still, trifle] = [open('moving'), open('still'), open('trifle')];
  moving.add(500);
  still.add(300);
  trifle.add(10);
  memory.look(0);
  moving.took(1);
  moving.add(200);
  await turn();
  t.same([cut, memory.usedBytes], [['still'], 709], 'the trifle is less than half of the average');
});

t.test('full: a look cuts those that stood still since the last one, until there is room', async (t) => {
  const { memory, open, cut } = make();
  const [a, b, c] = [open('a'), open('b'), open('c')];
  a.add(300);
  b.add(310);
  memory.look(0);
  c.add(330);
  t.same(cut, []);
  c.took(1);
  memory.look(0);
  t.same([cut, memory.usedBytes], [['b'], 629]);
  memory.look(0);
  t.same(cut, ['b'], 'there is room');
});

t.test('nobody is judged by his first moments', async (t) => {
  const { memory, open, cut } = make();
  open('new').add(900);
  memory.look(0);
  t.same(cut, []);
  memory.look(0);
  t.same(cut, ['new']);
});

t.test('a process that the kernel would kill takes nothing new, and gives up what it may', async (t) => {
  const { memory, open, cut } = make({ processBytes: 10_000 });
  const [a, b] = [open('a'), open('b')];
  a.add(400);
  memory.look(7_900);
  t.same([memory.isFull, a.isTight, b.isTight], [false, true, false], 'room for 500, the 400 among them');
  memory.look(8_001);
  t.same([memory.isFull, b.isFull], [true, true]);
  t.same(cut, ['a'], 'room for 399');
  b.add(100);
  memory.look(9_000);
  memory.look(9_000);
  t.same([cut, b.isFull], [['a'], true], 'an eighth of the budget is always there: it is not these bytes that fill it');
  memory.look(3_000);
  t.same([memory.isFull, b.isTight], [false, false]);
});

t.test('what lingers counts, and has an end of its own', async (t) => {
  const { memory, open } = make();
  t.equal(memory.linger('ann', 125), true);
  t.equal(memory.linger('ann', 1), false, 'half of a quarter of the budget, for one user');
  t.equal(memory.linger('ben', 62), true);
  open('a').add(650);
  t.equal(memory.isFull, true);
  memory.lingered('ann', 125);
  memory.lingered('ben', 62);
  t.same([memory.usedBytes, memory.isFull, memory.linger('ann', 1)], [650, false, true]);
  const large = make({ budgetBytes: 1024 * MIB }).memory;
  t.same([large.linger('ann', 32 * MIB), large.linger('ann', 1)], [true, false], 'of 64 MiB, however large the budget');
});

t.test('one user’s bytes that linger leave room for those of others', async (t) => {
  const { memory, open } = make({ budgetBytes: 4_000 });
  const [ann, ben, cyd] = [open('a', 'ann'), open('b', 'ben'), open('c', 'cyd')];
  t.equal(ann.linger(500), true);
  t.equal(open('a2', 'ann').linger(1), false, 'as much as he leaves');
  t.equal(ben.linger(250), true);
  t.equal(cyd.linger(125), true);
  t.equal(ann.linger(0), true, 'a target for which only the kernel holds bytes is waited for in any case');
  ann.close();
  ann.lingered(500);
  t.equal(ben.linger(187), true, 'also what a connection left behind is given back');
  t.equal(memory.usedBytes, 250 + 125 + 187);
});

t.test('full for long: the heaviest of the user who holds most is cut, though it moves', async (t) => {
  const { memory, open, cut } = make();
  const slow = ['a', 'b', 'c'].map((name) => open(name, name === 'c' ? 'ben' : 'ann'));
  const large = open('large', 'cyd');
  large.add(260);
  for (const [index, account] of slow.entries()) account.add([230, 240, 200][index] ?? 0);
  const moving = [...slow, large];
  const look = (): void => {
    for (const account of moving) {
      account.took(1);
      account.add(1);
    }
    memory.look(0);
  };
  for (let looks = 0; looks < 5; looks++) look();
  t.same([cut, memory.isFull], [[], true], 'it may pass');
  look();
  t.same([cut, memory.isFull], [['b'], false]);
  for (let looks = 0; looks < 9; looks++) look();
  t.same(cut, ['b'], 'there is room');
});

t.test('over: many small connections of one user do not have the large one of another cut', async (t) => {
  const { open, cut } = make();
  const large = open('large', 'ann');
  large.add(280);
  for (const user of ['ben', 'cyd'])
    for (let n = 0; n < 4; n++) open(`${user}${n}`, user).add(user === 'ben' ? 100 : 110);
  await turn();
  t.same(cut, ['cyd0', 'ben0']);
});

t.test('an account that is closed counts nothing more', async (t) => {
  const { memory, open } = make();
  const account = open('a', 'ann');
  account.add(10);
  account.close();
  account.close();
  account.add(5);
  account.took(5);
  t.equal(memory.usedBytes, 0);
});
