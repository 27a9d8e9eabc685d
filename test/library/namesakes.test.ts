/** NAMESAKES: fields of a program's own that are called like something inside the library, in one process and in a cluster. */
import t from 'tap';
import { loadHandler } from '../../src/library/handler.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { NAMESAKES } from '../support/handlers/namesakes.js';
import { handlerUrl, MODES, serveIn } from '../support/library.js';
import { openDirectChannel, passwordRequest, rawClient } from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';

for (const mode of MODES)
  t.test(`a server with names of the library serves as any other, ${mode}`, async (t) => {
    const echo = await startEcho(t);
    const server = await serveIn(t, mode, handlerUrl('namesakes'));
    for (const [user, password] of [
      ['alice', 'bar'],
      ['mallory', 'foo'],
    ] as const) {
      const wrong = rawClient(t, server);
      await wrong.ready;
      wrong.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
      wrong.send(passwordRequest(user, password));
      await wrong.take(MSG.USERAUTH_FAILURE);
      wrong.socket.destroy();
    }
    const client = rawClient(t, server);
    await client.login('alice', { password: 'foo' });
    await openDirectChannel(client, echo.port);
    t.match(await server.wait('auth.failed', ({ user }) => user === 'mallory'), { reason: 'WRONG_PASSWORD' });
    t.match(await server.wait('channel.opened'), { user: 'alice', destination: `127.0.0.1:${echo.port}` });
    client.socket.destroy();
    await server.wait('connection.closed', ({ user }) => user === 'alice');
    await server.close();
    t.match(await server.wait('server.stopped'), { reason: 'DRAINED' });
  });

t.test('and keeps its fields', async (t) => {
  const server: object = await loadHandler(handlerUrl('namesakes').href, {});
  for (const name of NAMESAKES) {
    const value: unknown = Reflect.get(server, name);
    if (typeof value === 'string' && name !== '_configure') t.equal(value, `my ${name}`);
    else t.ok(['_pool', '_configure', 'rules'].includes(name) && value !== undefined, name);
  }
});
