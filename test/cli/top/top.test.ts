/** TOP on a real terminal: what is seen, what keys do, and that the terminal is as it was whatever ends it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type FakeAdmin, fakeAdmin } from '../../support/fake_admin.js';
import { cliEntry } from '../../support/paths.js';
import { run } from '../../support/process.js';
import { need } from '../../support/programs.js';
import { tempDir } from '../../support/temp.js';
import { type Terminal, type TerminalOptions, terminal } from '../../support/terminal.js';
import { busyWorld, connection, emptyWorld, secondLater } from '../../support/worlds.js';

const NODE = process.execPath;
const TOKEN = 'the-token-of-this-test';

/** Options that lead to it. */
function leadingTo(t: Test, admin: FakeAdmin, token = TOKEN): readonly string[] {
  const file = join(tempDir(t), 'token');
  writeFileSync(file, token, { mode: 0o600 });
  return ['--admin', new URL(admin.url).host, '--token-file', file];
}

interface Opened {
  readonly admin: FakeAdmin;
  readonly screen: Terminal;
}

/** A busy server, and `top` of it on a terminal. */
async function opened(t: Test, options: TerminalOptions = {}, node = NODE): Promise<Opened> {
  const admin = await fakeAdmin(t, { ...busyWorld(), token: TOKEN });
  const screen = await terminal(t, options);
  await screen.command('echo what was; echo there');
  await screen.waitFor(/^there$/m);
  await screen.command(`${node} ${cliEntry} top ${leadingTo(t, admin).join(' ')} --interval 0.5; echo exit=$?`);
  await screen.waitFor(/^q quit/m);
  return { admin, screen };
}

/** The first screen with what stood there, the cursor, wrapping, an echo and whole lines. */
async function isGivenBack(t: Test, screen: Terminal, exitCode: number): Promise<void> {
  t.match(await screen.waitFor(/^exit=\d+$/m), new RegExp(`^exit=${exitCode}$`, 'm'));
  t.match(await screen.screen(), /^there$/m);
  await isAsItWas(t, screen);
}

async function isAsItWas(t: Test, screen: Terminal): Promise<void> {
  t.equal(await screen.ask('#{alternate_on} #{cursor_flag} #{wrap_flag}'), '0 1 1');
  await screen.command('clear; stty -a');
  t.match(await screen.waitFor(/ icanon /), / echo /);
}

t.test('what a server does, as it does it', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { admin, screen } = await opened(t);
  const first = await screen.screen();
  t.match(first, /^sallyport 0\.1\.0 {2}running {2}up 3d04h {2}0\.0\.0\.0:2222, \[::\]:2222/);
  t.match(first, /12 connections {2}22 tunnels {2}4 forwards {2}1 at login/);
  t.match(first, /w1 4c 8t 3ms \| w2/);
  t.match(first, /[▁▂▃▄▅▆▇█]{10}/, 'the server has told what was before');
  t.match(first, /1192 backup +10\./);
  const ticks = setInterval(() => secondLater(admin.world), 500);
  t.teardown(() => clearInterval(ticks));
  const moving = await screen.waitFor(/\n +1192 backup +\S+ +1 +[\d.]+M/);
  t.match(moving, /TUN +IN\/s▼ OUT\/s▼[^\n]*\n +1192 backup/, 'who moves most is on top');
  await screen.type('2');
  t.match(await screen.waitFor(/DESTINATION/), /-L +registry\.internal:5000/);
  await screen.type('3');
  t.match(await screen.waitFor(/LISTENS ON/), /priya +-R socket +\/run\/tunnels\/priya/);
  await screen.type('4');
  await screen.waitFor(/CONNS[^$]*ana +2/);
  await screen.type('?');
  await screen.waitFor(/end the connection of the row/);
  await screen.type('?1/lena');
  await screen.press('Enter');
  t.match(await screen.waitFor(/1 connections 1 .*\/lena/), /lena/);
  await screen.waitUntil(
    async () => admin.requests.some((each) => /connections\?limit=\d+&search=lena/.test(each)),
    (isAsked) => isAsked,
    'search by the server',
  );
  await screen.type('q');
  await isGivenBack(t, screen, 0);
});

