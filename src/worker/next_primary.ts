/** NEXT PRIMARY: a worker whose primary is gone looks for the one that takes its place.
 *  Owns the search: the socket in `stateDir` is tried again and again, since nobody can tell when somebody listens there;
 *  a try costs some 20 us. It holds the process: also one that has nothing left is waited for, and says so. */
import { connect } from 'node:net';
import { type Adoption, isWelcome } from '../shared/adoption.js';
import { JsonLines } from '../shared/json_lines.js';
import type { Cancel } from '../shared/timer.js';
import type { PrimaryChannel } from './primary_link.js';

/** At first, then ever longer. Where a server takes another's place it is there within some milliseconds, and clients of both
 *  wait for this worker's report. */
const LOOK_FIRST_MS = 10;
/** A primary that follows a dead one answers nobody before it has waited for three looks (orphanage.ts). */
const LOOK_AGAIN_MS = 100;

/** @param introduce what this worker holds, asked for in the moment in which it is said
 *  @param found called once, in that same moment */
export function findNextPrimary(
  path: string,
  introduce: () => Adoption,
  found: (channel: PrimaryChannel) => void,
): Cancel {
  let cancel: Cancel = ignore;
  let nextMs = LOOK_FIRST_MS;
  const wait = (): void => {
    const timer = setTimeout(look, nextMs);
    nextMs = Math.min(LOOK_AGAIN_MS, 2 * nextMs);
    cancel = () => clearTimeout(timer);
  };
  const look = (): void => {
    const socket = connect({ path });
    const lines = new JsonLines(socket, {
      value(value) {
        if (!isWelcome(value)) return lines.end(); // of another program; `closed` tries again
        lines.send(introduce());
        found(channelOver(lines));
      },
      closed: wait,
    });
    cancel = () => {
      lines.listen({ value: ignore, closed: ignore });
      lines.end();
    };
  };
  wait();
  return () => cancel();
}

function channelOver(lines: JsonLines): PrimaryChannel {
  let onMessage: (message: unknown, handle: unknown) => void = ignore;
  let onDisconnect: () => void = ignore;
  lines.listen({ value: (value) => onMessage(value, undefined), closed: () => onDisconnect() });
  return {
    get connected() {
      return lines.open;
    },
    send: (messages, done) => lines.send(messages, done),
    onMessage: (listener) => {
      onMessage = listener;
    },
    onDisconnect: (listener) => {
      onDisconnect = listener;
    },
  };
}

function ignore(): void {}
