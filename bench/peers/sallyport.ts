/** SALLYPORT: the build that stands beside this file, started as its users start it: `sallyport serve --config`. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, freePort } from '../support/child.js';
import type { Peer } from '../types.js';

const USER = 'bench';

/** @param root folder of a build, with `build/src` and `package.json`
 *  @param limits of the user, over the suite's own */
export function sallyport(name: string, root: string, limits: Readonly<Record<string, unknown>> = {}): Peer {
  const main = join(root, 'build/src/cli/main.js');
  return {
    name,
    ciphers: [
      'aes128-gcm@openssh.com',
      'aes256-gcm@openssh.com',
      'chacha20-poly1305@openssh.com',
      'aes128-ctr',
      'aes256-ctr',
    ],

    async probe() {
      const version = execFileSync(process.execPath, [main, '--version'], { encoding: 'utf8' }).trim();
      return { found: true, version: `sallyport ${version}, Node ${process.versions.node}` };
    },

    async start({ dir, authorizedKeysFile, hostKeyFile, workers = 1 }) {
      const port = await freePort();
      const configFile = join(dir, 'sallyport.json');
      // Its load is what others would call a flood. An older build knows no such limit, and refuses the key.
      const schema = execFileSync(process.execPath, [main, 'schema'], { encoding: 'utf8' });
      const floods = schema.includes('"opensPerSecond"') ? { opensPerSecond: 0, failedOpensPerMinute: 0 } : {};
      const config = JSON.stringify(
        {
          listen: [`127.0.0.1:${port}`],
          workers,
          stateDir: join(dir, 'state'),
          hostKeys: [hostKeyFile],
          log: { level: 'warn' },
          limits: { connections: 20_000, startups: '20000:30:20000', forwardsPerConnection: 4096 },
          users: {
            [USER]: {
              authorizedKeys: readFileSync(authorizedKeysFile, 'utf8').trim().split('\n'),
              permitOpen: ['127.0.0.0/8:*'],
              permitListen: ['localhost:*'],
              limits: { connections: 20_000, channels: 4096, forwards: 20_000, ...floods, ...limits },
            },
          },
        },
        null,
        1,
      );
      writeFileSync(configFile, config);
      const child = new Child(process.execPath, [main, 'serve', '--config', configFile], { cwd: dir });
      await child.listening(port);
      return {
        host: '127.0.0.1',
        port,
        user: USER,
        roots: [child.pid],
        primary: child.pid,
        config,
        stop: () => child.stop(),
      };
    },
  };
}

/** The root of the build that is running. */
export const OWN_ROOT = fileURLToPath(new URL('../../../', import.meta.url));
