/** REAL SERVER: the dashboard of a whole Sallyport: what it shows is what its API answers, what it orders is done, and its policy is
 *  sent with it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { count } from '../../src/dashboard/format.js';
import { DASHBOARD_FILES, DASHBOARD_HEADERS } from '../../src/shared/dashboard_files.js';
import { ask } from '../support/admin_client.js';
import { FAILED_REQUEST, type Visit, type Visitor, visits } from '../support/browser.js';
import { listed, rows, text } from '../support/dashboard.js';
import { need } from '../support/programs.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, firstLine, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const TOKEN = 'a-token-of-the-test-long-enough';
const BEARER = { Authorization: `Bearer ${TOKEN}` };

interface Served {
  readonly server: Sallyport;
  readonly place: { readonly host: string; readonly port: number };
  readonly url: string;
}

async function serve(t: Test): Promise<Served> {
  const [port, tokenFile] = [await freePort(), join(tempDir(t), 'token')];
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const admin = { listen: `127.0.0.1:${port}`, tokenFile };
  const server = await startSallyport(t, { workers: 2, config: { admin } });
  return { server, place: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}/` };
}

t.test('the files of the page, without a token', async (t) => {
  const { place } = await serve(t);
  for (const { path, type } of DASHBOARD_FILES) {
    const { status, headers } = await ask(place, path);
    t.equal(status, 200, path);
    t.equal(headers['content-type'], type);
    for (const [name, value] of Object.entries(DASHBOARD_HEADERS)) t.equal(headers[name.toLowerCase()], value, name);
  }
  for (const path of ['/dashboard/', '/dashboard/main.ts', '/dashboard/../cli/main.js', '/dashboard/%2e%2e/index.js'])
    t.not((await ask(place, path)).status, 200, path);
});

const TESTS: readonly Visit[] = [['shows what the API says, and ends what it should', livesThrough]];

t.test('in a browser', { timeout: 400_000 }, (t) => visits(t, TESTS));

async function livesThrough(t: Test, visitor: Visitor): Promise<void> {
  if (!need(t, ['ssh'])) return;
  const { server, place, url } = await serve(t);
  const get = async (path: string) => (await ask(place, `/api/v1/${path}`, 'GET', BEARER)).json;
  const [echo, near] = [await startEcho(t), await freePort()];
  const specs = ['-L', `${near}:127.0.0.1:${echo.port}`, '-R', 'localhost:0:127.0.0.1:1'];
  const { client } = await tunnel(t, server, server.alice, specs);
  const socket = await connect(t, near);
  socket.write(`${'x'.repeat(99_999)}\n`);
  await firstLine(socket);

  const page = await visitor.open(url, { expected: FAILED_REQUEST });
  await page.getByLabel('Token', { exact: true }).fill(TOKEN);
  await page.keyboard.press('Enter');
  await listed(page);
  const status = await get('status');
  const tiles = await page.locator('#tiles .value').allInnerTexts();
  t.same(tiles.slice(0, 2), [count(status.connections), count(status.channels)]);
  t.same([status.connections, status.channels, status.bytesIn, status.bytesOut], [1, 1, 100_000, 100_000]);
  const more = (await page.locator('#tiles .more').allInnerTexts()).map((words) => words.replaceAll('\u00a0', ' '));
  t.match(more.slice(1, 4), ['1 address bound by -R', '97.7 KiB since the start', '97.7 KiB since the start']);
  t.match(await text(page, '#facts'), `process ${status.pid}`);

  const [connection] = (await get('connections')).connections;
  const [row] = await rows(page, 'tunnels-body');
  t.match(row, `alice publickey ${connection.peer} `);
  t.match(row, `127.0.0.1:${echo.port}`);
  t.match(row, '97.7 KiB 97.7 KiB');
  const [forward] = (await get('forwards')).forwards;
  t.match((await rows(page, 'forwards-body'))[0], `${forward.destination} alice 0 0 B`);
  const { workers } = await get('workers');
  t.same(
    (await rows(page, 'workers-body')).map((each) => each.split(' ').slice(0, 4).join(' ')),
    workers.map(
      (each: { id: number; state: string; connections: number; channels: number }) =>
        `${each.id} ${each.state} ${each.connections} ${each.channels}`,
    ),
  );

  await page.getByRole('button', { name: `End connection ${connection.id} of alice` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End connection' }).click();
  await client.exited;
  t.match(await server.events.wait('connection.closed', {}), { conn: connection.id, reason: 'KILLED' });
  await page.getByText('No tunnels yet.').waitFor();

  await page.getByRole('button', { name: 'Reload config' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click();
  await page.getByText('Nothing had changed.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Drain…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain', exact: true }).click();
  await server.ended;
  await page.locator('#notice').getByText('The server does not answer').waitFor();
  t.match(await text(page, '#notice'), 'It was draining, and may have ended.');
}
