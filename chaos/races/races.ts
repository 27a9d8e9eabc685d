/** RACES: as many races as are wanted, some at a time; after each group nothing may be left of it: no lease, no count, no
 *  descriptor, no socket file.
 *  Owns the world and the grounds. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dice } from '../dice.js';
import { Places } from '../places.js';
import { comesTrue } from '../processes.js';
import { type Ground, race } from './race.js';
import { World } from './world.js';

export interface RacesOptions {
  readonly count: number;
  readonly seed: number;
  readonly progress?: (done: number) => void;
}

const AT_A_TIME = 200;
const LEFT_OVER_MS = 20_000;

/** @returns what went wrong, with the number of the first race of the group; empty when nothing did */
export async function races({ count, seed, progress = ignore }: RacesOptions): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'races-'));
  const world = await World.open(new Dice(seed));
  try {
    const places = new Places(process.pid * 61);
    const grounds: Ground[] = [];
    for (let at = 0; at < AT_A_TIME; at++) grounds.push({ port: await places.port(), path: join(dir, `${at}.sock`) });
    const baseline = World.descriptors();
    for (let done = 0; done < count; done += AT_A_TIME) {
      const group = grounds.slice(0, Math.min(AT_A_TIME, count - done));
      const wrong = (await Promise.all(group.map((ground, at) => race(world, ground, seed + done + at)))).flat();
      wrong.push(...(await world.settled()));
      if (!(await comesTrue(() => World.descriptors() <= baseline, LEFT_OVER_MS)))
        wrong.push(`${World.descriptors() - baseline} descriptors are left`);
      wrong.push(...readdirSync(dir).map((name) => `socket file ${name} is left`));
      if (wrong.length > 0) return wrong.map((what) => `races from ${done} on, seed ${seed}: ${what}`);
      progress(done + group.length);
    }
    return [];
  } finally {
    await world.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function ignore(): void {}
