/** PAGE: the dashboard in a browser, against a server that answers as the agreement says: what it shows, what one can do with it,
 *  and what it makes of servers that lock, vanish or lie. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DASHBOARD_FILES } from '../../src/shared/dashboard_files.js';
import { FAILED_REQUEST, type Visit, type Visitor, visits } from '../support/browser.js';
import { listed, rows, SEARCH, text } from '../support/dashboard.js';
import { fakeAdmin } from '../support/fake_admin.js';
import { projectRoot } from '../support/paths.js';
import { busyWorld, connection, emptyWorld } from '../support/worlds.js';

t.test('the list of files is what the build has made', async (t) => {
  const folder = readdirSync(join(projectRoot, 'build/src/dashboard'), { recursive: true, encoding: 'utf8' });
  const built = folder.filter((name) => /\.(html|css|svg|js)$/.test(name)).sort();
  t.same(DASHBOARD_FILES.map(({ file }) => file).sort(), built);
});

const TESTS: readonly Visit[] = [
  ['shows what the server says', showsNumbers],
  ['helps where there is nothing', showsEmpty],
  ['searches on the server', searches],
  ['drains and reloads when it is meant', givesOrders],
  ['shows hostile text as text', showsHostileText],
  ['asks for the token', asksForToken],
  ['says that the server is gone, and finds it again', survivesRestart],
  ['shows the first thousand of twenty thousand', showsMany],
];

t.test('in a browser', { timeout: 400_000 }, (t) => visits(t, TESTS));

async function showsNumbers(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url);
  await listed(page);
  const tiles = await page.locator('#tiles .value').allInnerTexts();
  t.same([tiles[0], tiles[1], tiles[5]], ['12', '22', '2,362']);
  t.equal(tiles[4]?.replace('\u00a0', ' '), '3.4 MiB');
  t.match(await text(page, '#facts'), /up 3 d 4 h.*0\.1\.0.*4711.*0\.0\.0\.0:2222/s);
  t.equal(await text(page, '#pill'), 'Running');
  t.equal(await text(page, '#tunnels-count'), '12 connections');
  const tunnels = await rows(page, 'tunnels-body');
  t.equal(tunnels.length, 12);
  t.match(tunnels[2], /deploy publickey .*registry\.internal:5000 × 2 → git\.internal:22 .*412 MiB 3\.1 MiB 1 min End/);
  t.match((await rows(page, 'forwards-body'))[0], 'localhost:20017 sensor-17 2 35.5 MiB');
  t.match((await rows(page, 'workers-body'))[0], '1 ready 4 8 2.9 MiB 3.2 ms');
  t.match((await rows(page, 'refusals-body'))[0], /marcus reach payments-db.internal:5432 Not permitted to this user/);
  t.match((await rows(page, 'users-body')).join('\n'), /ana 2 2 .* 198 MiB/);
  t.match(await page.getAttribute('#throughput', 'aria-label'), /from clients now .*MiB\/s, at most/);
  t.equal(await page.locator('#throughput canvas').count(), 1);
  await page.getByRole('button', { name: '1 more' }).click();
  t.match((await rows(page, 'tunnels-body'))[3], /redis\.internal:6379 .*fewer/, 'unfolded');
}

async function showsEmpty(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, emptyWorld());
  const page = await visitor.open(admin.url);
  await listed(page);
  t.match(await text(page, '#tunnels-empty'), 'ssh -N -p 2222 -L 8080:localhost:80 USER@127.0.0.1');
  for (const id of ['forwards-empty', 'users-empty', 'workers-empty', 'refusals-empty'])
    t.ok(await page.locator(`#${id}`).isVisible(), id);
}

async function searches(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url);
  await listed(page);
  await page.getByLabel(SEARCH).fill('Git.Internal');
  await page.getByText('2 matching connections').waitFor();
  t.ok(admin.requests.includes('GET /api/v1/connections?limit=1000&search=Git.Internal'));
  t.equal((await rows(page, 'tunnels-body')).length, 2);
  t.match(await text(page, '#live'), '2 connections found.', 'and a screen reader hears it');
  await page.getByLabel(SEARCH).fill('nowhere');
  await page.getByText('Nothing matches.').waitFor();
  await page.getByLabel(SEARCH).fill('');
  await page.getByText('12 connections', { exact: true }).waitFor();
  await page.locator('#users-body').getByRole('button', { name: 'ana' }).click();
  await page.getByText('2 matching connections').waitFor();
  t.ok(admin.requests.includes('GET /api/v1/connections?limit=1000&user=ana'), 'one user alone');
  await page.getByRole('button', { name: 'Show all users again' }).click();
  await page.getByText('12 connections', { exact: true }).waitFor();
}

async function givesOrders(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url, { expected: FAILED_REQUEST });
  await listed(page);
  const sent = (order: string): number =>
    admin.requests.filter((request) => request === `POST /api/v1/${order}`).length;
  const order = async (name: string, answer: string): Promise<void> => {
    await page.getByRole('button', { name }).click();
    await page.getByRole('dialog').getByRole('button', { name: answer }).click();
  };
  await order('Reload config', 'Cancel');
  t.equal(sent('reload'), 0);
  admin.world.reload = { changed: ['users.ana', 'limits.startups'] };
  await order('Reload config', 'Reload');
  await page.getByRole('dialog', { name: 'Reloaded' }).waitFor();
  t.match(await text(page, '#report-lines'), /users\.ana\s+limits\.startups/);
  await page.keyboard.press('Enter');
  admin.world.reload = { errors: ['sallyport.yaml:3:1: usres: unknown key'] };
  await order('Reload config', 'Reload');
  await page.getByRole('dialog', { name: 'Nothing was reloaded' }).waitFor();
  t.match(await text(page, '#report-lines'), 'sallyport.yaml:3:1: usres: unknown key');
  await page.keyboard.press('Escape');
  admin.world.reload = { lost: true };
  await order('Reload config', 'Reload');
  await page.getByRole('dialog', { name: 'It is not known whether that was done' }).waitFor();
  await page.keyboard.press('Escape');
  await order('Drain…', 'Drain');
  await page.locator('#notice').getByText('12 are left').waitFor();
  t.equal(sent('drain'), 1);
  t.equal(await text(page, '#pill'), 'Draining');
  t.ok(await page.getByRole('button', { name: 'Drain…' }).isDisabled());
}

async function showsHostileText(t: Test, visitor: Visitor): Promise<void> {
  const hostile = '<img src=x onerror="document.title=1">';
  const ident = 'SSH-2.0-</td><script>document.title=2</script>';
  const world = emptyWorld();
  world.connections = [{ ...connection(7, hostile, `${hostile}:80`), client: ident }];
  world.forwards = [
    {
      conn: 7,
      user: hostile,
      worker: 1,
      kind: 'tcpip-forward',
      destination: hostile,
      ageMs: 1,
      channels: 0,
      bytesIn: 0,
      bytesOut: 0,
    },
  ];
  world.refusals = [
    {
      event: 'auth.failed',
      conn: 8,
      peer: '10.0.0.1:1',
      user: hostile,
      method: hostile,
      reason: 'UNKNOWN_USER',
      detail: hostile,
      level: 'warn',
      time: new Date().toISOString(),
    },
  ];
  const admin = await fakeAdmin(t, world);
  const page = await visitor.open(admin.url);
  await listed(page);
  t.equal(await page.locator('main img, main script').count(), 0);
  t.match(await text(page, '#tunnels-body'), hostile);
  t.match(await text(page, '#tunnels-body'), '</td><script>document.title=2</script>');
  t.match(await text(page, '#forwards-body'), hostile);
  t.match(await text(page, '#refusals-body'), `log in as ${hostile} by ${hostile}`);
  await page.getByRole('button', { name: /End connection 7/ }).click();
  t.match(await text(page, '#confirm-text'), hostile);
  await page.keyboard.press('Escape');
  await page.locator('#users-body button').click();
  await page.locator('#user-filter').waitFor();
  t.match(await text(page, '#user-filter'), hostile);
  t.match(await page.title(), 'Sallyport');
}

async function asksForToken(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, { ...busyWorld(), token: 'open sesame' });
  const page = await visitor.open(admin.url, { expected: FAILED_REQUEST });
  const dialog = page.getByRole('dialog', { name: 'Token needed' });
  await dialog.waitFor();
  t.equal(await text(page, '#pill'), 'Locked');
  await page.getByLabel('Token', { exact: true }).fill('open barley');
  await page.keyboard.press('Enter');
  await dialog.getByText('That is not the token of this server.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Enter token' }).click();
  await page.getByLabel('Token', { exact: true }).fill('open sesame');
  await page.keyboard.press('Enter');
  await listed(page);
  t.equal(await text(page, '#pill'), 'Running');
  t.equal(await page.inputValue('#token-value'), '', 'the field keeps no copy');
  await page.reload();
  await listed(page);
  t.notOk(await dialog.isVisible(), 'the tab remembers it');
  t.same(await page.context().cookies(), [], 'not in a cookie');
  t.equal(await page.evaluate('localStorage.length'), 0, 'and no longer than the tab lives');
}

async function survivesRestart(t: Test, visitor: Visitor): Promise<void> {
  const admin = await fakeAdmin(t, busyWorld());
  const page = await visitor.open(admin.url, { expected: FAILED_REQUEST });
  await listed(page);
  await admin.close();
  await page.locator('#notice').getByText('The server does not answer').waitFor();
  t.equal(await text(page, '#pill'), 'No answer');
  t.match(await text(page, '#live'), /cannot be reached.*as it was at/);
  t.equal(await page.getAttribute('body', 'data-link'), 'lost', 'what is shown is marked as stale');
  t.equal((await rows(page, 'tunnels-body')).length, 12, 'and still there');
  t.ok(await page.getByRole('button', { name: 'Drain…' }).isDisabled());
  await page.getByRole('button', { name: 'Try now' }).click();
  Object.assign(admin.world, emptyWorld());
  admin.world.status = { ...admin.world.status, startedAt: new Date().toISOString() };
  await admin.listen();
  await page.locator('#notice').waitFor({ state: 'hidden' });
  await page.getByText('No tunnels yet.').waitFor();
  t.equal((await rows(page, 'tunnels-body')).length, 0, 'nothing of the server before');
  t.equal(await text(page, '#live'), 'The server answers again.');
}

async function showsMany(t: Test, visitor: Visitor): Promise<void> {
  const world = busyWorld();
  world.connections = Array.from({ length: 20_000 }, (_, index) =>
    connection(index + 1, `user${index % 300}`, 'a.internal:1'),
  );
  world.status = { ...world.status, connections: 20_000 };
  const admin = await fakeAdmin(t, world);
  const page = await visitor.open(admin.url);
  await listed(page);
  t.equal(await text(page, '#tunnels-count'), 'the first 1,000 of 20,000 connections; search finds the others');
  t.equal(await page.locator('#tunnels-body > tr').count(), 1_000);
  t.equal((await page.locator('#tiles .value').allInnerTexts())[0], '20,000');
  await page.getByLabel(SEARCH).fill('user299');
  await page.getByText('66 matching connections').waitFor();
}
