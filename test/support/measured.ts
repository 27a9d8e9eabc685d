/** MEASURED: a whole server whose primary is in this process, so that a test can ask its metrics. The log is at `error`: what
 *  workers count must not depend on what they tell.
 *  Owns the server until the test ends; it must then drain. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ConfiguredServer } from '../../src/library/configured.js';
import { inProcessFork } from '../../src/library/in_process.js';
import { serve } from '../../src/library/serving.js';
import type { Metrics } from '../../src/master/metrics.js';
import type { Primary } from '../../src/master/primary.js';
import { preparePrimary } from '../../src/master/start.js';
import { clusterFork } from '../../src/master/worker_process.js';
import { within } from './deadline.js';
import { type Login, makeLogin, type SshEndpoint } from './server.js';
import { tempDir } from './temp.js';
import { testConfig } from './test_config.js';

export interface Measured extends SshEndpoint {
  readonly primary: Primary;
  readonly alice: Login;
  /** Has no key here. */
  readonly bob: Login;
}

/** @param workers processes; 0: the worker shares this one */
export async function startMeasured(
  t: Test,
  workers: number,
  keys: Readonly<Record<string, unknown>> = {},
): Promise<Measured> {
  const dir = tempDir(t);
  const [alice, bob] = await Promise.all([makeLogin(t, dir, 'alice'), makeLogin(t, dir, 'bob')]);
  const config = testConfig({
    workers: Math.max(1, workers),
    stateDir: join(dir, 'state'),
    timeouts: { drain: '2s', hook: '2m' }, // a busy machine takes seconds for a password
    log: { level: 'error', format: 'json' },
    users: {
      alice: {
        authorizedKeys: [readFileSync(`${alice.keyFile}.pub`, 'utf8').trim()],
        permitOpen: ['localhost:*', `${dir}/*.sock`],
        permitListen: ['localhost:*', `${dir}/*.sock`],
      },
    },
    ...keys,
  });
  const { primary, end } = await preparePrimary({
    config,
    handler: null,
    fork:
      workers === 0
        ? inProcessFork((start, link) => serve(new ConfiguredServer(), start, link))
        : clusterFork({ entry: new URL('../../src/worker/main.js', import.meta.url), execArgv: [] }),
    workersOutlive: workers > 0,
    takeover: false,
    fds: [],
  });
  t.teardown(async () => {
    const clean = await primary.drain();
    await end(clean);
    if (!clean) throw new Error('the server did not drain');
  });
  const [address] = await within(primary.start(), 'start of the server');
  if (address?.kind !== 'tcp') throw new Error('no TCP listener');
  return { primary, alice, bob, host: '127.0.0.1', port: address.port };
}

/** Every number of a scrape, by its name and labels as they are written. */
export async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const { body } = await metrics.render();
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}
