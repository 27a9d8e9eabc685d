/** SERVED: what the admin API asks of the server that it speaks for, as types.
 *  Owns nothing. */
import type { ListenerAddress } from '../../shared/ipc.js';
import type { Clock } from '../clock.js';
import type { Metrics } from '../metrics.js';
import type { ReloadOutcome } from '../settings.js';
import type { PrimaryStatus } from '../status.js';
import type { Survey } from '../survey.js';
import type { Feed } from './feed.js';

/** What only whoever started the primary can do. */
export interface Steering {
  /** As SIGTERM; more than once it is the same. */
  drain(): void;
  /** As SIGHUP. Never rejects; resolves once the settings are in force, be workers replaced still. */
  reload(): Promise<ReloadOutcome>;
}

export interface Served extends Steering {
  status(): PrimaryStatus;
  /** As `status` has it, for who asks every second: that looks at every source that has earned penalties. */
  connections(): number;
  /** Where it takes SSH connections. */
  addresses(): readonly ListenerAddress[];
  readonly metrics: Pick<Metrics, 'render' | 'totals' | 'load' | 'wrongToken'>;
  readonly survey: Pick<Survey, 'connections' | 'forwards'>;
  /** Ends a connection. @returns false when there is none of this number */
  end(id: number): boolean;
  readonly feed: Feed;
  readonly clock: Clock;
}
