/** LOAD WORKER: a process that makes connections for a measurement; LOAD POOL forks it. Owns the connections that it
 *  holds. It does one order after the other and ends when its parent goes. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadClient } from '../src/load/client.js';
import { LoadError } from '../src/load/errors.js';
import { reasonOf } from '../src/shared/errors.js';
import { type Amount, type Answer, isOrder, type LoginTarget, type Order } from './support/load_orders.js';

const LOGIN_MS = 60_000;
/** For one step behind the login: an open, an echo, a bound port. */
const STEP_MS = 30_000;
const LOOPBACK = '127.0.0.1';
/** Ports in a row of others, after which it is the server that refuses. */
const REFUSALS = 50;
const IDENT = 'SSH-2.0-visitor\r\n';

class LoadWorker {
  readonly #held: LoadClient[] = [];
  readonly #keys = new Map<string, string>();

  async obey(order: Order): Promise<Answer> {
    switch (order.type) {
      case 'logins':
        return durations(await inLanes(order, () => this.#login(order.to, order.tunnelToPort)));
      case 'visits':
        return durations(await inLanes(order, () => visit(order.to)));
      case 'hold':
        await inLanes(order, async () => this.#held.push(await this.#connect(order.to)));
        return { type: 'done' };
      case 'tunnels':
        await Promise.all(this.#held.map((client) => openMany(client, order.perConnection, order.toPort)));
        return { type: 'done' };
      case 'opens': {
        let next = 0;
        const one = async (): Promise<void> => openAndEcho(this.#nth(next++), order.toPort);
        return durations(await inLanes(order, one));
      }
      case 'forwards': {
        const count = order.perConnection;
        const bind = (client: LoadClient, i: number): Promise<number[]> =>
          bindMany(client, count, order.fromPort + i * (count + REFUSALS));
        return { type: 'ports', ports: (await Promise.all(this.#held.map(bind))).flat() };
      }
      case 'stall':
        await Promise.all(this.#held.map((client) => stall(client, order.toPort, order.windowBytes)));
        return { type: 'done' };
      case 'bytesRead':
        return { type: 'bytes', bytes: this.#held.reduce((total, { socket }) => total + socket.bytesRead, 0) };
      case 'echoes':
        return durations(await this.#echoes(order));
      case 'release':
        await Promise.all(this.#held.splice(0).map((client) => client.end()));
        return { type: 'done' };
      default: {
        const unknown: never = order;
        throw new Error(`no such order: ${JSON.stringify(unknown)}`);
      }
    }
  }

  async #login(to: LoginTarget, tunnelToPort: number | null): Promise<() => Promise<void>> {
    const client = await this.#connect(to);
    if (tunnelToPort !== null)
      try {
        await within(client.openDirect(LOOPBACK, tunnelToPort), 'the tunnel');
      } catch (error) {
        client.destroy();
        throw error;
      }
    return () => client.end(); // the leaving is not part of the login's time
  }

  async #echoes(order: Extract<Order, { type: 'echoes' }>): Promise<number[]> {
    const client = await this.#connect(order.to);
    try {
      const channel = await within(client.openDirect(LOOPBACK, order.toPort), 'the tunnel');
      await echoByte(channel); // the first one pays for what is made at first use
      const ms: number[] = [];
      const deadlineMs = performance.now() + order.forMs;
      while (performance.now() < deadlineMs) {
        const startedMs = performance.now();
        await echoByte(channel);
        ms.push(performance.now() - startedMs);
        await delay(order.everyMs);
      }
      return ms;
    } finally {
      await client.end();
    }
  }

  #nth(n: number): LoadClient {
    const client = this.#held[n % this.#held.length];
    if (client === undefined) throw new Error('tunnels are opened on held connections, and none is held');
    return client;
  }

  #connect({ host, port, user, identityFile, hostKey }: LoginTarget): Promise<LoadClient> {
    const privateKey = this.#keys.get(identityFile) ?? readFileSync(identityFile, 'utf8');
    this.#keys.set(identityFile, privateKey);
    const verifyHostKey = (blob: Buffer): boolean => blob.toString('base64') === hostKey;
    return LoadClient.connect({ host, port, user, privateKey, verifyHostKey, readyTimeoutMs: LOGIN_MS });
  }
}

function durations(ms: readonly number[]): Answer {
  return { type: 'durations', ms };
}

/** Runs a task `count` times, `concurrency` at a time. What a task returns is called behind it, off the clock.
 *  @returns the milliseconds that each took */
async function inLanes({ count, concurrency }: Amount, task: () => Promise<unknown>): Promise<number[]> {
  const ms: number[] = [];
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      const startedMs = performance.now();
      const after = await task();
      ms.push(performance.now() - startedMs);
      if (typeof after === 'function') await after();
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, lane));
  return ms;
}

/** @throws when a step takes too long: a server that does not answer must not hold up the whole run */
async function within<T>(step: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${STEP_MS / 1000} s`)), STEP_MS);
  });
  try {
    return await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A scanner's visit. The server's line is waited for: a connection that was refused earlier is no visit. */
async function visit({ host, port }: LoginTarget): Promise<void> {
  const socket = connect({ host, port, noDelay: true });
  socket.write(IDENT);
  try {
    const [first]: unknown[] = await within(once(socket, 'data'), 'the identification line');
    if (!String(first).startsWith('SSH-2.0-')) throw new Error(`the server's first line is not one of SSH: ${first}`);
  } finally {
    socket.destroy();
  }
}

async function openMany(client: LoadClient, count: number, toPort: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const channel = await within(client.openDirect(LOOPBACK, toPort), 'the tunnel');
    channel.resume();
  }
}

async function openAndEcho(client: LoadClient, toPort: number): Promise<void> {
  const channel = await within(client.openDirect(LOOPBACK, toPort), 'the tunnel');
  await echoByte(channel);
  channel.destroy();
}

async function echoByte(channel: Duplex): Promise<void> {
  const echoed = once(channel, 'data');
  channel.write('e');
  const [bytes]: unknown[] = await within(echoed, 'the echo');
  if (String(bytes) !== 'e') throw new Error(`one byte was sent, ${JSON.stringify(String(bytes))} came back`);
}

/** A port that somebody else has is left out: connections begin so far from each other that there is room for that. */
async function bindMany(client: LoadClient, count: number, fromPort: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = fromPort; ports.length < count; port++) {
    try {
      const forward = await within(client.forward('localhost', port), 'the bound port');
      forward.onConnection((channel) => channel.on('error', () => {}).pipe(channel));
      ports.push(forward.port);
    } catch (error) {
      const isTaken = error instanceof LoadError && error.code === 'FORWARD_REFUSED';
      if (!isTaken || port - fromPort > count + REFUSALS) throw error;
    }
  }
  return ports;
}

async function stall(client: LoadClient, toPort: number, windowBytes: number | null): Promise<void> {
  const channel =
    windowBytes === null
      ? client.openDirect(LOOPBACK, toPort)
      : client.openDirectWithWindow(LOOPBACK, toPort, windowBytes);
  await within(channel, 'the tunnel');
  client.socket.pause();
}

const worker = new LoadWorker();
process.on('message', (message) => {
  if (!isOrder(message)) throw new Error(`not an order: ${JSON.stringify(message)}`);
  worker.obey(message).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ type: 'failed', why: reasonOf(error) } satisfies Answer),
  );
});
process.on('disconnect', () => process.exit());
