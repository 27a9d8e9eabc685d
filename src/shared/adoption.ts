/** ADOPTION: how a worker whose primary is gone and the next primary meet, over the Unix socket in `stateDir`. The primary
 *  says `welcome`, the worker `adopt`; from then on the two speak as ever (ipc.ts), but that no new socket can be handed over.
 *  Owns the socket's name. */
import { join } from 'node:path';
import type { BindAddress, Peer } from './identity.js';
import type { CodeUse, ConnId, LeaseKey } from './ipc.js';

/** Raised when a message between primary and worker changes its meaning. A worker of another number keeps what it has, and
 *  reports to nobody. */
export const ADOPTION_PROTOCOL = 1;

export interface Welcome {
  readonly type: 'welcome';
  readonly protocol: number;
}

export interface HeldLease {
  readonly key: LeaseKey;
  readonly target: BindAddress;
  readonly user: string;
}

/** What the primary that is gone had granted to one connection. */
export interface HeldConnection {
  /** As the primary that is gone had numbered it; the next one gives it another number. */
  readonly id: ConnId;
  readonly peer: Peer;
  /** A proxy's that has not said whom it brings; absent: no. */
  readonly unnamed?: boolean;
  /** Null before the login. */
  readonly user: string | null;
  readonly leases: readonly HeldLease[];
}

export interface Adoption {
  readonly type: 'adopt';
  readonly pid: number;
  readonly connections: readonly HeldConnection[];
  /** Codes of second factors that it has let in with, the last of each user and secret. Absent in a worker of an older build. */
  readonly codes?: readonly CodeUse[];
}

/** Where workers without a primary look for one. */
export function controlPath(stateDir: string): string {
  return join(stateDir, 'primary.sock');
}

/** Of a primary that speaks as we do. */
export function isWelcome(value: unknown): value is Welcome {
  if (typeof value !== 'object' || value === null || !('type' in value) || !('protocol' in value)) return false;
  return value.type === 'welcome' && value.protocol === ADOPTION_PROTOCOL;
}

/** Checked as far as the primary works with it: whoever may open the socket is of our user, but not for that a worker of ours. */
export function isAdoption(value: unknown): value is Adoption {
  return (
    isObject(value) &&
    value.type === 'adopt' &&
    isWhole(value.pid) &&
    value.pid > 1 && // it is sent signals
    Array.isArray(value.connections) &&
    value.connections.every(isHeld) &&
    (value.codes === undefined || (Array.isArray(value.codes) && value.codes.every(isUsed)))
  );
}

function isUsed(value: unknown): boolean {
  return isObject(value) && typeof value.user === 'string' && typeof value.key === 'string' && isWhole(value.step);
}

function isHeld(value: unknown): boolean {
  return (
    isObject(value) &&
    isWhole(value.id) &&
    isObject(value.peer) &&
    typeof value.peer.address === 'string' &&
    isWhole(value.peer.port) &&
    (value.unnamed === undefined || typeof value.unnamed === 'boolean') &&
    (value.user === null || typeof value.user === 'string') &&
    Array.isArray(value.leases) &&
    value.leases.every(isHeldLease)
  );
}

function isHeldLease(value: unknown): boolean {
  return isObject(value) && isKey(value.key) && isBound(value.target) && typeof value.user === 'string';
}

function isKey(value: unknown): boolean {
  if (!isObject(value)) return false;
  return value.kind === 'tcp' ? isWhole(value.port) : value.kind === 'unix' && typeof value.path === 'string';
}

function isBound(value: unknown): boolean {
  return isKey(value) && isObject(value) && (value.kind === 'unix' || typeof value.host === 'string');
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
