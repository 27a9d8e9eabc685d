/** SERVER: a whole Sallyport as users start it, `sallyport serve --config FILE`, on a port from the kernel.
 *  Owns the process, its folder and its keys. At the end of its test it must drain cleanly: exit code 0 after SIGTERM,
 *  and no internal error in its log. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import root, { type Test } from 'tap';
import { stringify } from 'yaml';
import { DEADLINE_MS, within } from './deadline.js';
import { EventLog, type ServerEvent } from './events.js';
import { cliEntry } from './paths.js';
import { type Exit, mustRun, type Running, start } from './process.js';
import { tempDir } from './temp.js';

export interface Login {
  readonly name: string;
  /** OpenSSH private key file, ed25519. */
  readonly keyFile: string;
}

export interface UserSettings {
  /** Lines in place of the key that the harness made. */
  readonly authorizedKeys?: readonly string[];
  readonly permitOpen?: readonly string[];
  readonly permitListen?: readonly string[];
  readonly limits?: Readonly<Record<string, number | string>>;
}

export interface ServerOptions {
  /** Added to the clean environment of the server and its workers. */
  readonly env?: Readonly<Record<string, string>>;
  readonly workers: number;
  /** Gives bob a password (BOB_PASSWORD). Off by default: hashing it takes a process and a moment. */
  readonly withPassword?: boolean;
  /** Merged over the harness's own settings of that user. */
  readonly users?: { readonly alice?: UserSettings; readonly bob?: UserSettings };
  /** Further users, who log in with alice's key. */
  readonly moreUsers?: readonly string[];
  /** Lines that this config earns at the start, beside its log. */
  readonly earns?: RegExp;
  /** Other top-level keys of the config, as YAML would say them. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** The binary that runs it and its workers. Default: that of the test. */
  readonly node?: string;
}

/** The config file as the harness writes it. */
export interface WrittenConfig extends Readonly<Record<string, unknown>> {
  readonly users: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export const BOB_PASSWORD = 'correct horse battery staple';

/** What an SSH client has to know of a server. */
export interface SshEndpoint {
  readonly host: string;
  readonly port: number;
}

export class Sallyport implements SshEndpoint {
  readonly host: string;
  readonly port: number;
  /** Folder of this server; permitted for Unix sockets, `DIR/*.sock`. */
  readonly dir: string;
  readonly alice: Login;
  readonly bob: Login;
  readonly events: EventLog;
  readonly configFile: string;
  /** As it was written by the harness last. */
  config: WrittenConfig;
  readonly #program: Running;
  readonly #start: StartServer;
  #killed = false;

  constructor(
    address: SshEndpoint,
    dir: string,
    logins: { alice: Login; bob: Login },
    program: Running,
    log: EventLog,
    start: StartServer,
    written: { readonly file: string; readonly config: WrittenConfig },
  ) {
    this.#start = start;
    this.host = address.host;
    this.port = address.port;
    this.dir = dir;
    this.alice = logins.alice;
    this.bob = logins.bob;
    this.events = log;
    this.#program = program;
    this.configFile = written.file;
    this.config = written.config;
  }

