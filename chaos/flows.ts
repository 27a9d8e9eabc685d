/** FLOWS: opens flows through the clients that are there, and brings each connection that comes out at a target to its flow.
 *  Owns the scripts of those under way. */
import type { Socket } from 'node:net';
import type { Client, Way } from './client.js';
import type { Dice } from './dice.js';
import { FlowEnd } from './flow_end.js';
import type { Ledger } from './ledger.js';
import { openNearEnd } from './near_end.js';
import { type Script, scriptOf } from './plan.js';
import { cause } from './scene.js';

export interface FlowsOptions {
  readonly run: number;
  readonly seed: number;
  readonly dice: Dice;
  readonly ledger: Ledger;
  readonly defect: (text: string) => void;
}

interface Flow {
  readonly script: Script;
  readonly way: Way;
  hasArrived: boolean;
}

/** Permitted to nobody, and a port where nobody listens. */
const NOWHERE = [
  { host: '192.0.2.1', port: 80 },
  { host: '127.0.0.1', port: 1 },
] as const;

export class Flows {
  readonly #options: FlowsOptions;
  readonly #flows = new Map<number, Flow>();
  #lastId = 0;

  constructor(options: FlowsOptions) {
    this.#options = options;
  }

  /** Starts one, by any of the client's ways. @param mayLastMs for those that take their time */
  open(client: Client, mayLastMs: number): void {
    const { dice, ledger, seed, run, defect } = this.#options;
    const way = dice.pick(client.ways);
    if (way === undefined) return;
    const id = ++this.#lastId;
    const script = scriptOf(dice, mayLastMs);
    const nowhere = way.byName && script.nowhere ? dice.pick(NOWHERE) : undefined;
    this.#flows.set(id, { script, way, hasArrived: false });
    const plan = {
      ...{ id, way: way.name, bytes: { near: script.near.sendBytes, far: script.far.sendBytes } },
      serverHolds:
        way.serverSocket === 'unix' ? null : way.clientHolds === 'near' ? ('far' as const) : ('near' as const),
    };
    ledger.start(plan, [client.causes], performance.now());
    if (nowhere !== undefined) ledger.caused(id, cause('destination refused', { effect: 'ends', lasting: true }));
    void openNearEnd(nowhere === undefined ? way.door : { ...way.door, socks: nowhere }, run, {
      ...{ id, side: 'near', plan: script.near, ledger, seed, resetBecomesEof: way.clientHolds === 'near' },
    }).then((strange) => {
      if (strange !== null) defect(`flow ${id} by ${way.name} was answered with ${JSON.stringify(strange)}`);
    });
  }

  /** A connection has come out that says to be this flow's. */
  arrived(id: number, place: 'tcp' | 'unix', socket: Socket): void {
    const { ledger, seed, defect } = this.#options;
    const flow = this.#flows.get(id);
    if (flow === undefined || flow.hasArrived || flow.way.comesOutAt !== place) {
      defect(`flow ${id} came out at the ${place} target ${flow?.hasArrived ? 'twice' : 'by mistake'}`);
      socket.destroy();
      return;
    }
    flow.hasArrived = true;
    const { script, way } = flow;
    new FlowEnd(socket, {
      ...{ id, side: 'far', plan: script.far, ledger, seed, resetBecomesEof: way.clientHolds === 'far' },
    });
  }

  /** Those that the ledger has forgotten. */
  prune(): void {
    for (const id of this.#flows.keys()) {
      if (this.#options.ledger.plan(id) !== undefined) return; // they are in the order of their start
      this.#flows.delete(id);
    }
  }
}
