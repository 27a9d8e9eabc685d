/** RUN: a worker's life: start, serve, retire or drain, exit.
 *  Owns the order of these and nothing of SSH. Obeys the primary alone; without one it takes no new connections, keeps those
 *  that it has, and ends with the last of them. */
import { type ErrorCode, type RefuseReason, reasonOf, TunnelError } from '../shared/errors.js';
import type { LookQuery, ReloadMessage, SeenPart, StartMessage } from '../shared/ipc.js';
import { Orphan, type OrphanSide } from './orphan.js';
import { type Primary, type PrimaryChannel, PrimaryLink, stackOf, type WorkerServer } from './primary_link.js';

export type ServerFactory = (start: StartMessage, primary: Primary) => Promise<WorkerServer>;

/** What a worker needs of its process. */
export interface WorkerProcessSide {
  readonly channel: PrimaryChannel;
  /** CLOCK_MONOTONIC. */
  nowNs(): bigint;
  /** Longest event-loop delay since the last call, in milliseconds. */
  loopLagMs(): number;
  exit(code: number): void;
  /** Null: this worker lives in the primary's own process, and ends with it. */
  readonly orphan: OrphanSide | null;
}

export interface RunningWorker {
  /** For what nobody caught: tells the primary, gives what runs some seconds, exits 1. */
  fault(thrown: unknown): void;
}

/** Faults of what was given to the worker: another one would fail in the same way. */
const LASTING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONFIG_INVALID',
  'HANDLER_INVALID',
  'HOST_KEY_INVALID',
  'SSH2_INCOMPATIBLE',
]);
const LOAD_EVERY_MS = 1_000;
/** What tunnels get after a fault: the process may be in any state. */
const FAULT_DRAIN_MS = 5_000;
/** For the last messages to be written. */
const FLUSH_MS = 500;