  get pid(): number {
    return this.#program.pid;
  }
  /** Process ids of the workers in the order of their start, ended ones included. */
  get workerPids(): number[] {
    return this.events.list('worker.started').map((event) => Number(event.pid));
  }
  get hasExited(): boolean {
    return this.#program.hasExited;
  }
  /** The test has ended the primary by force. */
  get wasKilled(): boolean {
    return this.#killed;
  }
  /** kill -9 of the primary alone; resolves when it is dead. */
  async killPrimary(): Promise<void> {
    this.#killed = true;
    this.#program.signal('SIGKILL');
    await this.#program.died;
  }
  /** The end of the primary, when it comes by itself. */
  get ended(): Promise<Exit> {
    return within(this.#program.exited, 'end of the server', DEADLINE_MS, () => this.#program.describe());
  }
  /** Starts `serve` again, after this one: the same folder and address, and the same config where no other is given. */
  async successor(config: WrittenConfig = this.config): Promise<Sallyport> {
    replaceFile(this.configFile, stringify(config));
    return await this.#start(['--listen', `${this.host}:${this.port}`]);
  }
  /** Starts `serve` again, in the place of this one. */
  async takeover(args: readonly string[] = [], node?: string): Promise<Sallyport> {
    return await this.#start(['--takeover', ...args], node);
  }
  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }
  /** Puts another config in the place of the one that is there and sends SIGHUP. @returns what the log says of it */
  async reload(config: WrittenConfig = this.config): Promise<ServerEvent> {
    this.config = config;
    return await this.reloadText(stringify(config), 'config.reloaded');
  }
  /** Puts another config in the place of the one that is there; whoever reloads finds it. */
  write(config: Readonly<Record<string, unknown>>): void {
    replaceFile(this.configFile, stringify(config));
  }
  async reloadText(text: string, outcome: 'config.reloaded' | 'config.rejected'): Promise<ServerEvent> {
    replaceFile(this.configFile, text);
    const from = this.events.mark();
    this.signal('SIGHUP');
    return await this.events.wait(outcome, {}, from);
  }
  /** Drains by SIGTERM and waits for the end. */
  async stop(): Promise<Exit> {
    return await this.#program.stop('SIGTERM', DEADLINE_MS);
  }
  /** Lines that a healthy server does not write. */
  complaints(): string[] {
    const internal = this.events.list('connection.closed', { reason: 'INTERNAL_ERROR' });
    return [...internal.map((event) => JSON.stringify(event)), ...this.events.otherLines];
  }
}

/** Starts `serve` with these arguments behind the config, and waits until it listens and every worker has started. */
type StartServer = (args: readonly string[], node?: string) => Promise<Sallyport>;

/** Starts a server and waits until it listens and every worker has started. */
export async function startSallyport(t: Test, options: ServerOptions): Promise<Sallyport> {
  const dir = tempDir(t);
  const [alice, bob] = await Promise.all([makeLogin(t, dir, 'alice'), makeLogin(t, dir, 'bob')]);
  const password = options.withPassword === true ? await hashPassword(t, BOB_PASSWORD) : undefined;
  const { env = {}, moreUsers: more = [] } = options;
  const ways = {
    permitOpen: ['localhost:*', `${dir}/*.sock`],
    permitListen: ['localhost:*', `${dir}/*.sock`],
  };
  const config = {
    listen: ['127.0.0.1:0'],
    workers: options.workers,
    stateDir: join(dir, 'state'),
    // The drain at the end of a test should not wait for clients that the test leaves behind.
    timeouts: { drain: '2s' },
    log: { level: 'debug', format: 'json' },
    ...options.config,
    users: {
      alice: { authorizedKeys: `${alice.keyFile}.pub`, ...ways, ...options.users?.alice },
      bob: {
        authorizedKeys: `${bob.keyFile}.pub`,
        ...(password === undefined ? {} : { password }),
        ...ways,
        ...options.users?.bob,
      },
      ...Object.fromEntries(more.map((name) => [name, { authorizedKeys: `${alice.keyFile}.pub`, ...ways }])),
    },
  };
  const configFile = join(dir, 'sallyport.yaml');
  writeFileSync(configFile, stringify(config));

  const startServer: StartServer = async (args, node = options.node ?? process.execPath) => {
    const command = [cliEntry, 'serve', '--config', configFile, ...args];
    const program = start(t, node, command, { cwd: dir, env });
    const events = new EventLog(program);
    const listening = await events.wait('server.listening');
    await events.waitAll(options.workers, 'worker.started');
    const address = endpointOf(String(listening.address));
    const written = { file: configFile, config };
    const server = new Sallyport(address, dir, { alice, bob }, program, events, startServer, written);
    t.teardown(async () => {
      if (server.wasKilled) return;
      // Asserted on the root test: the test that started the server has ended by now.
      const name = `server of "${t.name}"`;
      const exit = await server.stop().catch((error: unknown) => String(error));
      root.same(exit, { code: 0, signal: null }, `${name} drains and exits with 0`);
      const complaints = server.complaints().filter((line) => options.earns?.test(line) !== true);
      root.same(complaints, [], `${name} has nothing to complain about`);
    });
    return server;
  };
  return await startServer([]);
}

/** Whole at every moment, as a careful operator does it. */
export function replaceFile(file: string, text: string | Buffer): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** An ed25519 key without passphrase in `dir`. */
export async function makeLogin(t: Test, dir: string, name: string, file = name): Promise<Login> {
  const keyFile = join(dir, file);
  await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', keyFile]);
  return { name, keyFile };
}

/** `SHA256:…` of the ed25519 host key that the server shows. */
export async function hostKeyFingerprint(t: Test, server: SshEndpoint): Promise<string> {
  const keys = await mustRun(t, 'ssh-keyscan', ['-t', 'ed25519', '-p', String(server.port), server.host]);
  const listing = await mustRun(t, 'ssh-keygen', ['-l', '-f', '-'], keys);
  const fingerprint = listing.match(/SHA256:\S+/)?.[0];
  if (fingerprint === undefined) throw new Error(`no fingerprint in ${listing}`);
  return fingerprint;
}

async function hashPassword(t: Test, password: string): Promise<string> {
  return (await mustRun(t, process.execPath, [cliEntry, 'hash-password'], `${password}\n`)).trim();
}

/** `127.0.0.1:43211` as a pair. */
export function endpointOf(address: string): SshEndpoint {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
