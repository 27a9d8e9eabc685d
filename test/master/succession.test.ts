/** Where a primary's own sockets stand, whatever has become of them; and a successor that is told to stop. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Clock, systemClock } from '../../src/master/clock.js';
import { HandOver } from '../../src/master/hand_over.js';
import { ServerListeners } from '../../src/master/listener.js';
import { MUSTER_TIMING } from '../../src/master/muster.js';
import { Orphanage } from '../../src/master/orphanage.js';
import { Succession } from '../../src/master/succession.js';
import { findNextPrimary } from '../../src/worker/next_primary.js';
import { deferred, within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';
import { until } from '../support/joined.js';
import { run } from '../support/process.js';
import { tempDir } from '../support/temp.js';

function room(t: Test, stateDir: string, clock: Clock = systemClock, adopt: (room: Succession) => void = () => {}) {
  const troubles: string[] = [];
  const infos: string[] = [];
  const succession: Succession = new Succession({
    stateDir,
    listen: () => [],
    listeners: () => undefined,
    adopt(_adoption, lines) {
      adopt(succession);
      t.teardown(() => lines.end());
    },
    letGo: async () => [],
    info: (text) => infos.push(text),
    trouble: (text) => troubles.push(text),
    clock,
  });
  t.teardown(() => succession.close());
  return { succession, troubles, infos };
}

const LISTEN_NOWHERE = { listen: [], fds: [], clock: systemClock, events: { arrived() {}, trouble() {} } };

const socketsIn = (dir: string) =>
  ['primary.sock', 'takeover.sock'].map((name) => ({ kind: 'unix', path: join(dir, name) }));

t.test('known by their real paths before they are open, in a folder that is made when missing', async (t) => {
  const base = tempDir(t);
  symlinkSync(base, join(base, 'link'));
  const { succession } = room(t, join(base, 'link', 'state'));
  await succession.locate();
  t.same(succession.ownSockets, socketsIn(join(base, 'state')));
  t.notOk(existsSync(join(base, 'state', 'primary.sock')));
  await succession.begin();
  t.equal(succession.control, join(base, 'state', 'primary.sock'));
});

t.test('the same where they are of another server, or cannot be opened', async (t) => {
  const stateDir = tempDir(t);
  const first = room(t, stateDir).succession;
  await first.begin();
  const second = room(t, stateDir);
  await second.succession.locate();
  await second.succession.begin();
  t.equal(second.succession.control, null);
  t.match(second.troubles, [/another server uses this stateDir/]);
  t.same(second.succession.ownSockets, socketsIn(stateDir));

  const long = join(stateDir, 'd'.repeat(60), 'd'.repeat(30));
  mkdirSync(long, { recursive: true });
  const third = room(t, long);
  await third.succession.locate();
  await third.succession.begin();
  t.equal(third.succession.control, null);
  t.same(third.succession.ownSockets, socketsIn(long));
});

t.test('a folder that cannot be made does not keep the server from its start', async (t) => {
  const file = join(tempDir(t), 'file');
  writeFileSync(file, '');
  const { succession } = room(t, join(file, 'state'));
  await succession.locate();
  t.same(succession.ownSockets, socketsIn(join(file, 'state')));
});

t.test('told to stop while the other one lets go: it opens nothing, and does not fail', async (t) => {
  const stateDir = tempDir(t);
  const { succession, infos, troubles } = room(t, stateDir);
  const over = new HandOver({
    listen: () => [],
    listeners: () => [],
    letGo: async () => {
      await succession.close();
      return [];
    },
    trouble: (text) => t.fail(text),
    clock: systemClock,
  });
  await over.open(stateDir);
  t.teardown(() => over.close());
  t.ok(await succession.takeListeners());
  await succession.begin();
  await t.resolves(succession.accept(new ServerListeners(), LISTEN_NOWHERE));
  t.notOk(existsSync(join(stateDir, 'primary.sock')));
  t.same([...infos, ...troubles], []);
});

/** A server that lets go of these workers. */
async function predecessor(
  t: Test,
  stateDir: string,
  workers: readonly number[] | Promise<readonly number[]>,
  letGo: () => void,
): Promise<void> {
  const over = new HandOver({
    listen: () => [],
    listeners: () => [],
    letGo: async () => {
      letGo();
      return workers;
    },
    trouble: (text) => t.fail(text),
    clock: systemClock,
  });
  await over.open(stateDir);
  t.teardown(() => over.close());
}

