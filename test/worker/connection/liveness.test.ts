/** Time passes when the test says so: node:test's timers, and `now` from the same clock. */
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { Liveness, type LivenessLimits } from '../../../src/worker/connection/liveness.js';

const DEFAULTS: LivenessLimits = { keepaliveMs: 15_000, keepaliveCount: 3, stalledWriteMs: 60_000 };

function make(t: Test, limits: Partial<LivenessLimits> = {}) {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const port = {
    nowMs: 1_000_000,
    heard: [] as string[],
    line: { queuedBytes: 0, writeProgress: 0, isExchanging: false },
    ticks: 0,
    sendKeepalive: () => port.heard.push(`keepalive at ${(port.nowMs - 1_000_000) / 1000}`),
    onTick: () => {
      port.ticks++;
    },
    onDead: (reason: string) => port.heard.push(`${reason} at ${(port.nowMs - 1_000_000) / 1000}`),
    now: () => port.nowMs,
  };
  const liveness = new Liveness(port, { ...DEFAULTS, ...limits });
  t.teardown(() => {
    liveness.stop();
    mock.timers.reset();
  });
  /** Second by second, so that `now` is right at each tick. */
  const pass = (seconds: number, each: () => void = () => {}): string[] => {
    for (let second = 0; second < seconds; second++) {
      port.nowMs += 1000;
      mock.timers.tick(1000);
      each();
    }
    return port.heard.splice(0);
  };
  return { port, liveness, pass };
}

t.test('a silent peer is asked twice, and given up 45 s after its last byte at the latest', async (t) => {
  for (const lastByteAt of [1, 4]) {
    await t.test(`heard ${lastByteAt} s into a tick of 5 s`, async (t) => {
      const { pass, liveness } = make(t);
      pass(100 + lastByteAt, () => liveness.heard());
      const heard = pass(60);
      t.same(heard.slice(0, 3), ['keepalive at 115', 'keepalive at 130', 'KEEPALIVE_TIMEOUT at 145']);
    });
  }
});

t.test('a peer that is held up for long is asked before it is given up, and has an interval to answer', async (t) => {
  await t.test('this process stood still: its silence is not the peer', async (t) => {
    const { port, pass } = make(t);
    t.same(pass(20), ['keepalive at 15']);
    port.nowMs += 600_000;
    t.same(pass(9), [], 'the answer may lie unread');
    t.same(pass(16), ['keepalive at 630', 'KEEPALIVE_TIMEOUT at 645']);
  });
  await t.test('nor a stalled write', async (t) => {
    const { port, pass, liveness } = make(t);
    port.line.queuedBytes = 1000;
    const talking = (): void => liveness.heard();
    pass(30, talking);
    port.nowMs += 600_000;
    t.same(pass(29, talking), []);
    t.same(pass(1, talking), ['WRITE_STALLED at 660']);
  });
});

t.test('keepalive times count is the end, however often stalled writes are looked for', async (t) => {
  for (const [keepaliveMs, stalledWriteMs] of [
    [60_000, 1_000],
    [60_000, 0],
    [60_000, 600_000],
    [50_000, 60_000],
    [300_000, 60_000],
    [3_000, 60_000],
  ] as const)
    await t.test(`keepalive ${keepaliveMs}, stalledWrite ${stalledWriteMs}`, async (t) => {
      const { pass } = make(t, { keepaliveMs, stalledWriteMs });
      const heard = pass((keepaliveMs / 1000) * 4);
      t.match(heard.slice(0, 3), [/^keepalive/, /^keepalive/, /^KEEPALIVE_TIMEOUT/]);
      for (const [at, text] of heard.slice(0, 3).entries()) {
        const lateMs = Number(text.split(' at ')[1]) * 1000 - keepaliveMs * (at + 1);
        t.ok(lateMs >= 0 && lateMs <= 1000, `${lateMs} ms late`); // the test's clock goes by seconds
      }
    });
});

t.test('any answer starts the count again', async (t) => {
  const { liveness, pass } = make(t);
  t.same(pass(40).length, 2);
  liveness.heard();
  t.same(pass(40), ['keepalive at 55', 'keepalive at 70']);
  liveness.heard();
  t.same(
    pass(75, () => liveness.heard()),
    [],
    'who talks is not asked',
  );
});

t.test('keepalive 0 asks nobody', async (t) => {
  t.same(make(t, { keepaliveMs: 0 }).pass(1000), []);
});

t.test('nobody is given up unasked: a count of 1 is one of 2', async (t) => {
  t.same(make(t, { keepaliveCount: 1 }).pass(30), ['keepalive at 15', 'KEEPALIVE_TIMEOUT at 30']);
});

