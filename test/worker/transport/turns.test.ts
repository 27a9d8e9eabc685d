/** How much each socket may bring in a turn of the event loop. */
import t from 'tap';
import { type TurnShare, Turns } from '../../../src/worker/transport/turns.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function make() {
  let end = (): void => {};
  const turns = new Turns((callback) => {
    end = callback;
  });
  return { turns, endTurn: () => end() };
}

/** In reads of 16 KiB. @returns how many bytes came until it was to give way */
function read(share: TurnShare): number {
  let bytes = 16 * KIB;
  while (!share.isUsedUp(16 * KIB) && bytes < 64 * MIB) bytes += 16 * KIB;
  return bytes;
}

t.test('a socket alone brings 2 MiB, in every turn', async (t) => {
  const { turns, endTurn } = make();
  const share = turns.share();
  for (let turn = 0; turn < 3; turn++) {
    t.equal(read(share), 2 * MIB);
    endTurn();
  }
});

t.test('what came in a turn before does not count', async (t) => {
  const { turns, endTurn } = make();
  const share = turns.share();
  t.notOk(share.isUsedUp(2 * MIB - 1));
  endTurn();
  t.notOk(share.isUsedUp(1));
  t.ok(share.isUsedUp(2 * MIB - 1));
});

t.test('many share 4 MiB in equal parts, as soon as they are known to be many', async (t) => {
  const { turns, endTurn } = make();
  const shares = Array.from({ length: 16 }, () => turns.share());
  shares.forEach(read); // the first of them could not know
  endTurn();
  t.same(shares.map(read), Array(16).fill(256 * KIB));
  endTurn();
  const [first] = shares;
  if (first === undefined) return;
  t.equal(read(first), 256 * KIB, 'in the turn after, the others may still come');
  endTurn();
  t.equal(read(first), 2 * MIB, 'they did not');
});

t.test('each gets one read, however many there are', async (t) => {
  const { turns, endTurn } = make();
  const shares = Array.from({ length: 1_000 }, () => turns.share());
  for (const share of shares) share.isUsedUp(1);
  endTurn();
  t.equal(Math.max(...shares.map(read)), 16 * KIB);
});

t.test('the turn ends when all that was ready has been read', async (t) => {
  const turns = new Turns();
  const [a, b] = [turns.share(), turns.share()];
  a.isUsedUp(1);
  b.isUsedUp(1);
  const { number } = turns;
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(turns.number, number + 1);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(turns.number, number + 1, 'and none begins where nothing comes');
});
