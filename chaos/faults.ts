/** FAULTS: the table of what is done to a server, its clients, the network between them and its targets' hosts while tunnels
 *  run. Each tells whom it touches and whether it may end what runs there, then does it. What one end of a flow does to the
 *  other is in plan.ts. */
import { setTimeout as delay } from 'node:timers/promises';
import { pathOf } from '../test/support/programs.js';
import type { Client } from './client.js';
import { flood } from './flood.js';
import type { LoggedWorker } from './log_book.js';
import { strangePackets } from './packets.js';
import { descriptorsOf, openFilesLimit, setOpenFilesLimit, signal } from './processes.js';
import { type CauseOptions, cause, clientsOf, end, hit, type Scene } from './scene.js';

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Of the server as a whole: never two at a time. */
  readonly global?: true;
  /** @returns false when there is nothing to do it to; else when it is over */
  inject(scene: Scene): Promise<boolean>;
}

/** A client's keepalive, and the server's, take half a minute to call the other dead. */
const PAUSE_LEAST_MS = 1_000;
const PAUSE_MOST_MS = 8_000;
/** The server kills a worker that is silent for 5 s. */
const SHORT_PAUSE_LEAST_MS = 300;
const SHORT_PAUSE_MOST_MS = 2_000;
/** Each new worker has 20 s to start. */
const REPLACED_WITHIN_MS = 60_000;
/** What a worker may open beside what it holds, when descriptors are short. */
const FEW_DESCRIPTORS = 2;

export const FAULTS: readonly Fault[] = [
  ofClient('client killed', 6, (client) => {
    hit([client], cause('client killed', { effect: 'ends', lasting: true }));
    client.signal('SIGKILL');
  }),
  ofClient('client left', 3, (client) => {
    hit([client], cause('client left', { effect: 'ends', lasting: true }));
    void client.leave();
  }),
  ofClient('client paused', 5, async (client, { dice }) => {
    const paused = hit([client], cause('client paused', { effect: 'delays', open: true }));
    client.signal('SIGSTOP');
    await delay(dice.between(PAUSE_LEAST_MS, PAUSE_MOST_MS));
    client.signal('SIGCONT');
    end(paused);
  }),
  ofClient('network stalled', 5, async ({ relay, causes }, { dice }) => {
    const stalled = cause('network stalled', { effect: 'delays', open: true });
    causes.push(stalled);
    relay.stall();
    await delay(dice.between(PAUSE_LEAST_MS, PAUSE_MOST_MS));
    relay.resume();
    end(stalled);
  }),
  ofClient('network in pieces', 4, async ({ relay, causes }, { dice }) => {
    const cutUp = cause('network in pieces', { effect: 'delays', open: true });
    causes.push(cutUp);
    relay.fragment();
    await delay(dice.between(PAUSE_LEAST_MS, PAUSE_MOST_MS));
    relay.resume();
    end(cutUp);
  }),
  ofClient('network reset', 3, (client) => {
    hit([client], cause('network reset', { effect: 'ends', lasting: true }));
    client.relay.reset();
  }),
  ofClient('network ended', 2, (client) => {
    hit([client], cause('network ended', { effect: 'ends', lasting: true }));
    client.relay.end();
  }),
  ofClient('client vanished', 3, (client) => {
    hit([client], cause('client vanished', { effect: 'ends', lasting: true }));
    client.relay.vanish();
    client.signal('SIGKILL');
  }),
  ofWorker('worker killed', 2, async (worker, scene) => {
    hit(clientsOf(scene, worker), cause('worker killed', { effect: 'ends', lasting: true, endsAsEof: true }));
    await whileWorkersAreFewer(scene, worker, 'SIGKILL');
    return true;
  }),
  ofWorker('worker hung', 1, async (worker, scene) => {
    const hung = cause('worker hung', { effect: 'ends', lasting: true, endsAsEof: true, open: true });
    hit(clientsOf(scene, worker), hung);
    await whileWorkersAreFewer(scene, worker, 'SIGSTOP');
    end(hung);
    return true;
  }),
  ofWorker('worker paused', 2, async (worker, scene) => {
    const paused = hit(clientsOf(scene, worker), cause('worker paused', { effect: 'delays', open: true }));
    signal(worker.pid, 'SIGSTOP');
    await delay(scene.dice.between(SHORT_PAUSE_LEAST_MS, SHORT_PAUSE_MOST_MS));
    signal(worker.pid, 'SIGCONT');
    end(paused);
    return true;
  }),
  ofWorker('descriptors short', 2, async (worker, scene) => {
    if (pathOf('prlimit') === undefined) return false;
    const short = cause('descriptors short', { effect: 'refuses', open: true });
    hit(clientsOf(scene, worker), short);
    scene.serverCauses.push(short);
    scene.workerCauses.push(short);
    const before = openFilesLimit(worker.pid);
    await setOpenFilesLimit(worker.pid, descriptorsOf(worker.pid) + FEW_DESCRIPTORS);
    await delay(scene.dice.between(PAUSE_LEAST_MS, PAUSE_MOST_MS / 2));
    await setOpenFilesLimit(worker.pid, before);
    end(short);
    return true;
  }),
  {
    name: 'SIGHUP',
    weight: 2,
    async inject({ server }) {
      return server.current !== null && signal(server.current.pid, 'SIGHUP');
    },
  },
  {
    name: 'SIGUSR2',
    weight: 2,
    global: true,
    async inject(scene) {
      const generation = scene.server.current;
      if (generation === null) return false;
      // Those that are replaced live until their last connection ends.
      hit(scene.clients(), cause('SIGUSR2', { effect: 'delays' }));
      const { log, exited } = generation;
      const wanted = log.serving.length;
      const replaced = log.serving;
      for (const worker of replaced) worker.isLeaving = true;
      signal(generation.pid, 'SIGUSR2');
      const done = log.until(() => log.serving.length >= wanted);
      await Promise.race([done, exited, delay(REPLACED_WITHIN_MS, null, { ref: false })]);
      // A replacement that does not start leaves its place to the worker that has it.
      for (const worker of replaced.slice(log.serving.length)) worker.isLeaving = false;
      return true;
    },
  },
  restarting('primary killed', 1, { effect: 'delays' }, (scene, generation) => scene.server.killPrimary(generation)),
  {
    name: 'server replaced',
    weight: 2,
    global: true,
    async inject({ clients, server }) {
      const generation = server.current;
      if (generation === null) return false;
      // The sockets are handed over: nothing may be refused, either.
      const replaced = hit(clients(), cause('server replaced', { effect: 'delays', open: true }));
      await server.takeOver(generation);
      end(replaced);
      return true;
    },
  },
  restarting('server drained', 1, { effect: 'ends', lasting: true }, (scene, generation) =>
    scene.server.drain(generation),
  ),
  {
    name: 'flood of connects',
    weight: 2,
    async inject(scene) {
      const flooded = cause('flood of connects', { effect: 'refuses', open: true });
      scene.serverCauses.push(flooded);
      await flood(scene.serverPort, scene.dice);
      end(flooded);
      return true;
    },
  },
  {
    name: 'strange packets',
    weight: 5,
    async inject({ serverPort, setting, dice }) {
      await strangePackets({ host: '127.0.0.1', port: serverPort }, setting, dice);
      return true;
    },
  },
];

