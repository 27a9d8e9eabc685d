/** The first line, alone: every way of cutting it up, silence, and a peer that leaves. The words on the wire stand in
 *  hostile_basics/before_login. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { mock } from 'node:test';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { takeHandle } from '../../src/shared/handles.js';
import { Intake } from '../../src/worker/intake.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import { SocketReader } from '../../src/worker/transport/reader.js';
import { deferred, within } from '../support/deadline.js';

interface Started {
  readonly intake: Intake;
  readonly reader: SocketReader;
  readonly peer: Socket;
  readonly outcomes: string[];
  readonly outcome: () => Promise<string>;
}

async function start(t: Test): Promise<Started> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, 'connection');
  const address = server.address();
  const peer = connect(address !== null && typeof address === 'object' ? address.port : 0, '127.0.0.1');
  peer.on('error', () => {});
  peer.resume();
  t.teardown(() => {
    peer.destroy();
    server.close();
  });
  const [accepted]: Socket[] = await accepting;
  const handle = accepted === undefined ? undefined : takeHandle(accepted);
  if (handle === undefined) throw new Error('no connection');
  const reader = new SocketReader(handle, new Buffers(), () => true);
  const outcomes: string[] = [];
  const outcome = deferred<string>();
  const tell = (what: string): void => {
    outcomes.push(what);
    outcome.resolve(what);
  };
  const intake = new Intake(reader, {
    onIdent: (line, rest) => tell(`ident ${line.toString('latin1')}|${rest.toString('latin1')}`),
    onRefused: (reason) => tell(reason),
  });
  t.teardown(() => reader.socket.destroy());
  return { intake, reader, peer, outcomes, outcome: () => within(outcome.promise, 'an outcome') };
}

t.test('cut anywhere, the line and what came behind it are the same', async (t) => {
  const text = 'SSH-2.0-Client with comments\r\nand what follows\nof it';
  const cuts = fc.sample(fc.array(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 20 }), 30);
  for (const places of [[], Array.from({ length: text.length - 1 }, (_, at) => at + 1), ...cuts]) {
    const { peer, reader, outcome } = await start(t);
    let at = 0;
    for (const place of [...new Set([...places, text.indexOf('\n') + 1])].sort((a, b) => a - b)) {
      if (place > text.indexOf('\n') + 1) break;
      const before = reader.socket.bytesRead;
      peer.write(text.slice(at, place));
      while (reader.socket.bytesRead < before + place - at) await new Promise((resolve) => setImmediate(resolve));
      at = place;
    }
    t.equal(await outcome(), 'ident SSH-2.0-Client with comments\r\n|');
  }
  const { peer, outcome } = await start(t);
  peer.write(text);
  t.equal(await outcome(), 'ident SSH-2.0-Client with comments\r\n|and what follows\nof it');
});

t.test('what can be no ident is refused at its first wrong byte', async (t) => {
  for (const text of ['X', 'SSH-1.5', 'SSH-2.1', 'SSH-1.98', 'ssh', '\n']) {
    const { peer, outcome, outcomes } = await start(t);
    peer.write(text);
    t.equal(await outcome(), 'IDENT_INVALID', JSON.stringify(text));
    peer.write('SSH-2.0-Client\r\n');
    await once(peer, 'close');
    t.equal(outcomes.length, 1, 'told once');
  }
});

t.test('silence, and an ident that takes too long', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const [silent, slow] = [await start(t), await start(t)];
  slow.peer.write('SSH-2.0-Slow');
  while (slow.reader.socket.bytesRead === 0) await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(9_999);
  t.same([silent.outcomes, slow.outcomes], [[], []]);
  mock.timers.tick(1);
  t.same([silent.outcomes, slow.outcomes], [['IDENT_TIMEOUT'], ['IDENT_TIMEOUT']]);
  t.ok(silent.reader.socket.destroyed && slow.reader.socket.destroyed, 'closed without a word');
});

t.test('a peer that leaves, by FIN or by RST', async (t) => {
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const { peer, outcome, outcomes, reader } = await start(t);
    peer[leave]();
    t.equal(await outcome(), 'PEER_CLOSED');
    while (!reader.socket.closed) await new Promise((resolve) => setImmediate(resolve));
    t.equal(outcomes.length, 1);
  }
});

t.test('a cancel tells nobody', async (t) => {
  const { intake, outcomes, reader } = await start(t);
  intake.cancel();
  intake.cancel();
  t.ok(reader.socket.destroyed);
  while (!reader.socket.closed) await new Promise((resolve) => setImmediate(resolve));
  t.same(outcomes, []);
});