export function runWorker(side: WorkerProcessSide, createServer: ServerFactory): RunningWorker {
  const link = new PrimaryLink(side.channel, () => side.nowNs());
  let server: WorkerServer | undefined;
  let started: Promise<void> = Promise.resolve();
  let drainMs = 0;
  let orphan: Orphan | undefined;
  /** What it had a primary for is over: with its last connection the worker is of no use to anybody. */
  let retired = false;
  /** Looks at which it had no connection any more. It ends at the second: a server that takes over waits for its report. */
  let idleLooks = 0;
  /** When it was told to retire for the first time. */
  let retiringSinceNs: bigint | undefined;
  let retireTimer: NodeJS.Timeout | undefined;
  /** The reason why nothing new is taken. */
  let closing: RefuseReason | undefined;
  let faulty = false;
  let exiting = false;

  /** What is counted is told once: without a primary it waits for the next one. */
  const tellCounts = (count: number | null = null): void => {
    if (server !== undefined && link.connected) link.send({ type: 'counted', count, counts: server.counts() });
  };
  const exit = async (code: number): Promise<void> => {
    if (exiting) return; // one that retires may be told to drain as well
    exiting = true;
    clearInterval(loadTimer);
    tellCounts();
    await Promise.race([link.flushed(), delay(FLUSH_MS)]);
    side.exit(code);
  };
  const drain = async (deadlineMs: number): Promise<void> => {
    closing = 'DRAINING';
    try {
      await server?.drain(deadlineMs);
    } catch (error) {
      link.send({ type: 'stopping', message: `fault in drain: ${stackOf(error)}` });
      faulty = true;
    }
    await exit(faulty ? 1 : 0);
  };
  /** Each primary that follows says it again, by its own config. The time counts from the first one, else a worker would live
   *  for ever under operators who upgrade often. */
  const retire = async (deadlineMs: number): Promise<void> => {
    closing = 'DRAINING';
    const isFirst = retiringSinceNs === undefined;
    retiringSinceNs ??= side.nowNs();
    clearTimeout(retireTimer);
    if (deadlineMs > 0) {
      const goneMs = Number((side.nowNs() - retiringSinceNs) / 1_000_000n);
      retireTimer = setTimeout(() => void drain(drainMs), Math.max(0, deadlineMs - goneMs));
    }
    if (!isFirst) return;
    await server?.retire();
    clearTimeout(retireTimer);
    await drain(drainMs); // for what still waits for targets
  };
  const start = async (message: StartMessage): Promise<void> => {
    drainMs = message.config.timeouts.drainMs;
    if (side.orphan !== null && message.control !== null) orphan = orphanage(side.orphan, message.control);
    try {
      server = await createServer(message, link);
    } catch (error) {
      const code = error instanceof TunnelError && LASTING.has(error.code) ? error.code : undefined;
      link.send({ type: 'failed', message: reasonOf(error), ...(code === undefined ? {} : { code }) });
      await exit(1);
      return;
    }
    side.loopLagMs(); // loading the modules took its time, which says nothing of the load
    link.send({ type: 'ready', nativeBinding: server.nativeBinding });
    tellCounts(); // from now on the primary knows that it may ask
  };
  /** They are checked before they are sent: what fails here is a fault of ours, and the worker's successor starts with them. */
  const reload = (message: ReloadMessage): void => {
    if (server === undefined) {
      void started.then(() => server !== undefined && reload(message)); // else it did not start
      return;
    }
    drainMs = message.config.timeouts.drainMs;
    try {
      server.reload(message);
    } catch (error) {
      fault(error);
    }
  };

  const orphanage = (orphanSide: OrphanSide, path: string): Orphan =>
    new Orphan({
      side: orphanSide,
      path,
      introduce: () => ({ type: 'adopt', pid: orphanSide.pid, connections: link.held(), codes: link.usedCodes() }),
      follow: (channel) => link.follow(channel),
      giveUp: () => void drain(drainMs),
    });
  const orphaned = (): void => {
    retired = true;
    idleLooks = 0;
    if (orphan === undefined || server === undefined) void drain(drainMs);
    else orphan.begin();
  };

  const fault = (thrown: unknown): void => {
    if (faulty) return; // one is enough to go
    faulty = true;
    link.send({ type: 'stopping', message: stackOf(thrown) });
    void drain(FAULT_DRAIN_MS);
  };

  link.listen({
    start: (message) => {
      started = start(message);
    },
    reload,
    connection(connection) {
      if (closing !== undefined || server === undefined) return closing ?? 'NO_WORKER';
      return server.accept(connection) || 'AT_CAPACITY';
    },
    close: (id, reason) => server?.close(id, reason),
    survey: (query, tell) => survey(query, tell),
    count: tellCounts,
    probe: async (id, timeoutMs) => (await server?.probe(id, timeoutMs)) ?? false,
    drain: (deadlineMs) => void drain(deadlineMs),
    retire: (deadlineMs) => void retire(deadlineMs),
    orphaned,
    fault,
  });

  /** Who looks must not be able to end the tunnels that he looks at. */
  const survey = (query: LookQuery, tell: (part: SeenPart) => boolean): void => {
    const step = (parts: Iterator<SeenPart, undefined> | undefined): void => {
      const part = parts?.next().value;
      if (part !== undefined && tell(part) && !part.isLast) setImmediate(attempt, () => step(parts));
    };
    const attempt = (action: () => void): void => {
      try {
        action();
      } catch (thrown) {
        process.emitWarning(`a look at the connections failed: ${stackOf(thrown)}`, 'SallyportWarning');
      }
    };
    attempt(() => step(server?.survey(query)));
  };

  const loadTimer = setInterval(() => {
    if (server === undefined) return;
    server.look();
    if (retired && server.load().connections === 0 && ++idleLooks > 1) {
      retired = false;
      void drain(drainMs); // for what still waits for targets
      return;
    }
    link.send({ type: 'load', load: { ...server.load(), loopLagMs: side.loopLagMs() } });
    tellCounts();
  }, LOAD_EVERY_MS).unref();

  return { fault };
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