t.test('x ends the chosen connection after a question', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { admin, screen } = await opened(t);
  const deleted = (): string[] => admin.requests.filter((each) => each.startsWith('DELETE'));
  await screen.type('x');
  await screen.waitFor(/choose a row first/);
  await screen.type('/backup');
  await screen.press('Enter');
  await screen.waitFor(/1 connections 1 /);
  await screen.press('Down');
  await screen.waitFor(/^> +1192 backup/m);
  await screen.type('x');
  await screen.waitFor(/^End connection 1192 of backup\? y\/n/m);
  await screen.type('n');
  await screen.waitFor(/nothing was ended/);
  t.same(deleted(), []);
  await screen.type('ky');
  await screen.waitFor(/no connections with this text[\s\S]*connection 1192 was ended/);
  t.same(deleted(), ['DELETE /api/v1/connections/1192']);
});

t.test('another size: everything fits again, and nothing is left of before', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { screen } = await opened(t);
  t.match(await screen.screen(), /PEER/);
  await screen.resize(40, 12);
  const small = await screen.waitFor(/^ +USER +TUN +IN\/s▼ OUT\/s▼ +AGE$/m);
  t.notMatch(small, /PEER|CLIENT/);
  t.equal(small.trimEnd().split('\n').length, 12);
  await screen.resize(150, 40);
  t.match(await screen.waitFor(/CLIENT/), /OpenSSH_9/);
  await screen.resize(80, 24);
  await screen.waitFor(/^ +ID USER +PEER/m);
  t.equal((await screen.screen()).match(/backup/g)?.length, 1);
});

t.test('signals: the terminal is given back first', async (t) => {
  if (!need(t, ['tmux'])) return;
  for (const [signal, exitCode] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
  ] as const) {
    const { screen } = await opened(t);
    t.equal(await screen.ask('#{alternate_on} #{cursor_flag}'), '1 0');
    process.kill(await screen.child(), signal);
    await isGivenBack(t, screen, exitCode);
  }
});

t.test('^C ends it as the signal does', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { screen } = await opened(t);
  await screen.press('C-c');
  await isGivenBack(t, screen, 130);
});

t.test('^Z stops it, on the screen that was there; fg goes on', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { admin, screen } = await opened(t);
  await screen.press('C-z');
  t.match(await screen.waitFor(/ready\$ $|ready\$$/m), /^there$/m);
  t.equal(await screen.ask('#{alternate_on} #{cursor_flag}'), '0 1');
  await screen.resize(60, 20);
  admin.world.connections = [connection(7, 'newcomer', 'a.internal:1')];
  await screen.command('fg');
  t.match(await screen.waitFor(/7 newcomer/), /^q quit/m);
  await screen.press('Down');
  await screen.waitFor(/^> +7 newcomer/m);
  // Of this one nobody is told; a shell has the terminal in between.
  process.kill(await screen.child(), 'SIGSTOP');
  await screen.waitUntil(
    async () => await screen.ask('#{pane_current_command}'),
    (name) => name === 'sh',
    'shell',
  );
  // In raw mode Enter ends no line; a shell with an editor of its own would not mind.
  await screen.type('fg; echo ended=$?');
  await screen.press('C-j');
  await screen.waitFor(/^q quit/m);
  await screen.type('?');
  await screen.waitFor(/choose a row; Esc/);
  await screen.type('q');
  await screen.waitFor(/^ended=0$/m);
  await isAsItWas(t, screen);
});

t.test('a fault of ours leaves no broken terminal, and is told', async (t) => {
  if (!need(t, ['tmux'])) return;
  const fault = `'data:text/javascript,process.on("SIGUSR2",()=>{throw(Error("a-fault"))})'`;
  const { screen } = await opened(t, {}, `${NODE} --import ${fault}`);
  process.kill(await screen.child(), 'SIGUSR2');
  t.match(await screen.waitFor(/^exit=\d+$/m), /a-fault/);
  await isAsItWas(t, screen);
});

t.test('a server that goes is waited for', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { admin, screen } = await opened(t);
  await admin.close();
  const lost = await screen.waitFor(/^asking every \ds: no server answers at 127/m);
  t.match(lost, /1192 backup/, 'what was known is there still');
  t.match(lost, /^sallyport 0\.1\.0 {2}lost/);
  admin.world.connections = [connection(3, 'survivor')];
  await admin.listen();
  t.match(await screen.waitFor(/3 survivor/), /^sallyport 0\.1\.0 {2}running/);
});

