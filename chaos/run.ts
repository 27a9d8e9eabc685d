/** RUN: one run of chaos: the cast comes in, faults are made while flows go, the flows end, and what is left is looked at.
 *  Owns the order of these, and the end of everything that was started. */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pathOf } from '../test/support/programs.js';
import { Crowd } from './crowd.js';
import { Dice } from './dice.js';
import { FarEnds } from './far_ends.js';
import { FAULTS, type Fault } from './faults.js';
import { Flows } from './flows.js';
import { TOLD_WITHIN_MS } from './judge.js';
import { Ledger, type Totals } from './ledger.js';
import { isFree, Places } from './places.js';
import { comesTrue } from './processes.js';
import type { Scene } from './scene.js';
import { Server } from './server.js';
import { makeSetting, type Setting } from './setting.js';

export interface RunOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly workers: number;
  /** Ends the run at once. */
  readonly signal: AbortSignal;
  /** In words, as it happens. */
  readonly tell: (what: 'lost' | 'defect' | 'fault' | 'stage', text: string) => void;
  /** Now and then. */
  readonly progress: (sums: Sums) => void;
}

export interface Sums {
  readonly totals: Totals;
  readonly faults: ReadonlyMap<string, number>;
  readonly logins: number;
  readonly refusedLogins: number;
  readonly serverStarts: number;
  readonly workerExits: ReadonlyMap<string, number>;
  readonly connections: number;
  readonly mostFlows: number;
  readonly lost: readonly string[];
  readonly defects: readonly string[];
}

const MOST_FLOWS = 40;
const FLOW_EVERY_MS = 100;
const FAULT_EVERY_MS = 1_200;
const JUDGE_MS = 200;
const PROGRESS_MS = 5_000;
/** Beyond what each flow may take. */
const SLACK_MS = 15_000;
const LEFT_OVER_MS = 60_000;
/** In the last part of a run nothing is begun whose end takes the longest. */
const LONG_FLOW_REST_MS = 8_000;

const ENTRY = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

export async function run(options: RunOptions): Promise<Sums> {
  const stage = new Stage(options);
  try {
    await Promise.race([stage.perform(), aborted(options.signal)]);
    return stage.sums();
  } finally {
    await stage.clear();
  }
}

