/** A04: strangers that come in floods, from one source and from many, and never log in. The primary turns them away before a
 *  worker hears of them, and who is known or exempt logs in meanwhile. Sources are addresses of 127.0.0.0/8, of which all but
 *  127.0.0.1 are strangers here. What a flood costs, and what it costs the logins beside it, is measured by
 *  bench/hostile/flood.ts. */
import t, { type Test } from 'tap';
import { hostile, type Scene, settles } from '../support/hostile.js';
import { firstLine } from '../support/targets.js';

const IDENT = 'SSH-2.0-Sallyport';
const FULL = 'Exceeded MaxStartups';
const PENALISED = 'Not allowed at this time';

/** No chance in it: up to 40 strangers are let in, and none beyond. */
const CONFIG = { limits: { startups: '40:100:40' }, penalties: { exempt: ['127.0.0.1'] } };

hostile(t, 'A04', 'floods of strangers', { config: CONFIG }, async (t, scene) => {
  const { server, tcp } = scene;
  await logins(t, scene, ['127.0.0.3']); // known from now on

  // One source that holds connections.
  const holding = await comeAll(scene, new Array(60).fill('127.0.0.2'));
  t.same([count(holding, IDENT), count(holding, FULL)], [10, 50], 'ten are let in (limits.startupsPerSource)');
  await logins(t, scene, ['127.0.0.1', '127.0.0.3', '127.0.0.4']);

  // One source that comes and goes.
  const from = server.events.mark();
  let line = '';
  for (let tries = 0; line !== PENALISED && tries < 1_000; tries++) {
    const socket = await tcp('127.0.0.5');
    line = await firstLine(socket);
    socket.destroy();
    // The next one comes when this one is gone, also on a slow machine.
    if (line === IDENT) await server.events.waitAll(tries + 1, 'connection.closed', { reason: 'PEER_CLOSED' }, from);
  }
  t.equal(line, PENALISED, 'penalties have added up');
  t.match(await server.events.wait('source.penalised'), { source: '127.0.0.5', reason: 'NO_AUTH' });
  const again = await comeAll(scene, new Array(300).fill('127.0.0.5'));
  t.equal(count(again, PENALISED), 300, 'from here on nobody of it comes in');
  await logins(t, scene, ['127.0.0.1', '127.0.0.3', '127.0.0.6']);

  // Many sources that hold a connection each.
  const sources = Array.from({ length: 200 }, (_, index) => `127.0.1.${index + 1}`);
  const many = await comeAll(scene, sources);
  t.equal(count(many, FULL), 200 - count(many, IDENT));
  t.ok(count(many, IDENT) <= 40, 'up to the full of limits.startups');
  for (let round = 0; round < 5; round++) await logins(t, scene, ['127.0.0.1', '127.0.0.3']);

  await told(t, scene, { SOURCE_STARTUPS: 50, PENALTY: 301, STARTUPS: count(many, FULL) });
  const refused = server.events.list('connection.refused');
  t.ok(refused.length < 200, 'the log tells a flood as numbers');
  t.ok(
    refused.every(({ conn }) => conn === undefined),
    'and none of it reached a worker',
  );
});

/** What each of so many connections hears first; all are held open. */
async function comeAll({ tcp }: Scene, sources: readonly string[]): Promise<string[]> {
  return await Promise.all(sources.map(async (source) => await firstLine(await tcp(source))));
}

async function logins(t: Test, { server, stranger }: Scene, sources: readonly string[]): Promise<void> {
  for (const from of sources) {
    const client = stranger({ from });
    await t.resolves(client.login('alice', server.alice), `a login from ${from}`);
    client.socket.destroy();
  }
}

/** The log has each refusal once, in a line of its own or in a number. */
async function told(t: Test, { server }: Scene, expected: Readonly<Record<string, number>>): Promise<void> {
  const counted = (): Record<string, number> => {
    const sums: Record<string, number> = {};
    for (const { reason, count = 1 } of server.events.list('connection.refused'))
      sums[String(reason)] = (sums[String(reason)] ?? 0) + Number(count);
    return sums;
  };
  const total = Object.values(expected).reduce((sum, one) => sum + one, 0);
  await settles(() => Object.values(counted()).reduce((sum, one) => sum + one, 0) >= total);
  t.same(counted(), expected);
}

function count(lines: readonly string[], line: string): number {
  return lines.filter((one) => one === line).length;
}
