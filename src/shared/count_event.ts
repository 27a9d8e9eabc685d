/** COUNT EVENT: what an event means for the counters. Each event is counted in the process in which it comes about, before anything
 *  decides whether somebody hears it.
 *  Owns nothing. Not counted here is what the log tells of in one line for many: the door and a connection's refusals have
 *  each one of those. */
import type { Counts } from './counts.js';
import { assertNever } from './errors.js';
import type { AuditEvent } from './events.js';
import { methodLabel } from './metrics.js';

export function countEvent(counts: Counts, event: AuditEvent): void {
  switch (event.event) {
    case 'connection.accepted':
      return counts.add('connectionsAccepted', []);
    case 'connection.closed':
      return counts.add('connectionsClosed', [event.reason]);
    case 'auth.succeeded':
      return counts.add('logins', [event.method, 'accepted']);
    case 'auth.partial':
      return counts.add('logins', [event.method, 'partial']);
    case 'auth.failed':
      return counts.add('logins', [methodLabel(event.method), event.reason]);
    case 'channel.opened':
      return counts.add('channelsOpened', [event.kind]);
    case 'channel.closed':
      return counts.add('channelsClosed', [event.kind, event.reason]);
    case 'forward.bound':
      return counts.add('forwardsBound', [event.kind]);
    case 'source.penalised':
      return counts.add('penalties', [event.reason]);
    case 'worker.exited':
      if (event.reason !== 'DRAINED' && event.reason !== 'KILLED') counts.add('workerRestarts', [event.reason]);
      return;
    case 'connection.refused':
    case 'channel.refused':
    case 'forward.refused':
      return; // one event may stand for many
    case 'forward.released':
    case 'auth.weakHash':
    case 'server.listening':
    case 'server.draining':
    case 'server.stopped':
    case 'config.reloaded':
    case 'config.rejected':
    case 'worker.started':
    case 'worker.adopted':
      return;
    default:
      assertNever(event);
  }
}
