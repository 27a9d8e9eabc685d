/** JOINED: a relay between a real socket and a real channel on a fake port, and both far ends in the hands of a test.
 *  Owns the connection until the test ends. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { RelayEnd } from '../../src/shared/errors.js';
import { adoptHandle, takeHandle } from '../../src/shared/handles.js';
import { MSG } from '../../src/shared/protocol.js';
import type { Channel } from '../../src/worker/channel/channel.js';
import { ChannelTable } from '../../src/worker/channel/table.js';
import { Relay, type RelayTimeouts } from '../../src/worker/forward/relay.js';
import type { Account } from '../../src/worker/memory.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import { plenty } from './account.js';
import { deferred, within } from './deadline.js';
import { FakePort } from './fake_port.js';

export interface Joined {
  readonly relay: Relay;
  readonly channel: Channel;
  readonly table: ChannelTable;
  readonly port: FakePort;
  readonly buffers: Buffers;
  readonly account: Account;
  /** The relay's end of the connection to the target. */
  readonly near: Socket;
  /** The target's end; paused. */
  readonly target: Socket;
  readonly ends: RelayEnd[];
  readonly ended: () => Promise<RelayEnd>;
}

/** Joins a new channel with a new connection. */
export async function join(
  t: Test,
  options: {
    readonly timeouts?: Partial<RelayTimeouts>;
    readonly windowBytes?: number;
    readonly maxPacketBytes?: number;
    readonly path?: string;
    /** Before the relay starts. */
    readonly prepare?: (joined: { near: Socket; target: Socket; port: FakePort }) => Promise<void> | void;
  } = {},
): Promise<Joined> {
  const buffers = new Buffers();
  const port = new FakePort();
  const account = plenty();
  const table = new ChannelTable(port, {
    maxChannels: 1,
    memoryBytes: 16 * 1024 * 1024,
    account,
    now: () => 0,
    violated: t.fail,
  });
  const reservation = table.reserve();
  if (reservation === null) throw new Error('no room');
  const { windowBytes = 100 * 1024 * 1024, maxPacketBytes = 32_768 } = options;
  const channel = table.open(reservation, { id: 9, windowBytes, maxPacketBytes }, 0);
  const ends: RelayEnd[] = [];
  const ended = deferred<RelayEnd>();
  const relay = new Relay(
    { buffers, lingering: account, timeouts: { halfCloseMs: 0, idleChannelMs: 0, ...options.timeouts } },
    (end) => {
      ends.push(end);
      ended.resolve(end);
    },
  );
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, 'connection');
  const address = server.address();
  const target = connect({
    port: address !== null && typeof address === 'object' ? address.port : 0,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  target.on('error', () => {});
  await once(target, 'connect');
  const [accepted]: Socket[] = await accepting;
  const handle = accepted === undefined ? undefined : takeHandle(accepted);
  if (handle === undefined) throw new Error('no connection');
  const near = adoptHandle(handle, { paused: true, onread: relay.onread });
  near.on('error', () => {});
  t.teardown(() => {
    near.destroy();
    target.destroy();
    server.close();
  });
  await options.prepare?.({ near, target, port });
  relay.start(channel, near);
  return {
    relay,
    channel,
    table,
    port,
    buffers,
    account,
    near,
    target,
    ends,
    ended: () => within(ended.promise, 'end of the relay'),
  };
}

/** Everything that reaches the target until its end. */
export function collected(target: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  target.on('data', (chunk: Buffer) => chunks.push(chunk));
  return within(
    once(target, 'end').then(() => Buffer.concat(chunks)),
    'end at the target',
  );
}

/** Resolves when `probe` holds; looks once per turn of the event loop. */
export async function until(probe: () => boolean | Promise<boolean>, what: string): Promise<void> {
  let waiting = true;
  const looking = async (): Promise<void> => {
    while (waiting && !(await probe())) await new Promise((resolve) => setImmediate(resolve));
  };
  try {
    await within(looking(), what);
  } finally {
    waiting = false; // else a test that has failed would look for ever, and its process would not end
  }
}

export const types = (port: FakePort): number[] => port.sent.map(({ type }) => type);
export const sentText = (port: FakePort): string =>
  port.sent
    .filter(({ type }) => type === MSG.CHANNEL_DATA)
    .map(({ text }) => text)
    .join('');
