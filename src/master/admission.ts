/** ADMISSION: may this TCP peer become an SSH connection?
 *  Decides only, from counts and one random number; never touches a socket. Cheapest test first, so that a flood costs
 *  us least. The drop curve is that of OpenSSH's MaxStartups (sshd_config(5)). */
import type { Config } from '../shared/config.js';
import type { RefuseReason } from '../shared/errors.js';

export interface AdmissionLimits extends Pick<Config['limits'], 'connections' | 'startups' | 'startupsPerSource'> {
  /** Sockets that may wait for a worker; each is a descriptor of the primary. Kept below the limit of descriptors:
   *  beyond it libuv closes arrivals and tells nobody. */
  readonly waiting: number;
}

/** What the server holds when the peer comes. */
export interface AdmissionState {
  readonly draining: boolean;
  /** Connections of all workers and those on their way to one. */
  readonly open: number;
  /** The peer's source has earned penalties that still run. */
  readonly penalised: boolean;
  /** Those of `open` that have not logged in yet, of the peer's standing. */
  readonly unauthenticated: number;
  /** The same of the peer's source; 0 where that is exempt. */
  readonly ofSource: number;
  /** Those of `open` that no worker has taken yet. */
  readonly waiting: number;
}

export type Admission = { readonly admit: true } | { readonly admit: false; readonly reason: RefuseReason };

const ADMIT: Admission = { admit: true };

/** @param random from 0 up to but not including 1 */
export function decide(state: AdmissionState, limits: AdmissionLimits, random: number): Admission {
  if (state.draining) return { admit: false, reason: 'DRAINING' };
  if (state.penalised) return { admit: false, reason: 'PENALTY' };
  if (state.open >= limits.connections || state.waiting >= limits.waiting)
    return { admit: false, reason: 'AT_CAPACITY' };
  if (limits.startupsPerSource > 0 && state.ofSource >= limits.startupsPerSource)
    return { admit: false, reason: 'SOURCE_STARTUPS' };
  if (random * 100 < dropPercent(state.unauthenticated, limits.startups)) return { admit: false, reason: 'STARTUPS' };
  return ADMIT;
}

/** 0 below `begin`, `ratePercent` at `begin`, from there a straight line up to 100 at `full`. */
export function dropPercent(unauthenticated: number, startups: Config['limits']['startups']): number {
  const { begin, ratePercent, full } = startups;
  if (unauthenticated >= full) return 100;
  if (unauthenticated < begin) return 0;
  return ratePercent + ((100 - ratePercent) * (unauthenticated - begin)) / (full - begin);
}
