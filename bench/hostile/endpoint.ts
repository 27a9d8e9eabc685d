/** ENDPOINT of the hostile measurements: a server with one user, its log counted, and logins from any address of the
 *  loopback. Owns the server's process and its folder. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyPair } from '../../src/master/openssh_key.js';
import { RawClient } from '../../test/support/raw_client.js';
import { OWN_ROOT } from '../peers/sallyport.js';
import { Child, freePort } from '../support/child.js';

export const USER = 'alice';

export interface Endpoint {
  readonly port: number;
  readonly pid: number;
  /** Of the user's only key, OpenSSH's format. */
  readonly keyFile: string;
  /** Refused connections that the log tells of, by reason; and its lines. */
  readonly log: { readonly refused: Map<string, number>; lines: number };
  stop(): Promise<void>;
}

export async function startEndpoint(config: Readonly<Record<string, unknown>>): Promise<Endpoint> {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-hostile-'));
  const key = newKeyPair('ed25519', USER);
  const keyFile = join(dir, USER);
  writeFileSync(keyFile, key.privateKey, { mode: 0o600 });
  const port = await freePort();
  const whole = {
    listen: [`127.0.0.1:${port}`],
    stateDir: join(dir, 'state'),
    users: { [USER]: { authorizedKeys: [key.publicKey.trim()], limits: { connections: 1_000 } } },
    ...config,
  };
  const configFile = join(dir, 'sallyport.json');
  writeFileSync(configFile, JSON.stringify(whole));
  const child = new Child(process.execPath, [join(OWN_ROOT, 'build/src/cli/main.js'), 'serve', '--config', configFile]);
  const log = { refused: new Map<string, number>(), lines: 0 };
  watchLog(child, log);
  await child.says('"worker.started"');
  await child.listening(port);
  return {
    port,
    pid: child.pid,
    keyFile,
    log,
    async stop() {
      await child.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function watchLog(child: Child, log: Endpoint['log']): void {
  let rest = '';
  child.process.stderr?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    log.lines += lines.length;
    for (const line of lines) {
      if (!line.includes('"connection.refused"')) continue;
      const { reason, count = 1 }: { reason: string; count?: number } = JSON.parse(line);
      log.refused.set(reason, (log.refused.get(reason) ?? 0) + count);
    }
  });
}

/** A client whose keys are agreed. @param from address of the loopback. @throws when it is refused */
export async function keyed(port: number, from: string): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
  const client = new RawClient(socket, {});
  try {
    await client.ready;
    return client;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Logs in and leaves. @returns milliseconds, or undefined where there was no login */
export async function logIn({ port, keyFile }: Endpoint, from: string): Promise<number | undefined> {
  const startedMs = performance.now();
  try {
    const client = await keyed(port, from);
    try {
      await client.login(USER, { keyFile });
      return performance.now() - startedMs;
    } finally {
      client.socket.destroy();
    }
  } catch {
    return undefined;
  }
}
