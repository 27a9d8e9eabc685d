/** A16: opens without end, and numbers used in every way. Beyond the cap each open is refused for want of resources and the
 *  connection lives; what was opened and closed leaves nothing.
 *
 *  The row's million of opens and closes is 2,000 tunnels and 10,000 sessions here: each tunnel leaves the machine a port in
 *  TIME_WAIT, and there are 28,000. What a leak of one channel would leave shows with the first hundred. */
import t from 'tap';
import { MSG, message, OPEN_FAILURE, UINT32_MAX } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { confirmed, dataMessage, directOpen, openDirectChannel, type RawClient } from '../support/raw_client.js';
import { residentBytes } from '../support/resident.js';

const CAP = 64;
const OPENS = 10_000;
const MIB = 1024 * 1024;

/** What is opened beyond a rate is refused (A25) and tells nothing of what an open leaves. */
const ANY_RATE = { users: { alice: { limits: { opensPerSecond: 0 } } } };

hostile(
  t,
  'A16',
  'ten thousand opens at once: the cap, then RESOURCE_SHORTAGE, and the connection lives',
  { ...ANY_RATE, config: { limits: { channelsPerConnection: CAP } } },
  async (t, { server, login, echoPort }) => {
    const client = await login();
    const answers = new Map<number, number>();
    const ours: number[] = [];
    client.intercept = (payload) => {
      const type = payload[0] ?? 0;
      if (type !== MSG.CHANNEL_OPEN_CONFIRMATION && type !== MSG.CHANNEL_OPEN_FAILURE) return false;
      const id = payload.readUInt32BE(1);
      if (id >= OPENS) return false;
      answers.set(id, type === MSG.CHANNEL_OPEN_CONFIRMATION ? 0 : payload.readUInt32BE(5));
      if (type === MSG.CHANNEL_OPEN_CONFIRMATION) ours.push(payload.readUInt32BE(5));
      return true;
    };
    const from = server.events.mark();
    for (let id = 0; id < OPENS; id++) client.send(directOpen(echoPort, { id }));
    while (answers.size < OPENS) await client.roundTrip(); // targets are dialled meanwhile
    const refused = [...answers.values()].filter((reason) => reason === OPEN_FAILURE.RESOURCE_SHORTAGE).length;
    t.equal(refused, OPENS - CAP);
    t.equal(new Set(ours).size, CAP, 'each of the others has a number of its own');
    await server.events.wait('channel.refused', { reason: 'CHANNEL_LIMIT' }, from);
    t.ok(server.events.list('channel.refused', {}, from).length <= 300, 'refusals beyond a burst are told as a number');
    client.send(message(MSG.CHANNEL_CLOSE, ours[5] ?? -1));
    await client.take(MSG.CHANNEL_CLOSE);
    client.intercept = () => false;
    const again = await openDirectChannel(client, echoPort, { id: 1 });
    t.equal(again.peerId, ours[5], 'a number that was closed is used again');
    await speaks(client, again.id, again.peerId);
  },
);

hostile(
  t,
  'A16',
  'numbers of the peer that it uses twice, and 2^32-1, are its own affair',
  { workers: [1] },
  async (t, { login, echoPort }) => {
    const client = await login();
    for (const id of [7, 7, UINT32_MAX, 0]) {
      const channel = await openDirectChannel(client, echoPort, { id });
      await speaks(client, id, channel.peerId);
    }
    await t.resolves(client.roundTrip());
  },
);

hostile(
  t,
  'A16',
  'opened and closed, again and again: nothing is left',
  ANY_RATE,
  async (t, { server, login, echoPort }) => {
    const client = await login();
    await openAndClose(client, 500, (id) => directOpen(echoPort, { id }));
    await openAndClose(client, 2_000, session);
    // What is left would be left each time; what V8 has not collected yet is another amount in each round.
    let grown = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3 && grown >= 48 * MIB; round++) {
      const before = server.workerPids.map(residentBytes);
      await openAndClose(client, 1_500, (id) => directOpen(echoPort, { id }));
      await openAndClose(client, 8_000, session);
      grown = Math.max(...server.workerPids.map((pid, index) => residentBytes(pid) - (before[index] ?? 0)));
    }
    t.ok(grown < 48 * MIB, `grown by ${Math.round(grown / MIB)} MiB`);
    const last = await openDirectChannel(client, echoPort, { id: 9 });
    t.ok(last.peerId < BATCH, 'numbers are used again');
  },
);

const BATCH = 50;

function session(id: number): Buffer {
  return message(MSG.CHANNEL_OPEN, 'session', id, 1_000, 1_000);
}

async function openAndClose(client: RawClient, count: number, open: (id: number) => Buffer): Promise<void> {
  for (let done = 0; done < count; done += BATCH) {
    for (let id = 0; id < BATCH; id++) client.send(open(id));
    for (let id = 0; id < BATCH; id++) {
      const { peerId } = await confirmed(client, id);
      client.send(message(MSG.CHANNEL_CLOSE, peerId));
    }
    for (let id = 0; id < BATCH; id++)
      await client.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === id);
  }
}

async function speaks(client: RawClient, id: number, peerId: number): Promise<void> {
  client.send(dataMessage({ id, peerId, windowBytes: 0 }, `for ${id}`));
  const data = await client.take(MSG.CHANNEL_DATA, (payload) => payload.readUInt32BE(1) === id);
  if (data.subarray(9).toString() !== `for ${id}`) throw new Error(`channel ${id} got something else`);
}
