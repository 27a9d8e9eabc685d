/** SSH: OpenSSH's client with a configuration of its own, so that nothing of the developer's is read or written.
 *  Owns the configuration file, the clients and their control sockets. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Outcome, type Running, run, type StartOptions, start } from './process.js';
import type { Login, SshEndpoint } from './server.js';
import { tempDir } from './temp.js';

export interface HostEntry {
  /** Name to be used on the command line. */
  readonly alias: string;
  readonly endpoint: SshEndpoint;
  readonly login: Login;
}

/** Writes an ssh_config for `hosts`. A file rather than options, because `-J` hands only the file to its helpers. */
export function sshConfig(t: Test, hosts: readonly HostEntry[]): string {
  const dir = tempDir(t);
  const file = join(dir, 'ssh_config');
  const blocks = hosts.map(({ alias, endpoint, login }) =>
    [
      `Host ${alias}`,
      `  HostName ${endpoint.host}`,
      `  Port ${endpoint.port}`,
      `  User ${login.name}`,
      `  IdentityFile ${login.keyFile}`,
    ].join('\n'),
  );
  const common = [
    'Host *',
    '  BatchMode yes',
    '  IdentitiesOnly yes',
    '  IdentityAgent none',
    '  StrictHostKeyChecking accept-new',
    '  UpdateHostKeys no',
    `  UserKnownHostsFile ${join(dir, 'known_hosts')}`,
    '  GlobalKnownHostsFile /dev/null',
    '  ExitOnForwardFailure yes',
    '  ConnectTimeout 30',
  ];
  writeFileSync(file, `${[...blocks, ...common].join('\n')}\n`);
  return file;
}

/** The alias under which `tunnel`, `master` and `sshRun` know their server. */
export const HOST = 'sallyport';

/** Runs `ssh ARGS sallyport COMMAND` to its end. */
export async function sshRun(
  t: Test,
  server: SshEndpoint,
  login: Login,
  args: readonly string[],
  command: readonly string[] = [],
  options: StartOptions & { readonly input?: string; readonly program?: readonly string[] } = {},
): Promise<Outcome> {
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login }]);
  const [program = 'ssh', ...before] = options.program ?? ['ssh'];
  return await run(t, program, [...before, '-F', config, ...args, HOST, ...command], options);
}

/** A client that only forwards (`ssh -N`), connected and with every forwarding in place. */
export interface Tunnel {
  readonly client: Running;
  /** Ports that the server chose for `-R 0:…`, in order. */
  readonly allocatedPorts: readonly number[];
  /** Path of the configuration file and of the control socket, for further commands. */
  readonly config: string;
  readonly controlPath: string;
}

/** Starts `ssh -N SPECS sallyport` and resolves once the tunnel is up; rejects, with the client's own words, when the
 *  login or a forwarding is refused. `specs` are arguments such as `-L`, `8080:localhost:80`; `program` is another ssh. */
export async function tunnel(
  t: Test,
  server: SshEndpoint,
  login: Login,
  specs: readonly string[],
  deadlineMs?: number,
  program?: string,
): Promise<Tunnel> {
  const { client, config, controlPath } = startTunnel(t, server, login, specs, program);
  await client.waitFor(/Entering interactive session/, deadlineMs);
  const remotes = specs.filter((arg) => arg === '-R').length;
  // The first text is that of OpenSSH before 9.7.
  if (remotes > 0) await client.waitFor(/All remote forwarding requests processed|all expected forwarding replies/);
  const allocatedPorts = [...client.stderr.matchAll(/Allocated port (\d+) for remote forward/g)].map((m) =>
    Number(m[1]),
  );
  return { client, allocatedPorts, config, controlPath };
}

/** `tunnel` without the wait, for flows in which the client is meant to fail. */
export function startTunnel(
  t: Test,
  server: SshEndpoint,
  login: Login,
  specs: readonly string[],
  program = 'ssh',
): Omit<Tunnel, 'allocatedPorts'> {
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login }]);
  const controlPath = join(tempDir(t), 'ctl');
  const client = start(t, program, ['-F', config, '-v', '-N', ...specs, HOST], { mayMissSignals: true });
  return { client, config, controlPath };
}

/** `tunnel` that also takes commands: `control` below, and sessions through `viaMaster`. */
export async function master(t: Test, server: SshEndpoint, login: Login, specs: readonly string[]): Promise<Tunnel> {
  const controlPath = join(tempDir(t), 'ctl');
  const opened = await tunnel(t, server, login, ['-M', '-S', controlPath, ...specs]);
  return { ...opened, controlPath };
}

/** `ssh -O COMMAND ARGS`, e.g. `forward` or `cancel` with `-R …`. */
export async function control(
  t: Test,
  { config, controlPath }: Tunnel,
  command: 'forward' | 'cancel' | 'exit' | 'check',
  args: readonly string[] = [],
): Promise<Outcome> {
  return await run(t, 'ssh', ['-F', config, '-S', controlPath, '-O', command, ...args, HOST]);
}

/** Options that make a client of `program` use the master's connection. */
export function viaMaster({ config, controlPath }: Tunnel): string[] {
  return ['-F', config, '-o', `ControlPath=${controlPath}`, '-o', 'ControlMaster=no'];
}

/** What a client says to its user, without the lines that differ from run to run. */
export function spoken(outcome: Outcome): string {
  return outcome.stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('Warning: Permanently added'))
    .map((line) => line.replaceAll('\r', ''))
    .join('\n');
}
