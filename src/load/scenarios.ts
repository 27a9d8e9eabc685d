/** SCENARIOS: what is done in each measurement, and how it is verified. Owns nothing: a cell has the connections. */
import { once } from 'node:events';
import type { Cell } from './cell.js';
import type { LoadClient } from './client.js';
import { LoadError } from './errors.js';
import { httpAnswer, httpRequest } from './far_end.js';
import { type Digest, equalDigests } from './pattern.js';
import type { ScenarioName } from './report.js';
import { Exchange, receivePattern, sendPattern } from './streams.js';

export interface Measurement {
  readonly scenario: ScenarioName;
  readonly cell: string;
  readonly connections: number;
  readonly kind: 'operations' | 'flow';
  /** Measures once. @throws LoadError VERIFICATION_FAILED: then there is no number */
  run(cell: Cell): Promise<void>;
}

export const HTTP_TUNNELS_PER_CONNECTION = 8;

/** Everything that is measured, in order. */
export function measurements(scenarios: readonly ScenarioName[], connections: number): readonly Measurement[] {
  const all = counted(connections);
  const flows = (count: number): Measurement[] => [
    { scenario: 'bulk', cell: `up, ${counted(count)}`, connections: count, kind: 'flow', run: (c) => up(c, count) },
    { scenario: 'bulk', cell: `down, ${counted(count)}`, connections: count, kind: 'flow', run: (c) => down(c, count) },
  ];
  const list: Measurement[] = [
    { scenario: 'login', cell: all, connections, kind: 'operations', run: (cell) => login(cell, connections) },
    { scenario: 'open', cell: all, connections, kind: 'operations', run: (cell) => open(cell, connections) },
    { scenario: 'echo', cell: 'alone', connections: 1, kind: 'operations', run: echoAlone },
    { scenario: 'echo', cell: 'beside a download', connections: 1, kind: 'operations', run: echoBesideBulk },
    ...flows(1),
    ...(connections > 1 ? flows(connections) : []),
    {
      scenario: 'http',
      cell: `${all} x ${HTTP_TUNNELS_PER_CONNECTION} tunnels`,
      connections,
      kind: 'operations',
      run: (cell) => http(cell, connections),
    },
  ];
  return list.filter(({ scenario }) => scenarios.includes(scenario));
}

/** From the TCP connect to the server's word that we are in, again and again. */
async function login(cell: Cell, connections: number): Promise<void> {
  cell.begin();
  await many(connections, async () => {
    while (cell.running) {
      const sinceMs = performance.now();
      const client = await cell.connect();
      cell.sample(sinceMs);
      await client.end();
    }
  });
}

/** From CHANNEL_OPEN to its confirmation; then the tunnel is used and closed, and each must have come out once. */
async function open(cell: Cell, connections: number): Promise<void> {
  const clients = await cell.connectAll(connections);
  cell.begin();
  await each(clients, async (client) => {
    while (cell.running) {
      const sinceMs = performance.now();
      const channel = await cell.openDirect(client);
      const openedMs = performance.now();
      await cell.arrive(channel);
      cell.sample(sinceMs, openedMs);
    }
  });
}

/** One byte there and back. */
async function echoAlone(cell: Cell): Promise<void> {
  const client = await cell.connect();
  cell.begin();
  await pingPong(cell, client);
}

/** The same while another tunnel of the same connection carries a download as fast as it goes. */
async function echoBesideBulk(cell: Cell): Promise<void> {
  const client = await cell.connect();
  const download = await startDownload(cell, client);
  cell.begin();
  await pingPong(cell, client);
  await download.stop();
}

async function pingPong(cell: Cell, client: LoadClient): Promise<void> {
  const { channel } = await cell.tunnel(client, 'echo');
  const exchange = new Exchange(channel);
  for (let turn = 0; cell.running; turn = (turn + 1) % 256) {
    const sinceMs = performance.now();
    const question = Buffer.from([turn]);
    const answer = await exchange.ask(question, 1);
    if (!answer.equals(question)) throw wrong(`the echo of ${turn} was ${answer.toString('hex', 0, 16)}`);
    cell.sample(sinceMs);
  }
}

/** The pattern from here to the far end. */
async function up(cell: Cell, connections: number): Promise<void> {
  const clients = await cell.connectAll(connections);
  cell.farEnd.onSinkBytes = (bytes) => cell.moved(bytes);
  cell.begin();
  await each(clients, async (client) => {
    const { channel, number } = await cell.tunnel(client, 'sink');
    channel.resume();
    const ended = once(channel, 'end');
    const sent = await sendPattern(channel, () => cell.running);
    channel.end();
    await ended; // after the far end has read everything
    requireEqual(sent, await digestOf(cell, number), 'up');
  });
}

/** The pattern from the far end to here. */
async function down(cell: Cell, connections: number): Promise<void> {
  const clients = await cell.connectAll(connections);
  cell.begin();
  await each(clients, async (client) => {
    const download = await startDownload(cell, client);
    await new Promise((resolve) => setTimeout(resolve, cell.leftMs));
    await download.stop();
  });
}

async function startDownload(cell: Cell, client: LoadClient): Promise<{ stop(): Promise<void> }> {
  const { channel, number } = await cell.tunnel(client, 'source');
  const receiving = receivePattern(channel, (bytes) => cell.moved(bytes));
  return {
    async stop() {
      channel.end(Buffer.from([0]));
      const received = await receiving;
      requireEqual(await digestOf(cell, number), received, 'down');
    },
  };
}

/** A GET and its answer of 1 KiB, keep-alive, one under way in each tunnel. */
async function http(cell: Cell, connections: number): Promise<void> {
  const clients = await cell.connectAll(connections);
  const tunnels = await Promise.all(
    clients.flatMap((client) => Array.from({ length: HTTP_TUNNELS_PER_CONNECTION }, () => cell.openDirect(client))),
  );
  cell.begin();
  let number = 0;
  await each(tunnels, async (channel) => {
    const exchange = new Exchange(channel);
    while (cell.running) {
      const mine = number++;
      const expected = httpAnswer(mine);
      const sinceMs = performance.now();
      const answer = await exchange.ask(httpRequest(mine), expected.length);
      cell.sample(sinceMs);
      if (!answer.equals(expected)) throw wrong(`HTTP request ${mine} got an answer that is not its own`);
    }
  });
}

async function digestOf(cell: Cell, number: number): Promise<Digest> {
  const digest = await cell.farEnd.digest(number);
  if (digest === undefined || cell.farEnd.arrivals(number) !== 1)
    throw wrong(`tunnel ${number} came out ${cell.farEnd.arrivals(number)} times`);
  return digest;
}

function requireEqual(sent: Digest, received: Digest, direction: string): void {
  if (equalDigests(sent, received)) return;
  const hex = (digest: Digest): string => digest.crc32.toString(16).padStart(8, '0');
  throw wrong(
    `${direction}: sent ${sent.bytes} bytes (CRC-32 ${hex(sent)}), received ${received.bytes} (${hex(received)})`,
  );
}

function wrong(text: string): LoadError {
  return new LoadError('VERIFICATION_FAILED', text);
}

async function each<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  await Promise.all(list.map(work));
}

async function many(count: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, work));
}

function counted(connections: number): string {
  return `${connections} connection${connections === 1 ? '' : 's'}`;
}
