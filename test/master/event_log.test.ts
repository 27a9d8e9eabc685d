import t from 'tap';
import { EventLog } from '../../src/master/event_log.js';
import { EVENT_NAMES, type LogLevel } from '../../src/shared/log.js';
import { FakeClock } from '../support/fake_clock.js';

function room(options: { level?: LogLevel; format?: 'auto' | 'pretty' | 'json'; terminal?: boolean } = {}) {
  const lines: string[] = [];
  let failure: Error | null = null;
  const log = new EventLog({
    level: options.level ?? 'info',
    format: options.format ?? 'auto',
    terminal: options.terminal ?? false,
    clock: new FakeClock(),
    write(data, done) {
      if (failure === null) lines.push(String(data));
      done(failure, data.length);
    },
  });
  return {
    log,
    lines,
    fail(error: Error | null) {
      failure = error;
    },
  };
}

t.test('one event is one line of JSON, with time and level', async (t) => {
  const { log, lines } = room();
  log.event({ event: 'auth.failed', conn: 7, user: 'a\nb', peer: '127.0.0.1:5', reason: 'UNKNOWN_USER' });
  t.equal(lines.length, 1);
  t.equal(lines[0]?.split('\n').length, 2, 'one newline, at the end');
  const line: unknown = JSON.parse(lines[0] ?? '');
  t.match(line, { level: 'warn', event: 'auth.failed', conn: 7, user: 'a\nb', time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ });
});

t.test('every event has a level, and the level decides', async (t) => {
  const { log, lines } = room({ level: 'trace' });
  for (const event of EVENT_NAMES) log.event({ event });
  t.equal(lines.length, EVENT_NAMES.length);
  const quiet = room({ level: 'warn' });
  quiet.log.event({ event: 'connection.accepted' });
  quiet.log.event({ event: 'worker.exited', reason: 'DRAINED' });
  quiet.log.info('info');
  t.same(quiet.lines, []);
  quiet.log.event({ event: 'worker.exited', reason: 'CRASHED' });
  quiet.log.warn('warn');
  t.equal(quiet.lines.length, 2);
  const silent = room({ level: 'silent' });
  silent.log.error('x');
  t.same(silent.lines, []);
});

t.test('pretty on a terminal, JSON elsewhere, or as the config says', async (t) => {
  for (const [format, terminal, pretty] of [
    ['auto', true, true],
    ['auto', false, false],
    ['pretty', false, true],
    ['json', true, false],
  ] as const) {
    const { log, lines } = room({ format, terminal });
    log.event({ event: 'server.draining' });
    t.equal(lines[0]?.startsWith('{'), !pretty, `${format} ${terminal}`);
  }
});

t.test('a pretty event is one line, and tells its fields', async (t) => {
  const { log, lines } = room({ format: 'pretty' });
  log.event({ event: 'connection.closed', conn: 3, user: 'a b', pid: 7, reason: 'PEER_CLOSED' });
  log.warn('mind the gap');
  t.match(lines[0], /^\[\d\d:\d\d:\d\d\] INFO: connection\.closed conn=3 user="a b" pid=7 reason=PEER_CLOSED\n$/);
  t.match(lines[1], /WARN: mind the gap\n$/);
});

t.test('lost lines are confessed as soon as one gets through', async (t) => {
  const { log, lines, fail } = room();
  fail(Object.assign(new Error('no reader'), { code: 'EPIPE' }));
  for (let count = 0; count < 3; count++) log.info('lost');
  t.equal(log.dropped >= 3, true);
  fail(null);
  log.info('heard');
  t.match(lines[0], /log lines were lost/);
  t.match(lines[1], /heard/);
  log.info('again');
  t.equal(lines.length, 3, 'confessed once');
});
