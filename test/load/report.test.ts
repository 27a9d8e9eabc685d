/** REPORT: the table and the notes, from figures. */
import t from 'tap';
import { figure, notesFor, type Report, type Result, table } from '../../src/load/report.js';

const login: Result = {
  scenario: 'login',
  cell: '8 connections',
  connections: 8,
  seconds: 5,
  samples: 1234,
  clientCpuShare: 0.5,
  perSecond: 246.8,
  p50Ms: 12.345,
  p99Ms: 101.5,
};
const bulk: Result = {
  scenario: 'bulk',
  cell: 'up, 1 connection',
  connections: 1,
  seconds: 5,
  samples: 0,
  clientCpuShare: 0.99,
  megabytesPerSecond: 250.4,
};

const report: Report = {
  schemaVersion: 1,
  ok: true,
  interrupted: false,
  startedAt: '2026-01-01T00:00:00.000Z',
  target: { host: '127.0.0.1', port: 22, user: 'alice' },
  server: null,
  options: { scenarios: ['login', 'bulk'], connections: 8, seconds: 5, destination: '127.0.0.1' },
  client: { node: 'v20.0.0', platform: 'Linux x64', cores: 2, cpu: '' },
  results: [login, bulk],
  failures: [],
  notes: [],
};

t.test('columns stand under each other, and what was not measured is left out', async (t) => {
  t.equal(
    table(report),
    [
      'scenario                    per second      p50     p99  MB/s  samples  client CPU',
      'login     8 connections            247  12.3 ms  102 ms           1234        50 %',
      'bulk      up, 1 connection                                250                 99 %',
    ].join('\n'),
  );
});

t.test('a shared machine, a busy client and few samples are told', async (t) => {
  t.same(notesFor(false, 2, [login]), []);
  const [shared] = notesFor(true, 2, [login]);
  t.match(shared, /share the 2 cores of this machine/);
  t.match(notesFor(false, 2, [login, bulk]), [/^the client itself was busy .* in bulk up, 1 connection:/]);
  t.match(notesFor(false, 2, [{ ...login, samples: 20 }]), [/^a p99 of fewer than 200 samples .* login 8 connections/]);
});

t.test('three digits', async (t) => {
  t.same([12_345, 246.8, 99.96, 12.34, 1.234, 0.1234].map(figure), ['12345', '247', '100.0', '12.3', '1.23', '0.123']);
});
