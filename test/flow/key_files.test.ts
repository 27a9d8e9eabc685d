/** KEY FILES: files that the config names are read again when they change, without a signal; the config file is not. */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { stringify } from 'yaml';
import { MSG } from '../../src/shared/protocol.js';
import { flow } from '../support/flow.js';
import { openDirectChannel, rawClient } from '../support/raw_client.js';
import { startSallyport } from '../support/server.js';
import { startEcho } from '../support/targets.js';

flow(t, 'a key file that changes', { needs: ['ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: { auth: { rereadFiles: '100ms' } } });
  const [alice, bob] = [server.alice, server.bob].map(({ keyFile }) => readFileSync(`${keyFile}.pub`, 'utf8'));
  const keys = join(server.dir, 'keys');
  const put = async (text: string) => {
    const from = server.events.mark();
    writeFileSync(`${keys}.new`, text);
    renameSync(`${keys}.new`, keys);
    return await server.events.wait('config.reloaded', {}, from);
  };
  writeFileSync(keys, alice ?? '');
  const { alice: user, ...others } = server.config.users;
  const config = { ...server.config, users: { ...others, alice: { ...user, authorizedKeys: keys } } };
  await server.reload(config);
  const echo = await startEcho(t);
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  const channel = await openDirectChannel(client, echo.port, { id: 1 });

  // Somebody is at work on the config meanwhile, and not ready yet.
  writeFileSync(server.configFile, stringify({ ...config, noShell: 'half a sentence' }));
  t.same((await put(`${alice}${bob}`)).changed, ['users.alice']);
  const second = rawClient(t, server);
  await second.login('alice', server.bob);

  const from = server.events.mark();
  await put(`restrict ${alice}from="192.0.2.1" ${bob}`);
  t.match(await second.ended, { text: 'access was withdrawn' });
  t.match(await server.events.wait('channel.closed', { user: 'alice' }, from), { reason: 'RIGHTS_WITHDRAWN' });
  await client.take(MSG.CHANNEL_CLOSE);
  t.ok(channel);

  await put('');
  t.match(await client.ended, { text: 'access was withdrawn' }, 'as with sshd, an empty file has no key');
  const piped = server.events.mark();
  rmSync(keys);
  execFileSync('mkfifo', [keys]);
  await server.events.wait('config.reloaded', {}, piped);
  await put(bob ?? '');
  await rawClient(t, server).login('alice', server.bob); // a pipe that nobody writes to has stopped nobody
  const last = await server.reloadText(readFileSync(server.configFile, 'utf8'), 'config.reloaded');
  t.same(last.changed, ['noShell'], 'the config file itself is read at SIGHUP');
});
