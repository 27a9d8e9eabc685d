/** BULK FLOW: a process with both ends of an endless bulk transfer, for what is measured beside it. Argument: `up`
 *  (to the target) or `down`. Asked to `begin` with the tunnel's port, it answers when the flow stands; asked to
 *  `end`, when all that was sent has arrived and been checked. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { receivePattern, requireEqual, sendPattern } from './flow.js';
import type { Answer } from './helper.js';
import { serveParent } from './helper_process.js';
import { PairTarget } from './pair_target.js';

/** Behind this the windows and the slow start are settled. */
const STANDS_AT_BYTES = 4 * 1024 * 1024;

class Flow {
  readonly #stop = new AbortController();
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #whole: Promise<void>;
  #startedMs = 0;
  #startedBytes = 0;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    this.#whole = this.#run();
    this.#whole.catch(() => {}); // told by stands() or end()
  }

  async stands(): Promise<void> {
    const enough = async (): Promise<void> => {
      while (this.#to.bytesRead < STANDS_AT_BYTES) await once(this.#to, 'data');
    };
    await Promise.race([enough(), this.#whole]);
    this.#startedMs = performance.now();
    this.#startedBytes = this.#to.bytesRead;
  }

  async end(): Promise<{ megabytesPerSecond: number }> {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const bytes = this.#to.bytesRead - this.#startedBytes;
    this.#stop.abort();
    await this.#whole;
    return { megabytesPerSecond: bytes / 1e6 / seconds };
  }

  async #run(): Promise<void> {
    const sending = sendPattern(this.#from, Number.MAX_SAFE_INTEGER, this.#stop.signal);
    const [sent, received] = await Promise.all([sending, receivePattern(this.#to)]);
    requireEqual(sent, received);
  }
}

/** Begins once, ends once. */
class FlowDesk {
  readonly #direction: 'up' | 'down';
  readonly #target: PairTarget;
  #flow: Flow | undefined;

  constructor(direction: 'up' | 'down', target: PairTarget) {
    this.#direction = direction;
    this.#target = target;
  }

  async begin(tunnelPort: number): Promise<Answer> {
    const { near, far } = await this.#target.connect(tunnelPort);
    this.#flow = this.#direction === 'up' ? new Flow(near, far) : new Flow(far, near);
    await this.#flow.stands();
    return {};
  }

  async end(): Promise<Answer> {
    if (this.#flow === undefined) throw new Error('asked to end before it began');
    return await this.#flow.end();
  }
}

const direction = process.argv[2];
if (direction !== 'up' && direction !== 'down') throw new Error('usage: bulk_flow up|down');
const target = await PairTarget.listen();
const desk = new FlowDesk(direction, target);
serveParent(target.port, { begin: (tunnelPort) => desk.begin(tunnelPort), end: () => desk.end() });
