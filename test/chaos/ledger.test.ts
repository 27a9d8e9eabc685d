/** The ledger's verdicts, each with its twin: what is equal, what was ended and told, and everything that counts as lost. */
import t, { type Test } from 'tap';
import type { Cause, Side, Verdict } from '../../chaos/flow.js';
import { TOLD_WITHIN_MS } from '../../chaos/judge.js';
import { Ledger } from '../../chaos/ledger.js';

const NEAR_BYTES = 100;
const FAR_BYTES = 70;
const AFTER_MS = 1_000;

class Story {
  readonly ledger = new Ledger();
  readonly clientCauses: Cause[] = [];
  nowMs = 10_000;

  constructor(serverHolds: Side | null = 'far') {
    const bytes = { near: NEAR_BYTES, far: FAR_BYTES };
    this.ledger.start({ id: 1, way: '-L', bytes, serverHolds }, [this.clientCauses], this.nowMs);
  }
  connect(...sides: Side[]): this {
    for (const side of sides) this.ledger.connected(1, side, this.nowMs);
    return this;
  }
  got(side: Side, bytes: number, differsAt = -1): this {
    this.ledger.received(1, side, bytes, differsAt, this.nowMs);
    return this;
  }
  eof(...sides: Side[]): this {
    for (const side of sides) this.ledger.eof(1, side, this.nowMs);
    return this;
  }
  close(side: Side, error: string | null = null): this {
    this.ledger.closed(1, side, error, this.nowMs);
    return this;
  }
  cause(options: Partial<Cause> = {}): this {
    const at = { beganMs: this.nowMs, endedMs: this.nowMs };
    this.clientCauses.push({ name: 'it', effect: 'ends', lasting: true, endsAsEof: false, ...at, ...options });
    return this;
  }
  after(ms: number = AFTER_MS): this {
    this.nowMs += ms;
    return this;
  }
  whole(): this {
    return this.connect('near', 'far').got('far', NEAR_BYTES).got('near', FAR_BYTES).eof('near', 'far');
  }
  is(t: Test, verdict: Verdict, why: RegExp = /^/): void {
    const settled = this.ledger.settle(this.nowMs);
    t.equal(settled[0]?.judgement.verdict ?? 'open', verdict);
    t.match(settled[0]?.judgement.why ?? '', why);
  }
}

t.test('equal: every byte and the end of stream at both ends, and both closed', async (t) => {
  new Story().whole().is(t, 'open');
  new Story().whole().close('near').is(t, 'open');
  new Story().whole().close('near').close('far').is(t, 'equal');
  new Story().cause().whole().close('near').close('far').is(t, 'equal');
  const story = new Story().cause({ effect: 'delays' }).after().whole().close('near').close('far');
  story.is(t, 'equal');
  t.match(story.ledger.totals(), { bytes: NEAR_BYTES + FAR_BYTES, survived: 1 }, 'in spite of what was done to it');
});

t.test('lost, whatever was done: a byte that was not sent, and one too many', async (t) => {
  new Story()
    .cause()
    .connect('near', 'far')
    .got('far', 5)
    .got('far', 5, 2)
    .is(t, 'lost', /byte 7 at the far end/);
  new Story()
    .cause()
    .connect('near', 'far')
    .got('near', FAR_BYTES + 1)
    .is(t, 'lost', /more bytes at the near end/);
});

t.test('cut: ended where something was done that may end it, else lost', async (t) => {
  const cut = (story: Story): Story => story.after().close('near').close('far', 'ECONNRESET');
  const begun = (): Story => new Story().connect('near', 'far').got('far', 10);
  cut(begun().cause()).is(t, 'ended', /^it$/);
  cut(begun()).is(t, 'lost', /nothing was done that may end it/);
  cut(begun().cause({ effect: 'delays' })).is(t, 'lost', /nothing was done/);
  const late = cut(begun()).after();
  late.cause().is(t, 'lost', /nothing was done/);
  cut(begun().cause({ lasting: false })).is(t, 'ended', /^it$/);
  const before = new Story().after();
  before.cause({ lasting: false, beganMs: 0, endedMs: 1 });
  cut(before.connect('near', 'far')).is(t, 'lost', /nothing was done/);
});

t.test('what refuses ends only what is not through yet', async (t) => {
  const refuses = { effect: 'refuses', lasting: false } as const;
  new Story().cause(refuses).connect('near').after().close('near').after(10_000).is(t, 'ended', /^it$/);
  new Story().connect('near', 'far').after().cause(refuses).close('near').close('far', 'ECONNRESET').is(t, 'lost');
});

t.test('the end is told to both within 45 s, counted from the end of what was done', async (t) => {
  const half = (): Story => new Story().connect('near', 'far').cause().after().close('near');
  half().after(TOLD_WITHIN_MS).is(t, 'open');
  half()
    .after(TOLD_WITHIN_MS + 1)
    .is(t, 'lost', /nobody told an end of it/);
  half()
    .after(TOLD_WITHIN_MS)
    .close('far', 'ECONNRESET')
    .is(t, 'lost', /too late/);
  const hanging = new Story().connect('near', 'far').cause({ endedMs: null });
  hanging.after(10 * TOLD_WITHIN_MS).is(t, 'open');
  for (const cause of hanging.clientCauses) cause.endedMs = hanging.nowMs;
  hanging.after().close('near').close('far', 'ECONNRESET').is(t, 'ended');
});

t.test('a flow that rests for 45 s with nothing done to it is lost', async (t) => {
  new Story().connect('near', 'far').after(TOLD_WITHIN_MS).is(t, 'open');
  new Story()
    .connect('near', 'far')
    .after(TOLD_WITHIN_MS + 1)
    .is(t, 'lost', /got 0 of 70/);
});

t.test('a part that is told as the whole is lost, where the server could have said so', async (t) => {
  const part = (holds: Side | null): Story => new Story(holds).connect('near', 'far').got('far', 10);
  part('far')
    .cause()
    .eof('far')
    .close('far')
    .close('near')
    .is(t, 'lost', /told that it is whole/);
  part('far').cause().close('far', 'ECONNRESET').eof('near').close('near').is(t, 'ended');
  part('far').cause({ endsAsEof: true }).eof('far').close('far').close('near').is(t, 'ended');
  part(null).cause().eof('far').close('far').close('near').is(t, 'ended');
});

t.test('a far end that never comes, and one that comes late', async (t) => {
  const gone = (): Story => new Story().connect('near').cause().close('near');
  gone().is(t, 'open');
  const story = gone().after(10_000);
  story.is(t, 'ended');
  story.connect('far').is(t, 'open');
  story.after(TOLD_WITHIN_MS + 1).is(t, 'lost');
});

t.test('what is open at the end is lost, and sums outlive what they were made of', async (t) => {
  const story = new Story().whole().close('near').close('far');
  story.is(t, 'equal');
  story.after(10 * TOLD_WITHIN_MS).is(t, 'open');
  t.equal(story.ledger.plan(1), undefined, 'forgotten');
  t.match(story.ledger.totals(), { verdicts: { equal: 1 }, bytes: NEAR_BYTES + FAR_BYTES });
  const open = new Story();
  t.match(open.ledger.close(), [{ judgement: { verdict: 'lost', why: /still open/ } }]);
  t.equal(open.ledger.totals().verdicts.lost, 1);
});
