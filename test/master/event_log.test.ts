import t from 'tap';
import { EventLog } from '../../src/master/event_log.js';
import type { AuditEvent, EventName } from '../../src/shared/events.js';
import type { LogLevel } from '../../src/shared/log.js';
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

const conn = { conn: 7, peer: '127.0.0.1:5' };
const login = { ...conn, user: 'alice' };
const channel = { ...login, kind: 'direct-tcpip', channel: 1, destination: 'a:1' } as const;
const forward = { ...login, kind: 'tcpip-forward', destination: 'localhost:1' } as const;
const traffic = { bytesIn: 1, bytesOut: 2, durationMs: 3 };
const process = { worker: 1, pid: 2 };

/** One of each: the compiler sees to it that none is left out. */
const EVENTS: { readonly [name in EventName]: Extract<AuditEvent, { readonly event: name }> } = {
  'server.listening': { event: 'server.listening', address: '127.0.0.1:22' },
  'server.draining': { event: 'server.draining', detail: '1 connection' },
  'server.stopped': { event: 'server.stopped', reason: 'DRAINED' },
  'config.reloaded': { event: 'config.reloaded', changed: ['users.alice'] },
  'config.rejected': { event: 'config.rejected', reason: 'CONFIG_INVALID', errors: ['a:1:1: b: c'] },
  'worker.started': { event: 'worker.started', ...process, durationMs: 3 },
  'worker.adopted': { event: 'worker.adopted', ...process, connections: 2, forwards: 1 },
  'worker.exited': { event: 'worker.exited', ...process, reason: 'CRASHED', detail: 'exit code 1' },
  'source.penalised': { event: 'source.penalised', source: '192.0.2.1', reason: 'AUTH_FAIL', durationMs: 15_000 },
  'connection.accepted': { event: 'connection.accepted', ...conn, worker: 1 },
  'connection.refused': { event: 'connection.refused', reason: 'AT_CAPACITY' },
  'connection.closed': { event: 'connection.closed', ...login, reason: 'PEER_CLOSED', ...traffic },
  'auth.succeeded': { event: 'auth.succeeded', ...login, method: 'password' },
  'auth.partial': { event: 'auth.partial', ...login, method: 'publickey' },
  'auth.failed': { event: 'auth.failed', ...login, method: 'password', reason: 'UNKNOWN_USER' },
  'auth.weakHash': { event: 'auth.weakHash', ...login, detail: 'bcrypt' },
  'channel.opened': { event: 'channel.opened', ...channel },
  'channel.closed': { event: 'channel.closed', ...channel, reason: 'COMPLETE', ...traffic },
  'channel.refused': { event: 'channel.refused', ...login, kind: 'unknown', destination: 'x', reason: 'UNKNOWN_TYPE' },
  'forward.bound': { event: 'forward.bound', ...forward },
  'forward.refused': { event: 'forward.refused', ...forward, reason: 'PORT_TAKEN' },
  'forward.released': { event: 'forward.released', ...forward, reason: 'CANCELLED', ...traffic },
};

t.test('one event is one line of JSON, with time and level', async (t) => {
  const { log, lines } = room();
  log.event({ ...EVENTS['auth.failed'], user: 'a\nb' });
  t.equal(lines.length, 1);
  t.equal(lines[0]?.split('\n').length, 2, 'one newline, at the end');
  const line: unknown = JSON.parse(lines[0] ?? '');
  t.match(line, { level: 'warn', event: 'auth.failed', conn: 7, user: 'a\nb', time: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ });
});

t.test('every event has a level, and the level decides', async (t) => {
  const { log, lines } = room({ level: 'trace' });
  for (const event of Object.values(EVENTS)) log.event(event);
  t.same(
    lines.map((line) => JSON.parse(line).event),
    Object.keys(EVENTS),
  );
  const quiet = room({ level: 'warn' });
  quiet.log.event(EVENTS['connection.accepted']);
  quiet.log.event({ ...EVENTS['worker.exited'], reason: 'DRAINED' });
  quiet.log.info('info');
  t.same(quiet.lines, []);
  quiet.log.event(EVENTS['worker.exited']);
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
    log.event(EVENTS['server.draining']);
    t.equal(lines[0]?.startsWith('{'), !pretty, `${format} ${terminal}`);
  }
});

t.test('a pretty event is one line, and tells its fields', async (t) => {
  const { log, lines } = room({ format: 'pretty' });
  log.event({ ...EVENTS['forward.refused'], user: 'a b', detail: 'x' });
  log.warn('mind the gap');
  t.match(
    lines[0],
    /^\[\d\d:\d\d:\d\d\] WARN: forward\.refused conn=7 peer=127\.0\.0\.1:5 user="a b" kind=tcpip-forward destination=localhost:1 reason=PORT_TAKEN detail=x\n$/,
  );
  t.match(lines[1], /WARN: mind the gap\n$/);
});

t.test('lost lines are confessed as soon as one gets through', async (t) => {
  const { log, lines, fail } = room();
  fail(Object.assign(new Error('no reader'), { code: 'EPIPE' }));
  for (let count = 0; count < 3; count++) log.info('lost');
  t.equal(log.linesLost.log, 3, 'what would confess it is not counted');
  fail(null);
  log.info('heard');
  const [confession, heard] = (lines[0] ?? '').split('\n').map((line) => (line === '' ? null : JSON.parse(line)));
  t.match(confession, { level: 'warn', dropped: 3, msg: /^3 log lines were lost/ });
  t.match(heard, { msg: 'heard' });
  log.info('again');
  t.match(lines.slice(1), [/"again"/], 'confessed once');
});

t.test('events that a worker lost are told in words, with their number', async (t) => {
  const { log, lines } = room();
  log.lost(3, 17);
  t.match(JSON.parse(lines[0] ?? ''), { level: 'error', msg: /worker 3: 17 events were lost/ });
});

t.test('a closed log writes nothing more: its descriptor may be another file by then', async (t) => {
  const { log, lines } = room();
  log.info('before');
  await log.close(1_000);
  log.info('after');
  log.event({ event: 'server.listening', address: '127.0.0.1:1' });
  await log.close(1_000);
  t.equal(lines.length, 1);
});

t.test('another level and another format hold from the next line on', async (t) => {
  const { log, lines } = room({ level: 'warn' });
  log.event(EVENTS['auth.succeeded']);
  (await log.prepare({ level: 'debug', format: 'pretty', audit: null })).keep();
  t.equal(log.eventLevel, 'debug');
  log.event(EVENTS['channel.opened']);
  t.equal(lines.length, 1);
  t.match(lines[0], /DEBUG: channel\.opened/);
  (await log.prepare({ level: 'silent', format: 'json', audit: null })).keep();
  log.event(EVENTS['auth.failed']);
  t.equal(lines.length, 1);
});