t.test('names and addresses that are written for a terminal do nothing to it', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { admin, screen } = await opened(t);
  const title = await screen.ask('#{pane_title}');
  const hostile = '\x1b]2;owned\x07\x1b[5;5H\x1b[2J\u009b2J\r\n日本';
  admin.world.connections = [
    { ...connection(5, hostile, hostile), peer: hostile, client: `SSH-2.0-${hostile}` },
    connection(6, '日本語の名前', '例え.internal:80'),
    connection(7, 'plain'),
  ];
  const seen = await screen.waitFor(/7 plain/);
  t.match(seen, /^sallyport/);
  t.match(seen, /5 \\x1b\]2;owned/);
  const [wide = '', plain = ''] = ['6 日本語の名前', '7 plain'].map(
    (start) => seen.split('\n').find((line) => line.includes(start)) ?? '',
  );
  // Each of the six takes two cells of the terminal, and one character of the line.
  t.equal(wide.indexOf(' 10.') + 6, plain.indexOf(' 10.'), 'the column behind them stands where it stood');
  t.equal(await screen.ask('#{pane_title}'), title);
});

t.test('NO_COLOR: no colours, and the chosen row is still seen', async (t) => {
  if (!need(t, ['tmux'])) return;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is sent
  const colour = /\x1b\[(?:[0-9;]*;)?[349][0-7]m/;
  const plain = await opened(t, { env: { NO_COLOR: '1' } });
  await plain.screen.press('Down');
  await plain.screen.waitFor(/^> /m);
  t.notMatch(await plain.screen.painted(), colour);
  const coloured = await opened(t);
  t.match(await coloured.screen.painted(), colour);
});

t.test('a locale without UTF-8 gets ASCII', async (t) => {
  if (!need(t, ['tmux'])) return;
  const { screen } = await opened(t, { env: { LC_ALL: 'C' } });
  const seen = await screen.waitFor(/IN\/sv/);
  t.match(seen, /tom\?s/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
  t.match(seen, /^[\x00-\x7f]*$/);
});

t.test('a dumb terminal is told what there is for it', async (t) => {
  if (!need(t, ['tmux'])) return;
  const screen = await terminal(t, { env: { TERM: 'dumb' } });
  await screen.command(`${NODE} ${cliEntry} top; echo exit=$?`);
  t.match(await screen.waitFor(/^exit=2$/m), /top --once/);
});

t.test('no terminal: what to run instead, and --once for scripts', async (t) => {
  const admin = await fakeAdmin(t, { ...busyWorld(), token: TOKEN });
  const top = async (...args: readonly string[]) =>
    await run(t, NODE, [cliEntry, 'top', ...leadingTo(t, admin), '--interval', '0.5', ...args]);
  t.match(await top(), { code: 2, stdout: '', stderr: /top --once.*status.*ps --json/ });
  const once = await top('--once', '--sort', 'total');
  t.match(once, { code: 0, stderr: '' });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is sent
  t.notMatch(once.stdout, /\x1b/);
  t.match(once.stdout, /TOTALv[^\n]*\n +1192 backup[^\n]*18\.0G/);
  t.equal(once.stdout.match(/^ +\d+ \S+ +10\./gm)?.length, 12, 'all of them');
  t.match(await top('--once', '--view', 'forwards'), { code: 0, stdout: /sensor-17 +-R +localhost:20017/ });
  t.match(await top('--once', '--filter', 'lena'), { code: 0, stdout: /lena/ });
  t.match(await top('--once', '--view', 'conections'), { code: 2, stderr: /did you mean connections\?/ });
  t.match(await top('--once', '--interval', '0'), { code: 2, stderr: /0\.5 to 3600/ });
});

t.test('nobody answers: exit code 1, and where it was looked', async (t) => {
  const place = ['--admin', 'unix:/nonexistent/admin.sock'];
  const outcome = await run(t, NODE, [cliEntry, 'top', '--once', ...place]);
  t.match(outcome, { code: 1, stdout: '', stderr: /^error: no server answers at unix:\/nonexistent\/admin\.sock/ });
  const admin = await fakeAdmin(t, { ...emptyWorld(), token: TOKEN });
  const refused = await run(t, NODE, [cliEntry, 'top', '--once', ...leadingTo(t, admin, 'another-token')]);
  t.match(refused, { code: 1, stderr: /^error: the token of admin\.tokenFile is needed/ });
});
