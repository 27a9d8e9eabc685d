/** PURSE: whose turn it is to spend, on a clock of the test's. */
import t from 'tap';
import { type Account, Purse } from '../../../src/worker/channel/purse.js';
import { FakeClock } from '../../support/fake_clock.js';

function room(fullBytes = 1_000_000) {
  const clock = new FakeClock();
  let questions = 0;
  const purse = new Purse({ onShort: () => questions++, now: () => clock.nowMs(), after: clock.after.bind(clock) });
  purse.fullBytes = fullBytes;
  return { clock, purse, asked: () => questions };
}

/** A channel that sends all it may, up to `wants` bytes. */
class Sender {
  readonly account: Account;
  readonly #purse: Purse;
  wants: number;
  sent = 0;
  calls = 0;

  constructor(purse: Purse, wants = Number.POSITIVE_INFINITY) {
    this.#purse = purse;
    this.wants = wants;
    this.account = purse.account(() => {
      this.calls++;
      this.send();
    });
  }
  send(): void {
    const bytes = Math.min(this.wants, this.#purse.available(this.account));
    if (bytes > 0) this.#purse.spend(this.account, bytes);
    this.sent += bytes;
    this.wants -= bytes;
    if (this.wants > 0) this.#purse.wait(this.account);
  }
}

t.test('an empty purse asks, a full one does not; what was granted is spent', async (t) => {
  const { purse, asked } = room(1_000);
  const sender = new Sender(purse, 700);
  sender.send();
  t.same([sender.sent, asked(), purse.shortBytes, purse.isWaiting(sender.account)], [0, 1, 1_000, true]);
  purse.grant(600);
  t.same([sender.sent, sender.calls, purse.shortBytes], [600, 1, 1_000]);
  purse.grant(5_000);
  t.same([sender.sent, sender.calls, purse.isWaiting(sender.account)], [700, 2, false]);
  t.equal(purse.shortBytes, 0, 'it holds no more than it may, and more than half: nothing is asked');
  t.equal(purse.available(sender.account), 900);
});

t.test('nobody waits: whoever comes may have it all', async (t) => {
  const { purse } = room();
  purse.grant(500_000);
  const sender = new Sender(purse);
  sender.send();
  t.equal(sender.sent, 500_000);
});

t.test('those that wait get equal parts, in the order in which they waited', async (t) => {
  const { purse } = room();
  const senders = Array.from({ length: 4 }, () => new Sender(purse));
  for (const sender of senders) sender.send();
  purse.grant(100_000);
  t.same(
    senders.map(({ sent }) => sent),
    [25_000, 25_000, 25_000, 25_000],
  );
  purse.grant(6_000); // less than two parts: the others come first at the next grant
  purse.grant(6_000);
  t.same(
    senders.map(({ sent }) => sent),
    [29_096, 26_904, 29_096, 26_904],
  );
});

t.test('what some leave goes to those that want more, after a moment', async (t) => {
  const { purse, clock } = room();
  const small = Array.from({ length: 9 }, () => new Sender(purse, 10));
  const large = new Sender(purse);
  for (const sender of [...small, large]) sender.send();
  purse.grant(100_000);
  t.same([large.sent, small.map(({ sent }) => sent)], [10_000, small.map(() => 10)]);
  clock.advance(10);
  t.equal(large.sent, 99_910);
});

t.test('no more are called than there are parts', async (t) => {
  const { purse, clock } = room();
  const senders = Array.from({ length: 100 }, () => new Sender(purse));
  for (const sender of senders) sender.send();
  purse.grant(100);
  t.equal(
    senders.reduce((sum, { calls }) => sum + calls, 0),
    1,
    'one, whose packet is small enough; each of them may read from its source before it knows',
  );
  clock.advance(1_000);
  t.equal(
    senders.reduce((sum, { calls }) => sum + calls, 0),
    1,
    'and nobody for nothing',
  );
});

t.test('one that was called and has nothing to send holds nobody up', async (t) => {
  const { purse, clock } = room();
  const idle = Array.from({ length: 5 }, () => {
    const account = purse.account(() => {});
    purse.wait(account);
    return account;
  });
  const sender = new Sender(purse);
  sender.send();
  purse.grant(4_000);
  t.equal(sender.sent, 0, 'the first has its turn');
  clock.advance(50);
  t.equal(sender.sent, 4_000);
  t.notOk(idle.some((account) => purse.isWaiting(account)));
});

t.test('whoever leaves is not called, and gets no part', async (t) => {
  const { purse } = room();
  const senders = [new Sender(purse), new Sender(purse)] as const;
  for (const sender of senders) sender.send();
  purse.leave(senders[0].account);
  purse.grant(10_000);
  t.same(
    senders.map(({ sent }) => sent),
    [0, 10_000],
  );
});

t.test('what was granted and not spent is void after a quarter of a second', async (t) => {
  const { purse, clock, asked } = room(1_000);
  const sender = new Sender(purse, 100);
  purse.grant(1_000);
  clock.advance(250);
  t.equal(purse.available(sender.account), 1_000);
  clock.advance(1);
  t.equal(purse.available(sender.account), 0);
  sender.send();
  t.same([sender.sent, asked(), purse.shortBytes], [0, 1, 1_000], 'it is asked for anew');
});

t.test('bytes that are given back are there again, but no more than it holds', async (t) => {
  const { purse } = room(1_000);
  const sender = new Sender(purse, 100);
  purse.grant(1_000);
  sender.send();
  purse.giveBack(60);
  t.equal(purse.available(sender.account), 960);
  purse.giveBack(60_000);
  t.equal(purse.available(sender.account), 1_000);
});

t.test('a closed purse leaves no timer', async (t) => {
  const { purse, clock } = room();
  for (const sender of [new Sender(purse, 10), new Sender(purse, 5_000)]) sender.send();
  purse.grant(8_192);
  t.equal(clock.pending, 1);
  purse.close();
  t.equal(clock.pending, 0);
});
