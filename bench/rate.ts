/** RATE: `node build/bench/rate.js [RATE…]`: how exact `limits.bytesPerSecond` is over ten seconds, with two connections of one
 *  user that both send and receive all they may, on one worker and on two. No scenario of the suite, since nobody else has
 *  such a limit. Owns the server and the clients while it runs. */
import { setTimeout as delay } from 'node:timers/promises';
import { BYTES_FORMS, parseBytes } from '../src/shared/units.js';
import { OWN_ROOT, sallyport } from './peers/sallyport.js';
import { Target } from './support/flow.js';
import { forwardTo, open } from './support/ssh_client.js';
import { Stage } from './support/stage.js';

const RATES = ['1KiB', '100KiB', '10MiB', '100MiB'];
const CONNECTIONS = 2;
const FOR_S = 10;
/** The first second is told apart: what a user may move at once comes then. */
const SETTLE_S = 1;

type Direction = 'up' | 'down';

/** Bytes that have arrived, and when it was looked. */
interface Look {
  readonly atMs: number;
  readonly bytes: Readonly<Record<Direction, number>>;
}

async function measure(stage: Stage, rate: string, workers: number): Promise<readonly Look[]> {
  const bytes = { up: 0, down: 0 };
  const block = Buffer.alloc(256 * 1024, 'rate');
  const offer = (socket: Awaited<ReturnType<typeof open>>): void => {
    const write = (): void => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('error', () => {}).on('drain', write);
    write();
  };
  const target = await Target.listen((socket) => {
    socket.on('data', ({ length }) => {
      bytes.up += length;
    });
    socket.resume();
    offer(socket);
  });
  const server = await sallyport('sallyport', OWN_ROOT, { bytesPerSecond: rate }).start(stage.startOptions(workers));
  const { identityFile, knownHostsFile } = stage;
  const bench = { identityFile, knownHostsFile, quick: false, signal: new AbortController().signal, progress() {} };
  const clients = [];
  const sockets = [];
  try {
    for (let n = 0; n < CONNECTIONS; n++) clients.push(await forwardTo(server, bench, { targetPort: target.port }));
    const looks = [{ atMs: performance.now(), bytes: { ...bytes } }];
    for (const { port } of clients) {
      const socket = await open(port);
      sockets.push(socket);
      socket.on('data', ({ length }) => {
        bytes.down += length;
      });
      offer(socket);
    }
    for (let second = 0; second < FOR_S + SETTLE_S; second++) {
      await delay(1_000);
      looks.push({ atMs: performance.now(), bytes: { ...bytes } });
    }
    return looks;
  } finally {
    for (const socket of sockets) socket.destroy();
    for (const client of clients) await client.stop();
    target.close();
    await server.stop();
  }
}

/** Of what the limit allows in that time. */
function ratio(from: Look | undefined, to: Look | undefined, direction: Direction, bytesPerSecond: number): string {
  if (from === undefined || to === undefined) return '';
  const allowed = ((to.atMs - from.atMs) / 1_000) * bytesPerSecond;
  return ((to.bytes[direction] - from.bytes[direction]) / allowed).toFixed(3);
}

async function main(rates: readonly string[]): Promise<number> {
  const stage = new Stage();
  try {
    process.stdout.write(
      '| limit | workers | direction | first 10 s | 10 s from the second on |\n|---|---|---|---|---|\n',
    );
    for (const rate of rates) {
      const parsed = parseBytes(rate);
      if (!parsed.ok) {
        process.stderr.write(`error: ${rate} ${parsed.error}, allowed: ${BYTES_FORMS}\n`);
        return 2;
      }
      for (const workers of [1, 2]) {
        const looks = await measure(stage, rate, workers);
        for (const direction of ['up', 'down'] as const) {
          const first = ratio(looks[0], looks[FOR_S], direction, parsed.value);
          const settled = ratio(looks[SETTLE_S], looks[SETTLE_S + FOR_S], direction, parsed.value);
          process.stdout.write(`| ${rate}/s | ${workers} | ${direction} | ${first} | ${settled} |\n`);
        }
      }
    }
    return 0;
  } finally {
    stage.remove();
  }
}

const rates = process.argv.slice(2);
process.exit(await main(rates.length > 0 ? rates : RATES));
