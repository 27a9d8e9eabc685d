/** HTTP: what most tunnels carry: many short questions over connections that stay. */
import { Helper } from '../support/helper.js';
import { requestAll } from '../support/http_load.js';
import { type ForwardingClient, forwardTo } from '../support/ssh_client.js';
import { type Bench, type Cell, type RunningServer, type Sample, type Scenario, VerificationFailed } from '../types.js';

interface HttpCell extends Cell {
  readonly connections: number;
  readonly durationMs: number;
}

export const http: Scenario<HttpCell> = {
  name: 'http',
  about:
    'autocannon asks for a page through a tunnel of the OpenSSH client over connections that are kept alive, one ' +
    'question at a time on each; every answer is compared, and the target must have seen as many connections as were ' +
    'opened.',
  metrics: [
    { name: 'requestsPerSecond', unit: '1/s', higherIsBetter: true, headline: true },
    { name: 'p50Ms', unit: 'ms', higherIsBetter: false },
    { name: 'p99Ms', unit: 'ms', higherIsBetter: false, headline: true },
    { name: 'cpuMicrosecondsPerRequest', unit: 'us', higherIsBetter: false, headline: true },
  ],

  cells: (quick) =>
    (quick ? [1, 16] : [1, 64, 512]).map((connections) => ({
      id: `${connections} connection${connections === 1 ? '' : 's'}`,
      connections,
      durationMs: quick ? 300 : 5_000,
    })),

  measure: (server, cell, bench) => measureHttp(server, cell, bench),
};

async function measureHttp(server: RunningServer, cell: HttpCell, bench: Bench): Promise<Sample> {
  const target = await Helper.start('http_target', []);
  let client: ForwardingClient | undefined;
  try {
    client = await forwardTo(server, bench, { targetPort: target.port });
    const result = await requestAll({
      port: client.port,
      connections: cell.connections,
      durationMs: cell.durationMs,
      signal: bench.signal,
      roots: server.roots,
    });
    // autocannon opens a lost connection again and does not tell.
    const { connections } = await target.ask('connections');
    if (connections !== cell.connections)
      throw new VerificationFailed(`the target saw ${connections} connections, ${cell.connections} were opened`);
    return result;
  } finally {
    await client?.stop();
    await target.stop();
  }
}