t.test('bytes that wait and do not move are a stalled peer, bytes that move are not', async (t) => {
  await t.test('not moving', async (t) => {
    const { port, pass, liveness } = make(t);
    port.line.queuedBytes = 1000;
    t.same(
      pass(60, () => liveness.heard()),
      ['WRITE_STALLED at 60'],
      'also when the peer talks',
    );
  });
  await t.test('moving slowly', async (t) => {
    const { port, pass, liveness } = make(t);
    port.line.queuedBytes = 1000;
    t.same(
      pass(600, () => {
        liveness.heard();
        if (port.nowMs % 50_000 === 0) port.line.writeProgress++;
      }),
      [],
    );
  });
  await t.test('gone in between', async (t) => {
    const { port, pass, liveness } = make(t);
    port.line.queuedBytes = 1000;
    pass(45, () => liveness.heard());
    port.line.queuedBytes = 0;
    pass(15, () => liveness.heard());
    port.line.queuedBytes = 1000;
    t.same(
      pass(45, () => liveness.heard()),
      [],
      'the time counts from the last that was read',
    );
  });
  await t.test('stalledWrite 0 waits for ever', async (t) => {
    const { port, pass, liveness } = make(t, { stalledWriteMs: 0 });
    port.line.queuedBytes = 1000;
    t.same(
      pass(1000, () => liveness.heard()),
      [],
    );
  });
});

t.test('something is looked at every 15 seconds at the least: re-keying by time depends on it', async (t) => {
  const { port, pass, liveness } = make(t, { keepaliveMs: 3_600_000, stalledWriteMs: 0 });
  pass(150, () => liveness.heard());
  t.equal(port.ticks, 10);
});

t.test('a probe', async (t) => {
  await t.test('is answered by anything that comes', async (t) => {
    const { port, liveness } = make(t);
    const both = Promise.all([liveness.probe(1000), liveness.probe(1000)]);
    t.equal(port.heard.length, 2);
    liveness.heard();
    t.same(await both, [true, true]);
  });
  await t.test('has a deadline', async (t) => {
    const { pass, liveness } = make(t);
    const probe = liveness.probe(3000);
    pass(3);
    t.equal(await probe, false);
    liveness.heard();
  });
  for (const [when, before, during, atItsEnd] of [
    ['that is under way all the time', true, true, true],
    ['that begins behind the question', false, true, true],
    ['that ends before the time is over, with the question sent behind it', true, true, false],
  ] as const)
    await t.test(`takes nobody for dead by a key exchange ${when}`, async (t) => {
      const { port, pass, liveness } = make(t);
      port.line.isExchanging = before;
      const probe = liveness.probe(3000);
      port.line.isExchanging = during;
      pass(2);
      port.line.isExchanging = atItsEnd;
      pass(1);
      t.equal(await probe, true);
    });
  await t.test('asked behind a key exchange, is any other', async (t) => {
    const { port, pass, liveness } = make(t);
    port.line.isExchanging = true;
    pass(10);
    port.line.isExchanging = false;
    const probe = liveness.probe(3000);
    pass(3);
    t.equal(await probe, false);
  });
  await t.test('fails with the connection, within a key exchange too: its deadline ends it', async (t) => {
    const { port, liveness } = make(t);
    port.line.isExchanging = true;
    const probe = liveness.probe(3000);
    liveness.stop();
    t.equal(await probe, false);
  });
  await t.test('fails with the connection', async (t) => {
    const { liveness } = make(t);
    const probe = liveness.probe(3000);
    liveness.stop();
    t.equal(await probe, false);
  });
});

t.test('while keys are exchanged nobody can answer: that time counts for nothing', async (t) => {
  await t.test('a silent peer', async (t) => {
    const { port, pass } = make(t);
    t.same(pass(30), ['keepalive at 15', 'keepalive at 30'], 'one more interval, and it would be dead');
    port.line.isExchanging = true;
    t.same(pass(100), []);
    port.line.isExchanging = false;
    const heard = pass(60);
    t.match(heard[0], /^keepalive/, 'then it is asked anew');
    t.match(heard.at(-1), /^KEEPALIVE_TIMEOUT/);
  });
  await t.test('bytes that wait for the end of the exchange', async (t) => {
    const { port, liveness, pass } = make(t, { stalledWriteMs: 10_000 });
    port.line.queuedBytes = 100;
    port.line.isExchanging = true;
    t.same(
      pass(100, () => liveness.heard()),
      [],
    );
    port.line.isExchanging = false;
    t.match(pass(20, () => liveness.heard())[0], /^WRITE_STALLED/);
  });
});
