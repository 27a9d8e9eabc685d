/** PHASES: all of them by name, and which share of the packets each gets: a payload that goes straight into a Connection costs
 *  microseconds, a key exchange milliseconds. Owns nothing. */
import { ConnectionPhase } from './connection_phase.js';
import { KexPhase } from './kex_phase.js';
import { LoginPhase } from './login_phase.js';
import type { Phase } from './phase.js';
import { UnsealPhase } from './unseal_phase.js';
import { WholePhase } from './whole_phase.js';

export interface PhaseEntry {
  readonly name: string;
  /** Of all mutated packets. */
  readonly share: number;
  start(): Promise<Phase>;
}

export const PHASES: readonly PhaseEntry[] = [
  { name: 'connection', share: 0.45, start: () => ConnectionPhase.start() },
  { name: 'login', share: 0.3, start: async () => new LoginPhase() },
  { name: 'unseal', share: 0.2, start: async () => new UnsealPhase() },
  { name: 'kex', share: 0.03, start: () => KexPhase.start() },
  { name: 'whole', share: 0.02, start: () => WholePhase.start() },
];