function ofClient(name: string, weight: number, act: (client: Client, scene: Scene) => void | Promise<void>): Fault {
  return {
    name,
    weight,
    async inject(scene) {
      const client = scene.dice.pick(scene.healthy());
      if (client === undefined) return false;
      await act(client, scene);
      return true;
    },
  };
}

function ofWorker(name: string, weight: number, act: (worker: LoggedWorker, scene: Scene) => Promise<boolean>): Fault {
  return {
    name,
    weight,
    global: true,
    async inject(scene) {
      const worker = scene.dice.pick(scene.server.workers);
      return worker !== undefined && (await act(worker, scene));
    },
  };
}

/** Until all places are filled again, nobody may count on a login. */
async function whileWorkersAreFewer(scene: Scene, worker: LoggedWorker, name: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
  const { server, serverCauses } = scene;
  const generation = server.current;
  if (generation === null) return;
  const { log, exited } = generation;
  const wanted = log.serving.length;
  const fewer = cause(name === 'SIGKILL' ? 'worker killed' : 'worker hung', { effect: 'refuses', open: true });
  serverCauses.push(fewer);
  server.doom(worker.pid);
  signal(worker.pid, name);
  await Promise.race([log.until(() => worker.exit !== null && log.serving.length >= wanted), exited]);
  end(fewer);
}

/** The next server starts while the last one's connections are still there. */
function restarting(
  name: string,
  weight: number,
  effect: CauseOptions,
  act: (scene: Scene, generation: NonNullable<Scene['server']['current']>) => Promise<void>,
): Fault {
  return {
    name,
    weight,
    global: true,
    async inject(scene) {
      const { server, serverCauses } = scene;
      const generation = server.current;
      if (generation === null) return false;
      const touching = hit(scene.clients(), cause(name, { ...effect, open: true }));
      const without = cause(name, { effect: 'refuses', open: true });
      serverCauses.push(without);
      const over = act(scene, generation);
      await server.start();
      end(without);
      await over;
      end(touching);
      return true;
    },
  };
}
