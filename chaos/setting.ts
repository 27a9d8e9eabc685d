/** SETTING: what the server and its clients need on disk: keys, config files, sockets.
 *  Owns the folder of the run, and removes it. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DRAIN_MS } from './server.js';

export const USERS = ['alice', 'bob'] as const;
export type User = (typeof USERS)[number];
/** The server that faults are made at, and the one behind it to which `-J` goes, which is left alone. */
export const OUTER = 'outer';
export const INNER = 'inner';

export interface Setting {
  readonly dir: string;
  readonly serverConfig: string;
  readonly innerConfig: string;
  keyFile(user: User): string;
  /** Path of a Unix socket that users may dial and bind. */
  socketPath(name: string): string;
  /** Names of sockets that are there. */
  sockets(): string[];
  /** An ssh_config for one client. */
  sshConfig(client: number, user: User, ports: { readonly outer: number; readonly inner: number | null }): string;
  remove(): void;
}

export async function makeSetting(options: {
  readonly workers: number;
  readonly port: number;
  readonly innerPort: number;
}): Promise<Setting> {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-')); // 0700, and short: a Unix socket's name has at most 107 bytes
  const sockets = join(dir, 's');
  mkdirSync(sockets);
  const keyFile = (user: User): string => join(dir, user);
  await Promise.all(
    USERS.map((user) => promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile(user)])),
  );
  const config = (name: string, port: number, workers: number): string => {
    const file = join(dir, `${name}.json`);
    writeFileSync(
      file,
      JSON.stringify(serverConfig({ state: join(dir, name), port, workers, sockets, keyFile }), null, 1),
    );
    return file;
  };
  return {
    dir,
    serverConfig: config(OUTER, options.port, options.workers),
    innerConfig: config(INNER, options.innerPort, 1),
    keyFile,
    socketPath: (name) => join(sockets, `${name}.sock`),
    sockets: () => readdirSync(sockets),
    sshConfig(client, user, { outer, inner }) {
      const file = join(dir, `ssh_config.${client}`);
      writeFileSync(file, sshConfig({ user, keyFile: keyFile(user), outer, inner }));
      return file;
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** The server's defaults, but for a drain that is short and a dead peer that is found soon: a run of two minutes is to see the
 *  end of both. All clients come from one machine, which is why as many may start up at once as there are. */
function serverConfig(options: {
  readonly state: string;
  readonly port: number;
  readonly workers: number;
  readonly sockets: string;
  readonly keyFile: (user: User) => string;
}): object {
  const { state, port, workers, sockets, keyFile } = options;
  const user = (name: User): object => ({
    authorizedKeys: [readFileSync(`${keyFile(name)}.pub`, 'utf8').trim()],
    permitOpen: ['localhost:*', `${sockets}/*.sock`],
    permitListen: ['localhost:*', `${sockets}/*.sock`],
    limits: { connections: 200, channels: 1024, forwards: 1000 },
  });
  return {
    listen: [`127.0.0.1:${port}`],
    workers,
    stateDir: state,
    limits: { startups: '400:30:500' }, // more than a flood of ours: what MaxStartups refuses is row A04's
    timeouts: { drain: `${DRAIN_MS / 1_000}s`, keepalive: '10s' },
    log: { level: 'debug', format: 'json' },
    users: Object.fromEntries(USERS.map((name) => [name, user(name)])),
  };
}

function sshConfig(options: {
  readonly user: User;
  readonly keyFile: string;
  readonly outer: number;
  readonly inner: number | null;
}): string {
  const { user, keyFile, outer, inner } = options;
  const host = (name: string, port: number): string[] => [
    `Host ${name}`,
    '  HostName 127.0.0.1',
    `  Port ${port}`,
    `  HostKeyAlias ${name}`,
  ];
  const lines = [
    ...host(OUTER, outer),
    ...(inner === null ? [] : host(INNER, inner)),
    'Host *',
    `  User ${user}`,
    `  IdentityFile ${keyFile}`,
    '  BatchMode yes',
    '  IdentitiesOnly yes',
    '  IdentityAgent none',
    '  StrictHostKeyChecking no',
    '  UserKnownHostsFile /dev/null',
    '  GlobalKnownHostsFile /dev/null',
    '  ExitOnForwardFailure yes',
    '  ConnectTimeout 30',
    '  ServerAliveInterval 10',
    '  ServerAliveCountMax 3',
  ];
  return `${lines.join('\n')}\n`;
}
