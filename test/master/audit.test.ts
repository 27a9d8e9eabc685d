/** AUDIT: every event in a file, whatever becomes of the disk and the file. */
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Audit } from '../../src/master/audit.js';
import type { AuditEvent } from '../../src/shared/events.js';
import { hasControl } from '../../src/shared/text.js';
import { within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';
import { tempDir } from '../support/temp.js';

async function room(t: Test, path: string, maxBytes?: number) {
  const clock = new FakeClock();
  const said: string[] = [];
  const say = (text: string): void => {
    said.push(text);
  };
  const audit = new Audit({ clock, warn: say, error: say, ...(maxBytes === undefined ? {} : { maxBytes }) });
  (await audit.change(path)).keep();
  t.teardown(() => {
    const closed = audit.close(10);
    clock.advance(10);
    return closed;
  });
  return { audit, clock, said };
}

/** Closes it, which writes what waits. */
async function closed(audit: Audit): Promise<void> {
  await within(audit.close(60_000), 'the end of the audit');
}

function told(number: number): AuditEvent {
  return { event: 'connection.accepted', conn: number, peer: '192.0.2.1:1', worker: 1 };
}

function lines(file: string): { readonly [field: string]: unknown }[] {
  const text = readFileSync(file, 'utf8');
  if (text !== '') t.ok(text.endsWith('\n'), 'whole lines');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}

t.test(
  'every event is one line of JSON with its time, behind what the file has, and for its owner alone',
  async (t) => {
    const file = join(tempDir(t), 'audit.jsonl');
    const first = await room(t, file);
    first.audit.event(told(1));
    first.audit.event({
      ...{ event: 'channel.opened', conn: 1, peer: 'p', user: 'a\nb\u001b[31m', kind: 'direct-tcpip' },
      ...{ channel: 1, destination: 'x\r\n{"event":"auth.succeeded"}' },
    });
    first.audit.lost(3, 17);
    await closed(first.audit);
    t.equal(statSync(file).mode & 0o777, 0o600);
    const second = await room(t, file);
    second.audit.event(told(2));
    await closed(second.audit);
    const all = lines(file);
    t.match(all, [
      { event: 'connection.accepted', conn: 1, level: 'info', time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ },
      { event: 'channel.opened', level: 'debug', user: 'a\nb\u001b[31m' },
      { event: 'events.lost', worker: 3, count: 17 },
      { event: 'connection.accepted', conn: 2 },
    ]);
    t.equal(all.length, 4);
    t.notOk(hasControl(readFileSync(file, 'utf8'), '\n'), 'no control character but the ends of lines');
  },
);

t.test('rotation: what comes after reopen is in the new file, and nothing is in neither', async (t) => {
  const file = join(tempDir(t), 'audit.jsonl');
  const { audit, said } = await room(t, file);
  for (let number = 1; number <= 500; number++) audit.event(told(number));
  renameSync(file, `${file}.1`);
  for (let number = 501; number <= 1_000; number++) audit.event(told(number));
  await audit.reopen();
  for (let number = 1_001; number <= 1_500; number++) audit.event(told(number));
  await closed(audit);
  const [old, now] = [lines(`${file}.1`), lines(file)];
  t.same(
    [...old, ...now].map(({ conn }) => conn),
    Array.from({ length: 1_500 }, (_, index) => index + 1),
  );
  t.ok(now.length >= 500);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.same(said, []);
});

t.test('a file that cannot be opened: an error, and the one that is open is written on', async (t) => {
  const dir = tempDir(t);
  const file = join(dir, 'logs', 'audit.jsonl');
  mkdirSync(join(dir, 'logs'));
  const { audit, said } = await room(t, file);
  await t.rejects(audit.change(join(dir, 'none', 'audit.jsonl')), {
    code: 'CONFIG_INVALID',
    message: /^log\.audit: cannot be opened: ENOENT/,
  });
  await t.rejects(audit.change(dir), { code: 'CONFIG_INVALID', message: /EISDIR/ });
  renameSync(join(dir, 'logs'), join(dir, 'moved'));
  await audit.reopen();
  t.match(said, [/cannot be opened: ENOENT.*the file that was open is written on/]);
  audit.event(told(1));
  await closed(audit);
  t.match(lines(join(dir, 'moved', 'audit.jsonl')), [{ conn: 1 }]);
});

t.test('another path, and none: what was told before is in the file before', async (t) => {
  const dir = tempDir(t);
  const [a, b] = [join(dir, 'a'), join(dir, 'b')];
  const { audit } = await room(t, a);
  audit.event(told(1));
  const dropped = await audit.change(b);
  dropped.drop();
  audit.event(told(2));
  t.ok(audit.isOn);
  (await audit.change(null)).keep();
  t.notOk(audit.isOn);
  audit.event(told(3));
  await closed(audit);
  t.same(
    lines(a).map(({ conn }) => conn),
    [1, 2],
  );
  t.same(lines(b), [], 'made, and not used');
});

t.test('a full disk: lines wait, what has no room is counted exactly, and the file and the log are told', async (t) => {
  const file = join(tempDir(t), 'audit.jsonl');
  const { audit, clock, said } = await room(t, '/dev/full', 10_000);
  for (let number = 1; number <= 1_000; number++) audit.event(told(number));
  t.ok(audit.dropped > 0 && audit.dropped < 1_000, `${audit.dropped} had no room`);
  const { dropped } = audit;
  (await audit.change(file)).keep(); // as if there were room again
  const written = within(
    (async () => {
      for (;;) {
        clock.advance(1_000);
        await new Promise((resolve) => setImmediate(resolve));
        if (said.length > 1) return;
      }
    })(),
    'room on the disk',
  );
  await written;
  audit.event(told(1_001));
  await closed(audit);
  const all = lines(file);
  const events = all.filter(({ event }) => event === 'connection.accepted');
  t.equal(events.length + dropped, 1_001, 'each line is there, or counted');
  t.match(
    all.filter(({ event }) => event === 'audit.lost'),
    [{ lost: dropped, dropped, level: 'error' }],
  );
  t.equal(audit.dropped, dropped);
  t.match(said, [
    /is written too slowly|cannot be written/,
    new RegExp(`is written again; ${dropped} lines were lost`),
  ]);
});

t.test('the end does not wait for a full disk, and says what it cost', async (t) => {
  const { audit, clock, said } = await room(t, '/dev/full');
  for (let number = 1; number <= 3; number++) audit.event(told(number));
  const end = audit.close(1_000);
  clock.advance(1_000);
  await within(end, 'the end');
  t.equal(audit.dropped, 3);
  t.match(said.at(-1), /3 lines could not be written before the end/);
});

t.test('a mode that somebody has chosen is left, and told', async (t) => {
  const file = join(tempDir(t), 'audit.jsonl');
  writeFileSync(file, '');
  chmodSync(file, 0o640);
  const { audit, said } = await room(t, file);
  await audit.reopen();
  await closed(audit);
  t.equal(statSync(file).mode & 0o777, 0o640);
  t.match(said, [/audit\.jsonl has mode 0640, so others/]);
  t.equal(said.length, 1, 'and told, once');
});
