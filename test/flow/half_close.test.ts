/** HALF-CLOSE: RFC 4254 §5.3: EOF ends one direction and leaves the other alone. Bytes still under way must arrive. */
import t from 'tap';
import { collect, digestOf, MIB, send } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startAnswerAfterEnd, startListenAfterEnd, startTarget } from '../support/targets.js';

/** Opens a way to `targetPort` and gives the port to connect to. */
type Way = (t: Parameters<typeof tunnel>[0], server: Sallyport, targetPort: number) => Promise<number>;

const WAYS: ReadonlyArray<{ readonly name: string; readonly open: Way }> = ['-L', '-R'].map((direction) => ({
  name: direction,
  open: async (t, server, targetPort) => {
    const near = await freePort();
    await tunnel(t, server, server.alice, [direction, `${near}:localhost:${targetPort}`]);
    return near;
  },
}));

const ANSWER_BYTES = 10 * MIB;

flow(t, 'half-close', { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });

  for (const { name, open } of WAYS) {
    await t.test(`${name}: the near end finishes first, then the far end sends 10 MB`, async (t) => {
      const target = await startAnswerAfterEnd(t, name, ANSWER_BYTES);
      const socket = await connect(t, await open(t, server, target.port));
      socket.end('question');
      t.same(await within(collect(socket), 'the answer'), digestOf(name, ANSWER_BYTES));
    });

    await t.test(`${name}: the far end finishes first, then the near end sends 10 MB`, async (t) => {
      const target = await startListenAfterEnd(t);
      const socket = await connect(t, await open(t, server, target.port));
      t.equal((await within(collect(socket), 'the far end to finish')).bytes, 0);
      const sent = await send(socket, name, ANSWER_BYTES);
      socket.end();
      t.same(await within(target.received, 'the bytes at the far end'), sent);
    });

    await t.test(`${name}: a far end that sends 10 MB and goes loses none of them`, async (t) => {
      const target = await startTarget(t, (socket) => {
        send(socket.resume(), name, ANSWER_BYTES).then(
          () => socket.end(),
          () => socket.destroy(),
        );
      });
      const socket = await connect(t, await open(t, server, target.port));
      t.same(await within(collect(socket), 'the bytes'), digestOf(name, ANSWER_BYTES));
      socket.end();
    });
  }
});
