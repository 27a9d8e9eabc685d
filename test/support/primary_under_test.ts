/** PRIMARY UNDER TEST: a Primary in this process with fake workers, and peers that talk to them.
 *  Owns the primary, its workers and its peers until the test ends. */
import { once } from 'node:events';
import net from 'node:net';
import type { Test } from 'tap';
import { systemClock } from '../../src/master/clock.js';
import { PRIMARY_TIMING, Primary, type PrimaryTiming } from '../../src/master/primary.js';
import { clusterFork } from '../../src/master/worker_process.js';
import type { AuditEvent, EventName } from '../../src/shared/events.js';
import { deferred, within } from './deadline.js';
import type { Behaviour } from './fake_worker.js';
import { type EventOf, isNamed } from './named_event.js';
import { testConfig } from './test_config.js';

export const fakeWorkerEntry = new URL('./fake_worker.js', import.meta.url);

export interface UnderTestOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default false. True: `config.stateDir` is a folder of the test's own. */
  readonly workersOutlive?: boolean;
  /** Default false. */
  readonly takeover?: boolean;
  /** By worker number, `*` for all others. */
  readonly behaviours?: Readonly<Record<string, Behaviour>>;
  readonly timing?: {
    readonly [room in keyof PrimaryTiming]?: Partial<PrimaryTiming[room]>;
  };
}

/** Log of one primary, on which a test can wait. */
export class Heard {
  readonly events: AuditEvent[] = [];
  readonly texts: string[] = [];
  readonly #waiters = new Set<() => void>();

  add(event: AuditEvent): void {
    this.events.push(event);
    for (const look of [...this.#waiters]) look();
  }
  say(text: string): void {
    this.texts.push(text);
    for (const look of [...this.#waiters]) look();
  }
  list<Name extends EventName>(name: Name): EventOf<Name>[] {
    return this.events.filter((event) => isNamed(event, name));
  }
  /** The first event that fits, past or to come. */
  wait<Name extends EventName>(
    name: Name,
    fits: (event: EventOf<Name>) => boolean = () => true,
  ): Promise<EventOf<Name>> {
    return this.until(() => this.list(name).find(fits), name);
  }
  async until<Value>(probe: () => Value | undefined, what: string): Promise<Value> {
    const { promise, resolve } = deferred<Value>();
    const look = (): void => {
      const value = probe();
      if (value !== undefined) resolve(value);
    };
    this.#waiters.add(look);
    look();
    try {
      return await within(promise, what, undefined, () => JSON.stringify([this.events, this.texts], null, 1));
    } finally {
      this.#waiters.delete(look);
    }
  }
}

export interface UnderTest {
  readonly primary: Primary;
  readonly heard: Heard;
  readonly port: number;
  readonly connect: () => Promise<FakePeer>;
  readonly pidOf: (worker: number) => number;
}

/** Without `start`, for what happens while it starts. */
export function newPrimary(t: Test, options: UnderTestOptions): { primary: Primary; heard: Heard } {
  const heard = new Heard();
  const { handoff, supervisor, leaseDesk, muster } = options.timing ?? {};
  const primary = new Primary({
    config: testConfig(options.config),
    hostKeys: [],
    handler: null,
    written: {},
    fork: clusterFork({
      entry: fakeWorkerEntry,
      execArgv: [],
      env: { FAKE_WORKERS: JSON.stringify(options.behaviours ?? {}) },
    }),
    workersOutlive: options.workersOutlive ?? false,
    takeover: options.takeover ?? false,
    fds: [],
    maxWaiting: 100,
    clock: systemClock,
    random: () => 0.999, // never dropped by chance
    log: {
      eventLevel: 'trace',
      event: (event) => heard.add(event),
      prepare: async () => ({ keep() {}, drop() {} }),
      reopen: async () => {},
      linesLost: { log: 0, audit: 0 },
      lost: (worker, count) => heard.say(`lost ${count} events of worker ${worker}`),
      info: (text) => heard.say(text),
      warn: (text) => heard.say(text),
      error: (text) => heard.say(text),
    },
    timing: {
      handoff: { ...PRIMARY_TIMING.handoff, ...handoff },
      supervisor: { ...PRIMARY_TIMING.supervisor, ...supervisor },
      leaseDesk: { ...PRIMARY_TIMING.leaseDesk, ...leaseDesk },
      muster: { ...PRIMARY_TIMING.muster, ...muster },
    },
  });
  t.teardown(() => primary.kill());
  return { primary, heard };
}

export async function startPrimaryUnderTest(t: Test, options: UnderTestOptions = {}): Promise<UnderTest> {
  const { primary, heard } = newPrimary(t, options);
  const [address] = await within(primary.start(), 'start of the primary');
  if (address?.kind !== 'tcp') throw new Error('no TCP listener');
  const { port } = address;
  return {
    primary,
    heard,
    port,
    connect: () => FakePeer.connect(t, port),
    pidOf(worker) {
      const pid = primary.status().workers.find(({ id }) => id === worker)?.pid;
      if (pid === undefined) throw new Error(`no worker ${worker}`);
      return pid;
    },
  };
}

/** A peer that speaks the fake worker's line protocol. */
export class FakePeer {
  readonly socket: net.Socket;
  #text = '';
  #over = false;
  #look: () => void = () => {};

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      this.#look();
    });
    socket.on('error', () => {});
    for (const end of ['end', 'close'] as const)
      socket.on(end, () => {
        this.#over = true;
        this.#look();
      });
  }

  static async connect(t: Test, port: number): Promise<FakePeer> {
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: false });
    t.teardown(() => socket.destroy());
    const peer = new FakePeer(socket);
    await within(once(socket, 'connect'), 'connect');
    return peer;
  }

  /** The next line, or undefined at the end of the connection. */
  async line(): Promise<string | undefined> {
    const { promise, resolve } = deferred<void>();
    this.#look = () => {
      if (this.#over || this.#text.includes('\n')) resolve();
    };
    this.#look();
    await within(promise, 'line', undefined, () => JSON.stringify(this.#text));
    const end = this.#text.indexOf('\n');
    if (end === -1) return undefined;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  /** Number of the worker that greets. */
  async worker(): Promise<number> {
    const line = await this.line();
    return Number(/^worker (\d+) conn \d+ port \d+$/.exec(line ?? '')?.[1] ?? Number.NaN);
  }

  async ask(command: string): Promise<string | undefined> {
    this.socket.write(`${command}\n`);
    return await this.line();
  }
}
