/** FAKE WORKER: a worker process with the real channel and life, and a line protocol in place of SSH.
 *  The variable FAKE_WORKERS is JSON: worker number (or `*`) to behaviour. Each connection is greeted with
 *  `worker N conn ID`, and each line that a peer sends is a command, answered by one line. */
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { formatHostPort } from '../../src/shared/address.js';
import { TunnelError } from '../../src/shared/errors.js';
import { adoptHandle } from '../../src/shared/handles.js';
import type { ConnId, LeaseKey, ReloadMessage, SeenPart, StartMessage, WorkerCounts } from '../../src/shared/ipc.js';
import type { HandedOver, Primary, WorkerServer } from '../../src/worker/primary_link.js';
import { onFault, takeProcess } from '../../src/worker/process_side.js';
import { runWorker } from '../../src/worker/run.js';

/** refuse: takes nobody. die: SIGKILL before it takes one. stop: SIGSTOP, and takes it when it continues.
 *  fail: does not start. broken: does not start, and says that no other one could. hang: never answers `start`. */
export type Behaviour = 'serve' | 'refuse' | 'die' | 'stop' | 'fail' | 'broken' | 'hang';

class FakeServer implements WorkerServer {
  readonly nativeBinding = true;
  readonly #start: StartMessage;
  readonly #primary: Primary;
  readonly #behaviour: string;
  readonly #sockets = new Map<ConnId, Socket>();
  readonly #deaf = new Set<ConnId>();
  #ended: () => void = () => {};

  constructor(start: StartMessage, primary: Primary, behaviour: string) {
    this.#start = start;
    this.#primary = primary;
    this.#behaviour = behaviour;
  }

  accept({ id, handle, peer }: HandedOver): boolean {
    if (this.#behaviour === 'refuse') return false;
    if (this.#behaviour === 'die') process.kill(process.pid, 'SIGKILL');
    if (this.#behaviour === 'stop') process.kill(process.pid, 'SIGSTOP');
    const socket = adoptHandle(handle);
    this.#sockets.set(id, socket);
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.#sockets.delete(id);
      this.#primary.closed(id);
      const told = { conn: id, peer: formatHostPort(peer.address, peer.port), durationMs: 0 };
      this.#primary.event({ event: 'connection.closed', ...told, reason: 'PEER_CLOSED' });
      if (this.#sockets.size === 0) this.#ended();
    });
    createInterface({ input: socket }).on('line', (line) => void this.#command(id, socket, line.split(' ')));
    socket.write(`worker ${this.#start.workerId} conn ${id} port ${peer.port}\n`);
    return true;
  }

  async #command(id: ConnId, socket: Socket, [command = '', ...words]: string[]): Promise<void> {
    const [first = '', second = '', third = '', fourth = '0-0'] = words;
    switch (command) {
      case 'login': {
        const answer = await this.#primary.login(id, first, Number(second));
        socket.write(`${JSON.stringify(answer)}\n`);
        return;
      }
      case 'lease': {
        const [low = 0, high = 0] = fourth.split('-').map(Number);
        const target = { host: '127.0.0.1', port: Number(third), portRanges: [[low, high] as const], except: [] };
        const answer = await this.#primary.lease(id, first, Number(second), { kind: 'tcp', ...target });
        socket.write(`${JSON.stringify(answer)}\n`);
        return;
      }
      case 'release': {
        const key: LeaseKey = { kind: 'tcp', port: Number(first) };
        this.#primary.release(id, key);
        socket.write('released\n');
        return;
      }
      case 'proxied': {
        const client = first === '' ? null : { address: first, port: 50_000 };
        socket.write(`${JSON.stringify(await this.#primary.proxied(id, client))}\n`);
        return;
      }
      case 'deaf':
        this.#deaf.add(id);
        socket.write('deaf\n');
        return;
      case 'throw':
        setImmediate(() => {
          throw new Error('thrown on demand');
        });
        return;
      case 'block':
        for (;;); // a loop that never comes back
      default:
        socket.write(`${command}\n`);
    }
  }

  close(id: ConnId): void {
    this.#sockets.get(id)?.destroy();
  }
  async probe(id: ConnId): Promise<boolean> {
    return this.#sockets.has(id) && !this.#deaf.has(id);
  }
  async drain(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.values()) socket.destroy();
    }, deadlineMs);
    await this.retire();
    clearTimeout(timer);
  }
  async retire(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      const before = this.#ended;
      this.#ended = () => {
        before();
        resolve();
      };
    });
  }
  reload({ config }: ReloadMessage): void {
    for (const socket of this.#sockets.values()) socket.write(`reload ${config.limits.connections}\n`);
  }
  look(): void {}
  survey(): Iterator<SeenPart, undefined> {
    const nothing: SeenPart = { seen: { kind: 'connections', total: 0, connections: [] }, isLast: true };
    return [nothing].values();
  }
  load(): { connections: number; channels: number; bufferedBytes: number } {
    return { connections: this.#sockets.size, channels: 0, bufferedBytes: 0 };
  }
  counts(): WorkerCounts {
    return { counters: {}, histograms: {}, gauges: {} };
  }
}

// A busy machine's delays would decide who gets the next connection, which is what the tests say.
const side = { ...takeProcess(), loopLagMs: () => 0 };
const worker = runWorker(side, async (start, primary) => {
  const behaviours = new Map<string, unknown>(Object.entries(JSON.parse(process.env.FAKE_WORKERS ?? '{}')));
  const behaviour = String(behaviours.get(String(start.workerId)) ?? behaviours.get('*') ?? 'serve');
  if (behaviour === 'fail') throw new Error('told to fail');
  if (behaviour === 'broken') throw new TunnelError('HANDLER_INVALID', 'told to be broken');
  if (behaviour === 'hang') await new Promise(() => {});
  return new FakeServer(start, primary, behaviour);
});
onFault((thrown) => worker.fault(thrown));
