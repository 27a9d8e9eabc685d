/** TAKEOVER: what a server that runs and one that is to take its place say to each other, over a handle pipe in `stateDir`.
 *  Until `done` the one that runs serves as if nobody had asked; whoever dies before it, the other goes on.
 *  Owns the socket's name. */
import { join } from 'node:path';
import type { ListenerAddress } from './ipc.js';

/** Raised when a message changes its meaning: then the two cannot change places. */
export const TAKEOVER_PROTOCOL = 1;

export type ToPredecessor =
  /** First message. `listen` as the config has it: only a server of the same addresses gives its sockets away. */
  | { readonly type: 'takeover'; readonly protocol: number; readonly pid: number; readonly listen: readonly string[] }
  /** A copy of the next socket, please; one at a time, since Node tells no two descriptors of one read apart. */
  | { readonly type: 'next' }
  /** Everything is loaded, the workers are ready, and the new one accepts. */
  | { readonly type: 'done' };

/** A listening socket as its server knows it. */
export interface OfferedListener {
  /** As the config has it. */
  readonly name: string;
  readonly address: ListenerAddress;
}

export type ToSuccessor =
  | { readonly type: 'refused'; readonly why: string }
  | { readonly type: 'offer'; readonly pid: number; readonly listeners: readonly OfferedListener[] }
  /** Comes with a listening socket. */
  | { readonly type: 'listener' }
  /** The old one accepts no more, and its workers look for the new one. `workers`: their process numbers, so that the new one
   *  knows whom to wait for; an earlier build does not tell them, and then it does not know. */
  | { readonly type: 'yours'; readonly workers?: readonly number[] };

/** Where a running server is asked for its sockets. */
export function takeoverPath(stateDir: string): string {
  return join(stateDir, 'takeover.sock');
}

/** Both sides are programs of one user; what is no message of ours is of another version. */
export function isToPredecessor(value: unknown): value is ToPredecessor {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  if (value.type !== 'takeover') return value.type === 'next' || value.type === 'done';
  return 'protocol' in value && 'pid' in value && 'listen' in value && Array.isArray(value.listen);
}

export function isToSuccessor(value: unknown): value is ToSuccessor {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  if (value.type === 'refused') return 'why' in value && typeof value.why === 'string';
  if (value.type === 'offer') return 'pid' in value && 'listeners' in value && Array.isArray(value.listeners);
  if (value.type === 'yours') return !('workers' in value) || areWorkers(value.workers);
  return value.type === 'listener';
}

function areWorkers(value: unknown): boolean {
  return Array.isArray(value) && value.every((pid) => Number.isInteger(pid));
}
