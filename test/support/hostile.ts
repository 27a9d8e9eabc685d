/** HOSTILE: one row of the table of hostile inputs and faults (A01 to A50), as a test against a whole server, with one
 *  worker and with two.
 *  Owns the bystanders: tunnels of another user that carry bytes all the while, through OpenSSH's client, one client for
 *  each worker. Afterwards nothing may be left of the hostile peer: the bystanders have lost no byte, the processes are
 *  those that began, and they hold no more sockets than before. What took how long is told by `npm run chaos` and bench/,
 *  never here. */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Test } from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { DEADLINE_MS } from './deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from './flow.js';
import type { Program } from './programs.js';
import { RawClient, type RawClientOptions, rawClient } from './raw_client.js';
import { type Sallyport, type ServerOptions, startSallyport } from './server.js';
import { tunnel } from './ssh.js';
import { connect, freePort, startEcho } from './targets.js';

export interface HostileOptions extends Omit<ServerOptions, 'workers'> {
  /** Beside `ssh` and `ssh-keygen`. */
  readonly needs?: readonly Program[];
  /** Default: once with one worker and once with two. */
  readonly workers?: readonly number[];
  /** For the whole row. */
  readonly timeoutMs?: number;
  /** Connections of bystanders to each worker. Default 4; 0 where the row ends the server. */
  readonly bystanders?: number;
  /** The row ends a worker or the primary: that the processes stay is not looked at. */
  readonly processesEnd?: boolean;
}

/** What a row works with. */
export interface Scene {
  readonly server: Sallyport;
  readonly workers: number;
  /** Port of a target that sends back what it gets. */
  readonly echoPort: number;
  /** A client of alice's, keys agreed and logged in. */
  login(options?: RawClientOptions): Promise<RawClient>;
  /** A client whose TCP connection is under way, and nothing more. */
  stranger(options?: RawClientOptions): RawClient;
  /** A TCP connection that speaks no SSH. @param from address of this machine that it comes from */
  tcp(from?: string): Promise<Socket>;
  /** Takes a peer whose end is the row's business, so that it is gone before sockets are counted. */
  mine<Peer extends RawClient | Socket>(peer: Peer): Peer;
}

/** Declares the row. `id` is that of the table. The body does the harm and looks at what comes of it; the rest is looked at
 *  behind it. */
export function hostile(
  root: Test,
  id: `A${number}`,
  name: string,
  options: HostileOptions,
  body: (t: Test, scene: Scene) => Promise<void>,
): void {
  const { needs = [], workers = ONE_AND_TWO_WORKERS, timeoutMs, bystanders = 4, processesEnd = false } = options;
  flow(
    root,
    `${id} ${name}`,
    { needs: ['ssh', 'ssh-keygen', ...needs], workers, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
    async (t, count) => {
      const server = await startSallyport(t, { ...options, workers: count });
      const echo = await startEcho(t);
      const watch = await watchBystanders(t, server, { clients: count, each: bystanders, echoPort: echo.port });
      const before = processesOf(server);
      const sockets = socketsOf(before);
      const peers: Socket[] = [];
      const mine: Scene['mine'] = (peer) => {
        peers.push(peer instanceof RawClient ? peer.socket : peer);
        return peer;
      };
      await body(t, {
        server,
        workers: count,
        echoPort: echo.port,
        mine,
        stranger: (how) => mine(rawClient(t, server, how)),
        login: async (how) => {
          const client = mine(rawClient(t, server, how));
          await client.login('alice', server.alice);
          return client;
        },
        tcp: async (from) => mine(await connect(t, server.port, server.host, from)),
      });
      for (const socket of peers) socket.destroy();
      t.ok((await watch.stop()) > 0 || bystanders === 0, 'the bystanders were served, and lost no byte');
      if (processesEnd) return;
      t.same(processesOf(server), before, 'the primary and the workers are those of the beginning');
      t.ok(await settles(() => socketsOf(before) <= sockets), 'no socket is left over');
    },
  );
}

/** Says it before the service request, and behind that: both times it is a protocol error, and two connections have ended. */
export async function endsBeforeLogin(
  t: Test,
  stranger: Scene['stranger'],
  name: string,
  payload: Buffer,
): Promise<void> {
  const fresh = stranger();
  await fresh.ready;
  fresh.send(payload);
  t.match(await fresh.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, `${name}, before the service request`);

  const asked = stranger();
  await asked.ready;
  asked.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await asked.take(MSG.SERVICE_ACCEPT);
  asked.send(payload);
  t.match(await asked.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, `${name}, behind it`);
}

interface Watch {
  /** Waits for the round trips under way. @returns how many were made; rejects when one went wrong */
  stop(): Promise<number>;
}

const TOKEN_BYTES = 1_024;
/** Between one round trip of a bystander and its next: they are to be there, not to be a load. */
const PACE_MS = 20;

async function watchBystanders(
  t: Test,
  server: Sallyport,
  { clients, each, echoPort }: { clients: number; each: number; echoPort: number },
): Promise<Watch> {
  let stopped = false;
  let trips = 0;
  if (each === 0) return { stop: async () => 0 };
  const rounds: Promise<void>[] = [];
  for (let client = 0; client < clients; client++) {
    const near = await freePort();
    await tunnel(t, server, server.bob, ['-L', `${near}:127.0.0.1:${echoPort}`]);
    for (let index = 0; index < each; index++) {
      const socket = await connect(t, near);
      await roundTrip(socket, 0); // it is through, also for the count of sockets
      rounds.push(
        (async () => {
          for (let trip = 1; !stopped; trip++) {
            await roundTrip(socket, trip);
            trips++;
            await new Promise((resolve) => setTimeout(resolve, PACE_MS));
          }
        })(),
      );
    }
  }
  const all = Promise.all(rounds);
  all.catch(() => {}); // told by stop
  return {
    async stop() {
      stopped = true;
      await all;
      return trips;
    },
  };
}

/** Sends a token of its own and takes it back, byte by byte the same. */
function roundTrip(socket: Socket, trip: number): Promise<void> {
  const token = Buffer.alloc(TOKEN_BYTES, `${trip} of ${socket.localPort};`);
  return new Promise((resolve, reject) => {
    let received = 0;
    const done = (error?: Error): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('close', onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onData = (bytes: Buffer): void => {
      if (!bytes.equals(token.subarray(received, received + bytes.length)))
        return done(new Error('a bystander got other bytes'));
      received += bytes.length;
      if (received === TOKEN_BYTES) done();
    };
    const onClose = (): void => done(new Error('a bystander was cut'));
    const timer = setTimeout(() => done(new Error(`a bystander waits since ${DEADLINE_MS} ms`)), DEADLINE_MS);
    socket.on('data', onData).on('close', onClose);
    socket.write(token);
  });
}

/** The primary and its living workers. */
export function processesOf(server: Sallyport): number[] {
  const ended = new Set(server.events.list('worker.exited').map(({ pid }) => Number(pid)));
  return [server.pid, ...server.workerPids.filter((pid) => !ended.has(pid))];
}

/** Sockets that these processes hold, the channels between them included. */
export function socketsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + socketInodesOf(pid).length, 0);
}

/** Their numbers, as /proc/net names them. */
export function socketInodesOf(pid: number): string[] {
  return descriptorsOf(pid).flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      return []; // closed since
    }
  });
}

const LOOK_AGAIN_MS = 20;

/** The kernel tells nobody of a descriptor that closes: looks again and again, until the deadline. @returns whether it came true */
export async function settles(probe: () => boolean, deadlineMs: number = DEADLINE_MS): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (!probe()) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return true;
}
