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

t.test('each gets 64 KiB, however many there are', async (t) => {
  const { turns, endTurn } = make();
  const shares = Array.from({ length: 100 }, () => turns.share());
  for (const share of shares) share.isUsedUp(1);
  endTurn();
  t.same(shares.slice(0, 31).map(read), Array(31).fill(64 * KIB));
});

t.test(
  'a turn is full after 4 MiB: who comes later gives way after one read, and who brings little never does',
  async (t) => {
    const { turns } = make();
    const [one, two, late, keystrokes] = [turns.share(), turns.share(), turns.share(), turns.share()];
    t.same([one, two].map(read), [2 * MIB, 2 * MIB]);
    t.ok(late.isUsedUp(16 * KIB));
    t.notOk(keystrokes.isUsedUp(100));
  },
);

t.test('those who wait go on in order, as many in a turn as fill it', async (t) => {
  const { turns, endTurn } = make();
  const order: number[] = [];
  const flows = Array.from({ length: 100 }, (_, number) => ({ number, share: turns.share() }));
  const bring = ({ number, share }: (typeof flows)[number]): void => {
    read(share);
    share.wait(() => order.push(number));
  };
  for (const { share } of flows) share.isUsedUp(1);
  endTurn();
  flows.forEach(bring); // 64 KiB each, and less for those who found the turn full
  endTurn();
  t.equal(order.length, 32, '32 x 64 KiB');
  for (let turns = 0; turns < 100 && order.length < 100; turns++) endTurn();
  t.same(order, Array.from(flows.keys()));
});

t.test('those who have to wait count among those who share', async (t) => {
  const { turns, endTurn } = make();
  const flows = Array.from({ length: 1_000 }, () => turns.share());
  let goneOn: TurnShare[] = [];
  const bring = (share: TurnShare): number => {
    const bytes = read(share);
    share.wait(() => goneOn.push(share));
    return bytes;
  };
  flows.forEach(bring);
  for (let turn = 0; turn < 200; turn++) {
    endTurn();
    const now = goneOn;
    goneOn = [];
    const bytes = now.map(bring);
    if (turn === 0) t.equal(bytes.length, 32);
    t.ok(Math.max(...bytes) <= 64 * KIB, 'no few of them take it all');
  }
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
