/** CLIENT: one OpenSSH client with a forward of each kind, behind a relay of its own.
 *  Owns the process and the relay; what was done to them is in `causes`, which every flow through them looks at. A client
 *  that ends without a cause is a defect. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Dice } from './dice.js';
import type { Cause, Side } from './flow.js';
import type { Door } from './near_end.js';
import type { Places } from './places.js';
import { signal } from './processes.js';
import { Relay } from './relay.js';
import { INNER, OUTER, type Setting, type User } from './setting.js';

/** One kind of flow through a client. */
export interface Way {
  readonly name: string;
  readonly door: Door;
  readonly comesOutAt: 'tcp' | 'unix';
  /** The side whose socket is the client's; the other's is the server's. */
  readonly clientHolds: Side;
  /** Where the server's socket is one that can be reset. */
  readonly serverSocket: 'tcp' | 'unix';
  /** Destinations are asked for flow by flow. */
  readonly byName: boolean;
}

export interface ClientOptions {
  readonly id: number;
  readonly user: User;
  readonly setting: Setting;
  readonly places: Places;
  readonly dice: Dice;
  readonly serverPort: number;
  /** Set: the forwards are those of a connection to this server, through the other (`-J`). */
  readonly innerPort: number | null;
  /** Of the targets. */
  readonly targetPort: number;
  readonly targetPath: string;
}

const LOGIN_MS = 45_000;
const KEPT_OUTPUT_CHARS = 1_000;
/** Run by the client itself when it has logged in: with `-J`, the client of the first hop says everything else, too. */
const READY = 'logged in and forwarding';
const TELL_READY = ['-o', 'PermitLocalCommand=yes', '-o', `LocalCommand=echo ${READY}`] as const;
/** The first text is that of OpenSSH before 9.7. */
const REMOTE_READY = /All remote forwarding requests processed|all expected forwarding replies/;
/** OpenSSH 9.2's client sleeps on when a signal comes just before its poll(). */
const AGAIN_MS = 500;

export class Client {
  readonly id: number;
  readonly user: User;
  readonly relay: Relay;
  readonly ways: readonly Way[];
  /** Ports and paths that the server binds for it. */
  readonly bound: { readonly ports: readonly number[]; readonly paths: readonly string[] };
  readonly causes: Cause[] = [];
  readonly #process: ChildProcess;
  readonly #source: string;
  #output = '';

  private constructor(options: ClientOptions, relay: Relay, source: string, plan: ForwardPlan, process: ChildProcess) {
    this.id = options.id;
    this.user = options.user;
    this.relay = relay;
    this.ways = plan.ways;
    this.bound = plan.bound;
    this.#source = source;
    this.#process = process;
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-KEPT_OUTPUT_CHARS);
    });
    void once(process, 'exit').then(() => relay.stop());
  }

  static async start(options: ClientOptions): Promise<Client> {
    const { id, user, setting, serverPort, innerPort } = options;
    const source = `127.0.1.${1 + (id % 250)}`;
    const relay = await Relay.start({ port: serverPort }, source, options.dice);
    const plan = await forwardsOf(options);
    const file = setting.sshConfig(id, user, { outer: relay.port, inner: innerPort });
    const to = innerPort === null ? [OUTER] : ['-J', OUTER, INNER];
    const child = spawn('ssh', ['-F', file, '-v', '-N', '-T', ...TELL_READY, ...plan.args, ...to], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', LC_ALL: 'C' },
    });
    return new Client(options, relay, source, plan, child);
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }
  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
  get exited(): Promise<void> {
    return this.hasExited ? Promise.resolve() : once(this.#process, 'exit').then(() => {});
  }
  /** Its last words. */
  get output(): string {
    return this.#output;
  }
  /** As the server's log names it; null while it has not connected. */
  get peer(): string | null {
    return this.relay.peerPort === null ? null : `${this.#source}:${this.relay.peerPort}`;
  }
  get isDoomed(): boolean {
    return this.causes.some(({ effect, endedMs, lasting }) => effect === 'ends' && (lasting || endedMs === null));
  }

  /** @returns whether it logged in and every forward stands */
  async ready(): Promise<boolean> {
    const { stdout, stderr } = this.#process;
    const heard = new Promise<boolean>((resolve) => {
      let text = '';
      const look = (more: string): void => {
        text += more;
        if (text.includes(READY) && (this.bound.ports.length === 0 || REMOTE_READY.test(text))) resolve(true);
      };
      stdout?.setEncoding('utf8').on('data', look);
      stderr?.on('data', look);
    });
    return await Promise.race([heard, this.exited.then(() => false), delay(LOGIN_MS, false, { ref: false })]);
  }

  signal(name: NodeJS.Signals): void {
    if (!this.hasExited) signal(this.pid, name);
  }

  /** SIGTERM, until it has ended. */
  async leave(): Promise<void> {
    while (!this.hasExited) {
      this.signal('SIGTERM');
      await Promise.race([this.exited, delay(AGAIN_MS)]);
    }
  }
}

interface ForwardPlan {
  readonly args: readonly string[];
  readonly ways: readonly Way[];
  readonly bound: { readonly ports: readonly number[]; readonly paths: readonly string[] };
}

/** Of what is bound where: `-L` to TCP and to a Unix socket, `-D`, `-R` on a port and on a path. */
async function forwardsOf(options: ClientOptions): Promise<ForwardPlan> {
  const { id, setting, places, innerPort, targetPort, targetPath } = options;
  const target = `127.0.0.1:${targetPort}`;
  const near = (port: number): Door['at'] => ({ port, host: '127.0.0.1' });
  const [local, toUnix, socks] = [await places.port(), await places.port(), await places.port()];
  const prefix = innerPort === null ? '' : '-J ';
  const common = { clientHolds: 'near', comesOutAt: 'tcp', serverSocket: 'tcp', byName: false } as const;
  const ways: Way[] = [
    { ...common, name: `${prefix}-L`, door: { at: near(local), socks: null } },
    {
      ...common,
      name: `${prefix}-D`,
      door: { at: near(socks), socks: { host: '127.0.0.1', port: targetPort } },
      byName: true,
    },
    {
      ...common,
      ...{ name: `${prefix}-L to a socket`, door: { at: near(toUnix), socks: null } },
      ...{ comesOutAt: 'unix', serverSocket: 'unix' },
    },
  ];
  const args = ['-L', `127.0.0.1:${local}:${target}`, '-L', `127.0.0.1:${toUnix}:${targetPath}`];
  args.push('-D', `127.0.0.1:${socks}`);
  if (innerPort !== null) return { args, ways, bound: { ports: [], paths: [] } };

  const remote = await places.port();
  const path = setting.socketPath(`r${id}`);
  args.push('-R', `${remote}:${target}`, '-R', `${path}:${target}`);
  ways.push(
    { ...common, name: '-R', door: { at: near(remote), socks: null }, clientHolds: 'far' },
    {
      ...common,
      name: '-R of a socket',
      door: { at: { path }, socks: null },
      clientHolds: 'far',
      serverSocket: 'unix',
    },
  );
  return { args, ways, bound: { ports: [remote], paths: [path] } };
}
