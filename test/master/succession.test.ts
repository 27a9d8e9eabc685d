/** Where a primary's own sockets stand, whatever has become of them; and a successor that is told to stop. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/master/clock.js';
import { HandOver } from '../../src/master/hand_over.js';
import { ServerListeners } from '../../src/master/listener.js';
import { Succession } from '../../src/master/succession.js';
import { tempDir } from '../support/temp.js';

function room(t: Test, stateDir: string) {
  const troubles: string[] = [];
  const infos: string[] = [];
  const succession = new Succession({
    stateDir,
    listen: () => [],
    listeners: () => undefined,
    adopt() {},
    letGo: async () => {},
    info: (text) => infos.push(text),
    trouble: (text) => troubles.push(text),
    clock: systemClock,
  });
  t.teardown(() => succession.close());
  return { succession, troubles, infos };
}

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
    letGo: () => succession.close(),
    trouble: (text) => t.fail(text),
    clock: systemClock,
  });
  await over.open(stateDir);
  t.teardown(() => over.close());
  t.ok(await succession.takeListeners());
  await succession.begin();
  const options = { listen: [], fds: [], clock: systemClock, events: { arrived() {}, trouble() {} } };
  await t.resolves(succession.accept(new ServerListeners(), options));
  t.notOk(existsSync(join(stateDir, 'primary.sock')));
  t.same([...infos, ...troubles], []);
});