t.test('what is held is known when the workers of the server before have come', async (t) => {
  const stateDir = tempDir(t);
  const seen: [string, boolean][] = [];
  const look = (when: string, { complete }: Succession) => seen.push([when, complete === null]);
  const clock = new FakeClock();
  const { succession, troubles } = room(t, stateDir, clock, (room) => look('one comes', room));
  await predecessor(t, stateDir, [4321], () => look('the other accepts no more', succession));
  await succession.takeListeners();
  await succession.begin();
  look('the workers start', succession);
  await succession.accept(new ServerListeners(), LISTEN_NOWHERE);
  const { complete } = succession;
  look('the other has gone', succession);
  findNextPrimary(
    join(stateDir, 'primary.sock'),
    () => ({ type: 'adopt', pid: 4321, connections: [] }),
    () => {},
  );
  await within(complete ?? Promise.resolve(), 'the worker');
  look('it has come', succession);
  t.same(seen, [
    ['the workers start', true],
    ['the other accepts no more', false],
    ['the other has gone', false],
    ['one comes', false],
    ['it has come', true],
  ]);
  t.equal(clock.pending, 0);
  t.same(troubles, []);
});

t.test('who does not come is told of, and not waited for', async (t) => {
  const stateDir = tempDir(t);
  const clock = new FakeClock();
  const { succession, troubles } = room(t, stateDir, clock);
  await predecessor(t, stateDir, [4321, 4322], () => {});
  await succession.takeListeners();
  await succession.begin();
  await succession.accept(new ServerListeners(), LISTEN_NOWHERE);
  clock.advance(MUSTER_TIMING.releasedMs);
  t.equal(succession.complete, null);
  t.match(troubles, [/have not reported within 1 s: processes 4321, 4322/]);
});

t.test('after a death its workers get time to report; where nobody died there is nobody to wait for', async (t) => {
  const stateDir = tempDir(t);
  const clock = new FakeClock();
  const fresh = room(t, stateDir, clock).succession;
  await fresh.begin();
  t.equal(fresh.complete, null);
  await fresh.close();
  const path = join(stateDir, 'primary.sock');
  const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await run(t, process.execPath, ['-e', listen]);
  const { succession, troubles } = room(t, stateDir, clock);
  await succession.begin();
  t.ok(succession.complete);
  clock.advance(MUSTER_TIMING.orphanedMs);
  t.equal(succession.complete, null);
  t.same(troubles, []);
});

t.test('one that hangs has its places still: they are taken when it lets go', async (t) => {
  const stateDir = tempDir(t);
  const clock = new FakeClock();
  const asked = deferred<void>();
  await predecessor(t, stateDir, new Promise(() => {}), asked.resolve);
  const orphanage = new Orphanage({ adopt() {}, trouble: (text) => t.fail(text) });
  await orphanage.open(stateDir);
  const { succession, troubles } = room(t, stateDir, clock);
  await succession.takeListeners();
  await succession.begin();
  const accepted = succession.accept(new ServerListeners(), LISTEN_NOWHERE);
  await within(asked.promise, '`done`');
  clock.advance(5_000);
  await accepted;
  t.match(troubles, [/has not let go yet/]);
  t.equal(succession.control, join(stateDir, 'primary.sock'), 'workers that start now look there too');
  await orphanage.close();
  clock.advance(1_000);
  await until(() => existsSync(join(stateDir, 'primary.sock')), 'its own socket');
});
