/** ADMIN: where it is while the config changes and while somebody else has its place, on a clock of the test's. */
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Admin } from '../../src/master/admin/admin.js';
import { Feed } from '../../src/master/admin/feed.js';
import type { Config } from '../../src/shared/config.js';
import { ask, eventStream } from '../support/admin_client.js';
import { within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';
import { until } from '../support/joined.js';
import { tempDir } from '../support/temp.js';
import { testConfig } from '../support/test_config.js';

function room(t: Test, config: Config) {
  const [clock, feed] = [new FakeClock(), new Feed()];
  const said: string[] = [];
  const admin = new Admin({
    config,
    served: {
      drain() {},
      reload: async () => ({ ok: true, changed: [] }),
      status: () => {
        throw new Error('looks at every source');
      },
      connections: () => 4,
      addresses: () => [],
      metrics: {
        wrongToken() {},
        render: () => Promise.reject(new Error('asks the workers')),
        totals: () => Promise.reject(new Error('asks the workers')),
        load: () => ({ channels: 3, bytesIn: 2, bytesOut: 1 }),
      },
      survey: { connections: async () => null, forwards: async () => null },
      end: () => false,
      feed,
      clock,
    },
    info: (text) => said.push(text),
    trouble: (text) => said.push(text),
  });
  t.teardown(() => admin.close());
  return { admin, clock, said };
}

t.test('two that would open it at a time open it once', async (t) => {
  const dir = tempDir(t);
  const { admin, said } = room(t, testConfig({ stateDir: dir }));
  await Promise.all([admin.openNow(), admin.openNow()]);
  t.same(said, [`the admin API is at unix:${join(dir, 'admin.sock')}`]);
  t.equal((await ask({ socketPath: join(dir, 'admin.sock') }, '/healthz')).status, 200);
});

t.test('a reload of something else while it is opened leaves it there', async (t) => {
  const dir = tempDir(t);
  const { admin } = room(t, testConfig({ stateDir: dir }));
  const change = await admin.change(testConfig({ stateDir: dir, noShell: 'other' }));
  const opening = admin.openNow();
  change.keep();
  await opening;
  t.equal((await ask({ socketPath: join(dir, 'admin.sock') }, '/healthz')).status, 200);
});

t.test('a reload that wants none while it is opened, and its end then, leave nothing', async (t) => {
  const dir = tempDir(t);
  const config = testConfig({ stateDir: dir });
  const { admin, clock } = room(t, config);
  const change = await admin.change(testConfig({ stateDir: dir, admin: false }));
  const opening = admin.openNow();
  change.keep();
  await opening;
  t.same([readdirSync(dir), admin.address, clock.pending], [[], null, 0]);
  (await admin.change(config)).keep();
  t.equal((await ask({ socketPath: join(dir, 'admin.sock') }, '/healthz')).status, 200);
  await admin.close();

  const ending = room(t, config);
  const last = ending.admin.openNow();
  await ending.admin.close();
  t.same(readdirSync(dir), []);
  await last;
  t.equal(ending.clock.pending, 0);
});

t.test('a reload that wants it back waits until an opening of before has ended', async (t) => {
  const dir = tempDir(t);
  const config = testConfig({ stateDir: dir });
  const { admin } = room(t, config);
  const change = await admin.change(testConfig({ stateDir: dir, admin: false }));
  const opening = admin.openNow();
  change.keep();
  (await admin.change(config)).keep();
  await opening;
  t.equal((await ask({ socketPath: join(dir, 'admin.sock') }, '/healthz')).status, 200);
});

t.test('what stands in the default place and is no socket stays; the place is taken when it is free', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'admin.sock');
  mkdirSync(path);
  const { admin, clock, said } = room(t, testConfig({ stateDir: dir }));
  await admin.open(false);
  t.match(said, [/is not there: unix:.*: what stands there is no socket; it is tried again/]);
  t.ok(statSync(path).isDirectory());
  rmdirSync(path);
  clock.advance(2_000);
  await until(() => admin.address !== null, 'the place');
  t.equal((await ask({ socketPath: path }, '/healthz')).status, 200);
});

t.test('another token ends the streams of events that the old one has opened', async (t) => {
  const whole = testConfig({ stateDir: tempDir(t) });
  const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const withToken = (secret: string): Config => ({
    ...whole,
    admin: { ...whole.admin, listen, tokenFile: { path: 'token', secret } },
  });
  const { admin } = room(t, withToken('first'));
  await admin.open(false);
  const address = admin.address;
  if (address?.kind !== 'tcp') throw new Error('no port');
  const place = { host: address.address, port: address.port };
  const stream = await eventStream(t, place, { Authorization: 'Bearer first' });
  (await admin.change({ ...withToken('first'), noShell: 'other' })).keep();
  const still = await eventStream(t, place, { Authorization: 'Bearer first' });
  (await admin.change(withToken('second'))).keep();
  await within(Promise.all([stream.ended, still.ended]), 'end of the streams');
  t.equal((await eventStream(t, place, { Authorization: 'Bearer first' })).status, 401);
  t.equal((await eventStream(t, place, { Authorization: 'Bearer second' })).status, 200);
});

t.test('a sample is taken without a look at every source', async (t) => {
  const dir = tempDir(t);
  const { admin, clock } = room(t, testConfig({ stateDir: dir }));
  await admin.open(false);
  clock.advance(2_000);
  const { json } = await ask({ socketPath: join(dir, 'admin.sock') }, '/api/v1/history');
  t.match(json.samples, [
    [Number, 4, 3, 2, 1],
    [Number, 4, 3, 2, 1],
  ]);
});
