/** HAPROXY: Debian's haproxy before a server, telling it by PROXY protocol who comes.
 *  Owns the process and its configuration. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { start } from './process.js';
import type { Sallyport, SshEndpoint } from './server.js';
import { freePort } from './targets.js';
import { tempDir } from './temp.js';

/** How often it looks whether the server answers as an SSH server does: often enough to be taken for a flood. */
const CHECK_EVERY = '50ms';

/** Listens on 127.0.0.1 and connects from there. Resolves when it looks after the server, since it listens by then.
 *  @returns where clients connect to */
export async function startHaproxy(
  t: Test,
  server: Sallyport,
  header: 'send-proxy' | 'send-proxy-v2',
): Promise<SshEndpoint> {
  const port = await freePort();
  const file = join(tempDir(t), 'haproxy.cfg');
  const lines = [
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 60s',
    '  timeout server 60s',
    // Without it a check that takes longer than the next one is due is a failed one, and a busy machine one that is down.
    '  timeout check 20s',
    'frontend ssh',
    `  bind 127.0.0.1:${port}`,
    '  default_backend sallyport',
    'backend sallyport',
    '  option tcp-check',
    '  tcp-check expect rstring ^SSH-2.0-',
    `  server one ${server.host}:${server.port} ${header} check inter ${CHECK_EVERY}`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const from = server.events.mark();
  start(t, 'haproxy', ['-db', '-f', file]);
  await server.events.wait('connection.closed', {}, from);
  return { host: '127.0.0.1', port };
}
