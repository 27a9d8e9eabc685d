/** DOC STAGE: a folder in which the commands of the docs are run as they stand: `sallyport` is this build, `ssh`, `scp` and
 *  `curl` know nothing but the folder, and the names in the docs are given to ssh as hosts of its config.
 *  Owns the folder, the servers and every program that is started there. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { EventLog } from './events.js';
import { cliEntry } from './paths.js';
import { type Outcome, type Running, run, start } from './process.js';
import { pathOf } from './programs.js';
import { endpointOf, type Login, makeLogin, type SshEndpoint } from './server.js';
import { tempDir } from './temp.js';

export interface StagedServer extends SshEndpoint {
  readonly program: Running;
  readonly events: EventLog;
}

/** OpenSSH's client asks for a terminal otherwise, and keeps what it learns in the home folder. */
const SSH_OPTIONS = (dir: string): readonly string[] => [
  'BatchMode yes',
  'IdentityAgent none',
  'UpdateHostKeys no',
  'StrictHostKeyChecking accept-new',
  `UserKnownHostsFile ${dir}/known_hosts.met`,
  'GlobalKnownHostsFile /dev/null',
  'ConnectTimeout 30',
];

/** Added to each config that is served. None of these keys stands in the docs' configs for servers. */
const TEST_KEYS = 'workers: 1\nlog: { format: json, level: debug }\ntimeouts: { drain: 0s }\n';

/** Two processes start, on a machine that may have other tests to run. */
const START_MS = 60_000;

export class Stage {
  readonly dir: string;
  readonly #t: Test;
  readonly #hosts: string[] = [];

  constructor(t: Test) {
    this.#t = t;
    this.dir = tempDir(t);
    const bin = join(this.dir, 'bin');
    mkdirSync(bin);
    const shim = (name: string, line: string): void =>
      writeFileSync(join(bin, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o700 });
    shim('sallyport', `${process.execPath} ${cliEntry}`);
    // Behind a -F of the command itself, which is the last one and wins.
    for (const name of ['ssh', 'scp']) shim(name, `${pathOf(name) ?? name} -F ${this.dir}/ssh_config`);
    this.hosts();
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Blocks of an ssh_config, before those that are there already: the first word on a subject holds. */
  hosts(...blocks: readonly string[]): void {
    this.#hosts.unshift(...blocks);
    const common = ['Host *', ...SSH_OPTIONS(this.dir).map((line) => `  ${line}`)];
    writeFileSync(this.path('ssh_config'), [...this.#hosts, ...common, ''].join('\n'), { mode: 0o600 });
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text, { mode: 0o600 });
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  /** A key pair NAME and NAME.pub in the folder. */
  async login(name: string): Promise<Login> {
    return await makeLogin(this.#t, this.dir, name);
  }

  /** Starts a command of the docs in the folder, as a shell would. */
  sh(command: string, env: Readonly<Record<string, string>> = {}): Running {
    return start(this.#t, 'bash', ['-c', command], { ...this.#place(env), mayMissSignals: true });
  }

  /** `sh`, to its end. */
  async run(command: string, input = '', env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    return await run(this.#t, 'bash', ['-c', command], { ...this.#place(env), input });
  }

  /** `run`, for what must succeed. @returns stdout */
  async must(command: string, input = ''): Promise<string> {
    const outcome = await this.run(command, input);
    if (outcome.code !== 0) throw new Error(`${command}: exit ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
    return outcome.stdout;
  }

  /** Writes the config with what a test needs behind it, and serves it by `command`: a start has the verdict of `check`. */
  async serve(config: string, command = 'sallyport serve --config sallyport.yaml'): Promise<StagedServer> {
    this.write('sallyport.yaml', `${config}${TEST_KEYS}`);
    return await this.started(command);
  }

  async started(command: string): Promise<StagedServer> {
    const program = this.sh(command);
    const events = new EventLog(program);
    const { address } = await events.wait('server.listening', {}, 0, START_MS);
    this.#t.teardown(async () => {
      await program.stop();
    });
    return { ...endpointOf(String(address)), program, events };
  }

  #place(env: Readonly<Record<string, string>>) {
    const PATH = `${this.path('bin')}:${process.env.PATH ?? ''}`;
    return { cwd: this.dir, env: { PATH, HOME: this.dir, ...env } };
  }
}
