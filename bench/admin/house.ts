/** HOUSE of the measurements of what an operator looks at: a server with its admin API, with a probe in each of its processes.
 *  Owns the server, its folder and its config until `stop`. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { OWN_ROOT } from '../peers/sallyport.js';
import { Child, freePort } from '../support/child.js';
import type { Bench, RunningServer } from '../types.js';
import type { Reading } from './probe.js';

const USER = 'bench';

/** What one process of the server has done since the last reading. */
export interface Part extends Reading {
  readonly is: 'primary' | 'worker';
}

export interface House {
  readonly server: RunningServer;
  readonly bench: Bench;
  readonly dir: string;
  /** Since it was called last. */
  readings(): Promise<readonly Part[]>;
  /** @throws unless the answer is 200 */
  get(path: string): Promise<string>;
  /** Lays `config` over what the server has, and waits until it is in force. */
  reload(config: Readonly<Record<string, unknown>>): Promise<void>;
  /** The last of its log, for who has to say why something failed. */
  lastWords(): string;
  stop(): Promise<void>;
}

export async function startHouse(workers: number, config: Readonly<Record<string, unknown>> = {}): Promise<House> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-admin-'));
  const [probes, stateDir, configFile] = [join(dir, 'probes'), join(dir, 'state'), join(dir, 'sallyport.json')];
  mkdirSync(probes);
  const [key, hostKey] = [newKeyPair('ed25519', USER), newKeyPair('ed25519', 'host')];
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const [keyFile, hostKeyFile] = [file('key', key.privateKey), file('host_key', hostKey.privateKey)];
  const knownHostsFile = file('known_hosts', `* ${hostKey.publicKey}`);
  const port = await freePort();
  const base = {
    listen: [`127.0.0.1:${port}`],
    workers,
    stateDir,
    hostKeys: [hostKeyFile],
    log: { level: 'info' },
    limits: { connections: 40_000, startups: '20000:30:20000' },
    users: {
      [USER]: {
        authorizedKeys: [key.publicKey.trim()],
        permitOpen: ['127.0.0.0/8:*'],
        permitListen: ['localhost:*'],
        limits: { connections: 40_000, opensPerSecond: 0, failedOpensPerMinute: 0 },
      },
    },
    ...config,
  };
  writeFileSync(configFile, JSON.stringify(base));
  const preload = `--import=${new URL('./probe.js', import.meta.url).href}`;
  const main = join(OWN_ROOT, 'build/src/cli/main.js');
  const child = new Child(process.execPath, [main, 'serve', '--config', configFile], {
    env: { ...process.env, NODE_OPTIONS: preload, PROBE_DIR: probes },
  });
  await child.listening(port);
  const socketPath = join(stateDir, 'admin.sock');
  return {
    server: { host: '127.0.0.1', port, user: USER, roots: [child.pid], primary: child.pid, config: '', stop: nothing },
    bench: {
      identityFile: keyFile,
      knownHostsFile,
      quick: false,
      signal: new AbortController().signal,
      progress: (text) => console.error(text),
    },
    dir,
    async readings() {
      const pids = readdirSync(probes);
      const read = await Promise.all(pids.map((name) => reading(join(probes, name))));
      return read.flatMap((one): Part[] =>
        one === null ? [] : [{ ...one, is: one.pid === child.pid ? 'primary' : 'worker' }],
      );
    },
    get: (path) => get(socketPath, path),
    async reload(more) {
      writeFileSync(configFile, JSON.stringify({ ...base, ...more }));
      const inForce = said(child, '"config.reloaded"');
      child.process.kill('SIGHUP');
      await inForce;
    },
    lastWords: () => child.output,
    async stop() {
      await child.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** In a line that is still to come. */
function said(child: Child, text: string): Promise<void> {
  const { stderr } = child.process;
  return new Promise((resolve, reject) => {
    const hear = (said: string): void => {
      if (said.includes('"config.rejected"')) reject(new Error(said));
      if (!said.includes(text)) return; // pino writes whole lines
      stderr?.off('data', hear);
      resolve();
    };
    stderr?.on('data', hear);
  });
}

/** Null: a process that has ended. */
async function reading(path: string): Promise<Reading | null> {
  try {
    let text = '';
    for await (const bytes of connect(path)) text += String(bytes);
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function get(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response
        .setEncoding('utf8')
        .on('data', (more: string) => {
          text += more;
        })
        .on('error', reject)
        .on('end', () =>
          response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${response.statusCode} ${text}`)),
        );
    })
      .on('error', reject)
      .end();
  });
}

/** Lines of a file that hold a text. */
export function linesIn(path: string, holds: string): number {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.includes(holds)).length;
}

export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

async function nothing(): Promise<void> {}
