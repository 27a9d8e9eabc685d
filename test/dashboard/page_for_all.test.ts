/** PAGE FOR ALL: the dashboard without a mouse, with a screen reader, on a telephone, in the dark. */
import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { FAILED_REQUEST, type Visit, type Visitor, visits } from '../support/browser.js';
import { listed, text } from '../support/dashboard.js';
import { fakeAdmin } from '../support/fake_admin.js';
import { busyWorld, connection } from '../support/worlds.js';

const TESTS: readonly Visit[] = [
  ['ends a connection by keyboard alone', endsByKeyboard],
  ['keeps the focus while lists change', keepsFocus],
  ['fits a narrow screen', fitsNarrow],
  ['has two colour schemes', hasSchemes],
  ['leaves axe without a word', satisfiesAxe],
];

t.test('in a browser', { timeout: 400_000 }, (t) => visits(t, TESTS));

/** What a screen reader calls the element that has the focus. */
function focusedName(page: Page): Promise<string> {
  return page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent");
}

async function endsByKeyboard(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url);
  await listed(page);
  const focused = (): Promise<string> => focusedName(page);
  for (let presses = 0; !(await focused()).startsWith('End connection 1204 of ana'); presses += 1) {
    if (presses > 60) throw new Error(`not reached by Tab: ${await focused()}`);
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'End connection' }).waitFor();
  t.equal(await focused(), 'Cancel', 'the answer that does no harm is the first');
  await page.keyboard.press('Escape');
  t.match(await focused(), 'End connection', 'the focus is back');
  t.notOk(
    admin.requests.some((request) => request.startsWith('DELETE')),
    'and nothing was ended',
  );
  const label = await focused();
  const id = /\d+/.exec(label)?.[0];
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  t.equal(await focused(), 'End connection');
  await page.keyboard.press('Enter');
  await page.getByText('11 connections', { exact: true }).waitFor();
  t.ok(admin.requests.includes(`DELETE /api/v1/connections/${id}`), label);
  t.equal(await text(page, '#live'), `Connection ${id} has ended.`);
  t.match(await focused(), /^End connection/, 'the focus is at the next row');
}

async function keepsFocus(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url);
  await listed(page);
  const label = 'End connection 1171 of ana';
  await page.getByRole('button', { name: label }).focus();
  admin.world.connections = [connection(1_300, 'zoe', 'new.internal:1'), ...admin.world.connections.toReversed()];
  await page.locator('#tunnels-body').getByText('zoe').waitFor();
  t.match(await focusedName(page), label);
}

async function fitsNarrow(t: Test, visitor: Visitor): Promise<void> {
  const world = busyWorld();
  world.connections = [connection(1, 'x'.repeat(255), `${'y'.repeat(250)}:443`), ...world.connections];
  const admin = await fakeAdmin(t, world);
  for (const width of [380, 320]) {
    const page = await visitor.open(admin.url, { viewport: { width, height: 800 } });
    await listed(page);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, `${width} px: no scrolling sideways`);
    await page.close();
  }
}

async function hasSchemes(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url, { colorScheme: 'light' });
  await listed(page);
  const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  t.not(await ground(), light);
  t.equal(await page.locator('#throughput canvas').count(), 1, 'the charts are drawn anew, once');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  t.equal(await page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration"), '0s');
}

async function satisfiesAxe(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const light = await visitor.open(admin.url, { colorScheme: 'light' });
  await listed(light);
  await check(t, light, 'light, wide');
  const dark = await visitor.open(admin.url, {
    colorScheme: 'dark',
    viewport: { width: 380, height: 900 },
    expected: FAILED_REQUEST,
  });
  await listed(dark);
  await check(t, dark, 'dark, narrow');
  await dark.getByRole('button', { name: 'Drain…' }).click();
  await check(t, dark, 'with a dialog');
  await dark.keyboard.press('Escape');
  await light.close();
  await admin.close();
  await dark.locator('#notice').getByText('The server does not answer').waitFor();
  await check(t, dark, 'with a server that is gone');
}

async function check(t: Test, page: Page, name: string): Promise<void> {
  await page.evaluate(axe.source);
  const found: AxeResults = await page.evaluate('axe.run(document)');
  const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  t.same(violations, [], name);
}