class Stage {
  readonly #options: RunOptions;
  readonly #ledger = new Ledger();
  readonly #lost: string[] = [];
  readonly #defects: string[] = [];
  readonly #faults = new Map<string, number>();
  readonly #playing: Promise<unknown>[] = [];
  #mostFlows = 0;
  #over = false;
  #cast: Cast | null = null;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  sums(): Sums {
    const { crowd, server } = this.#theCast;
    return {
      totals: this.#ledger.totals(),
      faults: this.#faults,
      logins: crowd.logins,
      refusedLogins: crowd.refusedLogins,
      serverStarts: server.starts,
      workerExits: server.exits,
      connections: server.count('connection.accepted'),
      mostFlows: this.#mostFlows,
      lost: this.#lost,
      defects: this.#defects,
    };
  }

  async perform(): Promise<void> {
    await this.#open();
    await this.#play();
    await this.#close();
  }

  async #open(): Promise<void> {
    const { seed, workers } = this.#options;
    for (const program of ['ssh', 'ssh-keygen'])
      if (pathOf(program) === undefined) throw new Error(`${program} is needed (apt-get install openssh-client)`);
    const defect = (text: string): void => this.#defect(text);
    const places = new Places(process.pid * 97);
    const [port, innerPort] = [await places.port(), await places.port()];
    const setting = await makeSetting({ workers, port, innerPort });
    const make = (configFile: string, count: number): Server =>
      new Server({ entry: ENTRY, configFile, workers: count, defect });
    const server = make(setting.serverConfig, workers);
    const inner = make(setting.innerConfig, 1);
    const run = process.pid; // two runs at a time are strangers to each other
    const flows = new Flows({ run, seed, dice: new Dice(seed + 1), ledger: this.#ledger, defect });
    const targetPath = setting.socketPath('target');
    const targets = await FarEnds.start({
      ...{ run, unixPath: targetPath, strange: defect },
      arrived: (id, place, socket) => flows.arrived(id, place, socket),
    });
    const scene: Scene = {
      ...{ dice: new Dice(seed + 2), server, serverPort: port, setting, busy: false, defect },
      ...{ serverCauses: [], workerCauses: [] },
      clients: () => crowd.served,
      healthy: () => crowd.healthy,
    };
    const crowd = new Crowd({
      client: { setting, places, dice: new Dice(seed + 3), serverPort: port, targetPort: targets.port, targetPath },
      innerPort,
      serverCauses: scene.serverCauses,
      workerCauses: scene.workerCauses,
      serverIsUp: () => server.current !== null,
      defect,
    });
    this.#cast = { setting, server, inner, flows, targets, scene, crowd };
    process.once('exit', this.#kill); // also after a fault of this program's own
    await Promise.all([server.start(), inner.start()]);
  }

  get #theCast(): Cast {
    if (this.#cast === null) throw new Error('the run has not begun');
    return this.#cast;
  }

  /** Until the time is over. */
  async #play(): Promise<void> {
    const { seconds, signal, progress } = this.#options;
    const endMs = performance.now() + seconds * 1_000;
    const { crowd } = this.#theCast;
    void crowd.keep();
    const loops = [
      this.#everyMs(JUDGE_MS, () => this.#judge()),
      this.#everyMs(PROGRESS_MS, () => progress(this.sums())),
    ];
    this.#playing.push(this.#openFlows(endMs), this.#makeFaults(endMs));
    await Promise.all(this.#playing);
    this.#options.tell('stage', 'no more faults: what runs may end');
    await comesTrue(() => this.#ledger.openFlows === 0 || signal.aborted, TOLD_WITHIN_MS + SLACK_MS);
    this.#over = true;
    await Promise.all(loops);
  }

  async #everyMs(periodMs: number, call: () => void): Promise<void> {
    while (!this.#over && !this.#options.signal.aborted) {
      await delay(periodMs, null, { ref: false });
      call();
    }
  }

  async #openFlows(endMs: number): Promise<void> {
    const { crowd, flows } = this.#theCast;
    const dice = new Dice(this.#options.seed + 4);
    while (performance.now() < endMs && !this.#options.signal.aborted) {
      await delay(dice.pauseMs(FLOW_EVERY_MS));
      const client = dice.pick(crowd.healthy);
      if (client === undefined || this.#ledger.openFlows >= MOST_FLOWS) continue;
      flows.open(client, endMs - performance.now() + LONG_FLOW_REST_MS);
      this.#mostFlows = Math.max(this.#mostFlows, this.#ledger.openFlows);
    }
  }

  /** Each of them once, in any order; then by weight. */
  async #makeFaults(endMs: number): Promise<void> {
    const { scene } = this.#theCast;
    const underWay: Promise<void>[] = [];
    const first = scene.dice.shuffled(FAULTS);
    while (performance.now() < endMs && !this.#options.signal.aborted) {
      await delay(scene.dice.pauseMs(FAULT_EVERY_MS));
      const mayBeMade = ({ global }: Fault): boolean => !(global && scene.busy);
      const next = first.findIndex(mayBeMade);
      const fault = next >= 0 ? first.splice(next, 1)[0] : scene.dice.weighted(FAULTS.filter(mayBeMade));
      if (fault === undefined) continue;
      underWay.push(this.#make(fault));
    }
    await Promise.all(underWay);
  }

  async #make(fault: Fault): Promise<void> {
    const { scene } = this.#theCast;
    if (fault.global) scene.busy = true;
    this.#options.tell('fault', fault.name);
    try {
      if (await fault.inject(scene)) this.#faults.set(fault.name, (this.#faults.get(fault.name) ?? 0) + 1);
    } catch (error) {
      this.#defect(`${fault.name}: ${error instanceof Error ? error.stack : error}`);
    } finally {
      if (fault.global) scene.busy = false;
    }
  }

  #judge(): void {
    for (const { judgement } of this.#ledger.settle(performance.now()))
      if (judgement.verdict === 'lost') this.#tellLost(judgement.why);
    this.#theCast.flows.prune();
  }

  /** Everybody leaves, and nothing may be left. */
  async #close(): Promise<void> {
    const { crowd, server, inner, targets, setting } = this.#theCast;
    this.#judge();
    for (const { judgement } of this.#ledger.close()) this.#tellLost(judgement.why);
    await crowd.close();
    this.#options.tell('stage', 'everybody has left: looking at what is left');
    const bound: number[] = [];
    for (const port of crowd.ports) if (!(await comesTrue(() => isFree(port), TOLD_WITHIN_MS))) bound.push(port);
    if (bound.length > 0) this.#defect(`ports that are bound still: ${bound.join(', ')}`);
    if (!(await comesTrue(() => targets.open === 0, TOLD_WITHIN_MS)))
      this.#defect(`${targets.open} connections to the targets are open still`);
    if (!(await comesTrue(() => server.leftOver() === 0, LEFT_OVER_MS)))
      this.#defect(`the server holds ${server.leftOver()} sockets more than at its start`);
    await Promise.all([server, inner].map(async (one) => one.current !== null && (await one.drain(one.current))));
    for (const one of [server, inner])
      if (!(await comesTrue(() => one.orphans.length === 0, TOLD_WITHIN_MS)))
        this.#defect(`workers that no primary has and that run on: ${one.orphans.join(', ')}`);
    if (!(await comesTrue(() => server.primaries.length === 0, TOLD_WITHIN_MS)))
      this.#defect(`primaries that have no place and run on: ${server.primaries.join(', ')}`);
    const sockets = setting.sockets().filter((name) => !name.startsWith('target'));
    if (sockets.length > 0) this.#defect(`socket files that are left: ${sockets.join(', ')}`);
  }

  readonly #kill = (): void => {
    this.#cast?.crowd.kill();
    this.#cast?.server.kill();
    this.#cast?.inner.kill();
  };

  /** Whatever happened: nothing of ours runs on. */
  async clear(): Promise<void> {
    const cast = this.#cast;
    if (cast === null) return;
    this.#over = true;
    this.#kill();
    process.off('exit', this.#kill);
    await cast.targets.stop();
    cast.setting.remove();
  }

  #tellLost(why: string): void {
    const refusals = this.#cast?.server.current?.log.refusals ?? [];
    const text = `${why}; refused last: ${refusals.join(' ') || 'nothing'}`;
    this.#lost.push(text);
    this.#options.tell('lost', text);
  }
  #defect(text: string): void {
    if (this.#options.signal.aborted) return;
    this.#defects.push(text);
    this.#options.tell('defect', text);
  }
}

interface Cast {
  readonly setting: Setting;
  readonly server: Server;
  /** Where `-J` goes. */
  readonly inner: Server;
  readonly flows: Flows;
  readonly targets: FarEnds;
  readonly scene: Scene;
  readonly crowd: Crowd;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
