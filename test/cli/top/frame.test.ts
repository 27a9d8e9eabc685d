/** FRAME: whatever the server says and however large the screen is, the lines fit and are harmless. */
import t from 'tap';
import { widthOf } from '../../../src/cli/top/cells.js';
import { frameOf, onceOf } from '../../../src/cli/top/frame.js';
import type { Look } from '../../../src/cli/top/look.js';
import { step } from '../../../src/cli/top/model.js';
import { paint } from '../../../src/cli/top/paint.js';
import { VIEWS } from '../../../src/cli/top/rows.js';
import { begin, type State } from '../../../src/cli/top/state.js';
import { connection, forward, look, tunnel } from '../../support/looks.js';

const HOSTILE = '\x1b[2J\x1b]0;owned\x07\r\n\u202e日本語';

const WORKERS = [1, 2, 3, 4, 5, 6].map((id) => ({
  id,
  state: id === 6 ? 'draining' : 'ready',
  connections: 4,
  channels: 8,
  loopLagMs: id,
}));

function at(atMs: number, bytes: number): Look {
  return look(atMs, {
    status: { bytesIn: bytes, bytesOut: bytes / 2, connections: 3, channels: 2, refusals: 4 },
    connections: [
      connection(1, 'ana', { bytesIn: bytes, tunnels: [tunnel(0, 'wiki.internal:443')] }),
      connection(2, HOSTILE, { peer: HOSTILE, client: HOSTILE, tunnels: [tunnel(0, HOSTILE, { kind: HOSTILE })] }),
      connection(3, ''),
    ],
    forwards: [forward(2, HOSTILE, HOSTILE)],
    workers: WORKERS,
  });
}

function state(columns: number, rows: number, more: Partial<State> = {}): State {
  const begun = begin({ size: { columns, rows } });
  const first = step({ ...begun, ...more }, { kind: 'look', look: at(0, 0) }).state;
  return step(first, { kind: 'look', look: at(2_000, 3 * 2 ** 20) }).state;
}

function text(of: State): string[] {
  return frameOf(of, 'unicode').map((line) => paint(line, 'none'));
}

t.test('a screen of 100 columns', async (t) => {
  const lines = text(state(100, 24));
  t.equal(lines.length, 24);
  const all = lines.join('\n');
  t.match(all, /^sallyport 1\.2\.3 {2}running {2}up 3d04h {2}0\.0\.0\.0:2222\n3 connections {2}2 tunnels/);
  t.match(all, /in 1\.50 MiB\/s .*█ {2}out 768 KiB\/s/);
  t.match(all, /w1 4c 8t 1ms \| w2 /);
  t.match(all, /1 connections 3 {2}2 tunnels {2}3 forwards {2}4 users/);
  t.match(all, /ID USER +PEER +TUN +IN\/s▼ OUT\/s▼ +TOTAL +AGE CLIENT/);
  t.match(all, /\n +1 ana +10\.8\.7\.37:40911 +1 +1\.50M +0 +3\.00M +1m00s OpenSSH_9\.8/);
  t.match(all, /3 \(login\)/);
  t.match(lines.at(-1), /^q quit {2}\? help/);
});

t.test('every size: as many lines as there are, none too wide, and nothing that a terminal obeys', async (t) => {
  const faults: string[] = [];
  for (const columns of [10, 20, 40, 60, 80, 100, 200])
    for (const rows of [1, 2, 3, 5, 8, 12, 24, 50])
      for (const view of VIEWS)
        for (const glyphs of ['unicode', 'ascii'] as const) {
          const lines = frameOf(state(columns, rows, { view }), glyphs).map((line) => paint(line, 'none'));
          const where = `${view} at ${columns}x${rows}, ${glyphs}`;
          if (lines.length !== rows) faults.push(`${where}: ${lines.length} lines`);
          for (const line of lines) {
            if (widthOf(line) > columns) faults.push(`${where}: ${JSON.stringify(line)} has ${widthOf(line)} cells`);
            if (/\p{Cc}|\p{Cf}/u.test(line)) faults.push(`${where}: ${JSON.stringify(line)}`);
            // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
            if (glyphs === 'ascii' && /[^\x00-\x7f]/.test(line)) faults.push(`${where}: ${JSON.stringify(line)}`);
          }
        }
  t.same(faults, []);
});

t.test('40 columns: who, and what moves', async (t) => {
  const all = text(state(40, 24)).join('\n');
  t.match(all, /USER +TUN +IN\/s▼ OUT\/s▼/);
  t.match(all, /ana +1 +1\.50M +0 +1m00s/);
  t.match(all, /in 1\.50 MiB\/s/);
});

t.test('the foot: a question, a typed text, a lost server, what is missing', async (t) => {
  const foot = (more: Partial<State>): string => text({ ...state(100, 24), ...more }).at(-1) ?? '';
  t.equal(foot({ mode: { kind: 'question', id: 7, who: '\x1b[31mana' } }), 'End connection 7 of \\x1b[31mana? y/n');
  t.match(foot({ mode: { kind: 'filter', typed: 'git' } }), /^\/git_/);
  t.equal(foot({ lost: { why: 'gone', retryMs: 4_000 } }), 'asking every 4s: gone');
  t.equal(foot({ notice: 'connection 7 was ended' }), 'connection 7 was ended');
  const seen = { connections: [connection(1, 'ana')] };
  t.equal(foot({ look: look(0, { ...seen, total: 9 }) }), '1 of 9 are here: narrow them with /');
  t.match(foot({ look: look(0, { ...seen, silentWorkers: [3] }) }), /^worker 3 did not answer/);
});

t.test('without colours the chosen row has a mark, and the sorted column an arrow', async (t) => {
  const chosen = step(state(80, 24), { kind: 'key', key: { kind: 'down' } }).state;
  t.match(text(chosen).join('\n'), /\n> +1 ana/);
  const painted = frameOf(chosen, 'unicode').map((line) => paint(line, 'attributes'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is sent
  for (const line of painted) t.notMatch(line, /\x1b\[[0-9;]*[34][0-9]/);
  const coloured = frameOf(chosen, 'unicode').map((line) => paint(line, 'colours'));
  t.ok(coloured.some((line) => line.startsWith('\x1b[30;46m> ')));
});

t.test('once: every row, however many, and no keys', async (t) => {
  const connections = Array.from({ length: 60 }, (_, index) => connection(index + 1, `user${index}`));
  const many = step(begin({ size: { columns: 80, rows: 24 } }), { kind: 'look', look: look(0, { connections }) });
  const lines = onceOf(many.state, 'ascii').map((line) => paint(line, 'none'));
  t.equal(lines.filter((line) => /user\d/.test(line)).length, 60);
  t.notMatch(lines.join('\n'), /q quit/);
});
