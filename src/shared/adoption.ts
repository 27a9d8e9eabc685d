/** ADOPTION: how a worker whose primary is gone and the next primary meet, over the Unix socket in `stateDir`. The primary
 *  says `welcome`, the worker `adopt`; from then on the two speak as ever (ipc.ts), but that no new socket can be handed over.
 *  Owns the socket's name. */
import { join } from 'node:path';
import type { BindAddress, Peer } from './identity.js';
import type { ConnId, LeaseKey } from './ipc.js';

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
  /** Null before the login. */
  readonly user: string | null;
  readonly leases: readonly HeldLease[];
}

export interface Adoption {
  readonly type: 'adopt';
  readonly pid: number;
  readonly connections: readonly HeldConnection[];
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

export function isAdoption(value: unknown): value is Adoption {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'adopt' &&
    'pid' in value &&
    Number.isInteger(value.pid) &&
    'connections' in value &&
    Array.isArray(value.connections) &&
    value.connections.every(isHeld)
  );
}

function isHeld(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    Number.isInteger(value.id) &&
    'peer' in value &&
    typeof value.peer === 'object' &&
    value.peer !== null &&
    'user' in value &&
    (value.user === null || typeof value.user === 'string') &&
    'leases' in value &&
    Array.isArray(value.leases)
  );
}
