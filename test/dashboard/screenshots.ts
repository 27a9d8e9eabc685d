/** SCREENSHOTS: `npm run screenshots`: the pictures of the README, out of the world of a busy morning. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { FakeAdmin } from '../support/fake_admin.js';
import { projectRoot } from '../support/paths.js';
import { pathOf } from '../support/programs.js';
import { busyWorld, secondLater } from '../support/worlds.js';

/** Seconds that pass before the picture: the lists are looked at every three. */
const SECONDS = 7;

const browser = await chromium.launch({ executablePath: pathOf('chromium') ?? 'chromium', args: ['--no-sandbox'] });
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 380]) {
      const admin = new FakeAdmin(busyWorld());
      await admin.listen();
      const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
      await page.goto(admin.url);
      for (let second = 0; second < SECONDS; second += 1) {
        await page.waitForResponse((response) => response.url().endsWith('/status'));
        secondLater(admin.world);
      }
      const file = `dashboard-${colorScheme}${width === 1280 ? '' : '-narrow'}.png`;
      const path = join(projectRoot, 'docs/images', file);
      // A telephone's page is long: the README shows its beginning.
      await page.screenshot(
        width === 1280
          ? { path, fullPage: true }
          : { path, clip: { x: 0, y: 0, width, height: 1_460 }, fullPage: true },
      );
      shrink(path);
      await page.close();
      await admin.close();
    }
  }
} finally {
  await browser.close();
}

/** To a palette of 256 colours, a third of the size, which nobody sees. */
function shrink(path: string): void {
  const { status } = spawnSync('pngquant', ['--force', '--ext', '.png', '--strip', path]);
  if (status !== 0) process.stderr.write(`${path} stays large: pngquant is not here (apt-get install pngquant)\n`);
}
