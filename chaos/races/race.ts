/** RACE: one to three connections of two users, on two workers, that want the same port and path, open tunnels, take in
 *  connections, and go away at any moment: between login and bind, bind and reply, look-up and connect.
 *  Owns its peers and the connections to their ports; all are gone when it is over. */
import { connect, type Socket } from 'node:net';
import { Dice } from '../dice.js';
import { Peer } from './peer.js';
import { pause, turn } from './turns.js';
import { USERS, WORKERS, type World } from './world.js';

/** Where the peers of a race meet; no other race at the time uses it. */
export interface Ground {
  readonly port: number;
  readonly path: string;
}

const MOST_STEPS = 8;
/** For a request of a live peer: a probe of a dead holder is the longest that it waits for. */
const ANSWERED_TURNS = 100_000;

/** @returns what went wrong; empty when nothing did */
export async function race(world: World, ground: Ground, seed: number): Promise<string[]> {
  const dice = new Dice(seed);
  const knocks: Socket[] = [];
  const wrong: string[] = [];
  const peers = Array.from({ length: dice.between(1, 3) }, () => {
    const [user = 'alice', worker = 1] = [dice.pick(USERS), dice.pick(WORKERS)];
    return new Peer({ world, worker, user, dice: new Dice(dice.between(0, 2 ** 31)), isDead: dice.chance(0.1) });
  });
  const live = async (peer: Peer): Promise<void> => {
    for (let steps = dice.between(1, MOST_STEPS); steps > 0 && !peer.hasEnded; steps--) {
      dice.pick(STEPS)?.(peer, ground, knocks);
      await pause(dice);
    }
    if (dice.chance(0.3)) await allAnswered(peer, wrong);
    peer.end();
  };
  await Promise.all(peers.map(live));
  for (const knock of knocks) knock.destroy();
  return wrong;
}

const STEPS: readonly ((peer: Peer, ground: Ground, knocks: Socket[]) => void)[] = [
  (peer, { port }) => peer.bind(port),
  (peer, { port }) => peer.bind(port),
  (peer) => peer.bind(0),
  (peer, { path }) => peer.bindPath(path),
  (peer, { port }) => peer.cancel(port),
  (peer, { path }) => peer.cancelPath(path),
  (peer) => peer.open(),
  (peer) => peer.open(),
  (_peer, { port }, knocks) => {
    const knock = connect({ port, host: '127.0.0.1' }); // to whoever has the port, if anybody has
    knock.on('error', ignore).on('connect', () => knock.resetAndDestroy());
    knocks.push(knock);
  },
];

/** Every request that wants a reply gets one (RFC 4254 §4), every open is confirmed or refused (§5.1). */
async function allAnswered(peer: Peer, wrong: string[]): Promise<void> {
  for (let turns = 0; peer.unanswered > 0 && !peer.hasEnded; turns++) {
    if (turns > ANSWERED_TURNS)
      return void wrong.push(`${peer.unanswered} requests of connection ${peer.id} got no answer`);
    await turn();
  }
}

function ignore(): void {}
