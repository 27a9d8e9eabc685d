/** TALLY: what one worker counts for the metrics.
 *  Owns the counts since the last report, and the channels that are open by kind. It hears every event of the worker, also those
 *  below the log's level, which nobody else hears; bytes it is told when a report is due, so that a packet costs nothing. */
import { countEvent } from '../shared/count_event.js';
import { Counts, seriesOf } from '../shared/counts.js';
import type { AuditEvent, ChannelKind, ForwardKind, RefusalNews } from '../shared/events.js';
import type { WorkerCounts } from '../shared/ipc.js';
import { type GaugeId, METRICS } from '../shared/metrics.js';

/** How it is at this moment. */
export interface Standing {
  readonly bufferedBytes: number;
  /** Payload of all channels since the worker began. */
  readonly traffic: { readonly bytesIn: number; readonly bytesOut: number };
  readonly forwards: Readonly<Record<ForwardKind, number>>;
  readonly passwordChecks: { readonly waiting: number; readonly running: number };
}

export class Tally {
  readonly #counts = new Counts();
  readonly #channels = new Map<ChannelKind, number>();
  #told = { bytesIn: 0, bytesOut: 0 };

  event(event: AuditEvent): void {
    countEvent(this.#counts, event);
    if (event.event === 'channel.opened') this.#channel(event.kind, 1);
    if (event.event === 'channel.closed') this.#channel(event.kind, -1);
  }

  /** Every one, also those that the log is not told of one by one. */
  refused({ event, reason }: RefusalNews): void {
    this.#counts.add('refusals', [event === 'channel.refused' ? 'channel' : 'forward', reason]);
  }

  loggedIn(tookMs: number): void {
    this.#counts.observe('login', [], tookMs / 1_000);
  }

  opened(kind: ChannelKind, tookMs: number): void {
    this.#counts.observe('channelOpen', [kind], tookMs / 1_000);
  }

  /** What was counted since the last report, which is the last one to have it, and how it is now. */
  report({ bufferedBytes, traffic, forwards, passwordChecks }: Standing): WorkerCounts {
    this.#counts.add('bytes', ['in'], traffic.bytesIn - this.#told.bytesIn);
    this.#counts.add('bytes', ['out'], traffic.bytesOut - this.#told.bytesOut);
    this.#told = traffic;
    const gauges: Record<string, number> = {};
    const gauge = (id: GaugeId, labels: readonly string[], value: number): void => {
      gauges[seriesOf(METRICS[id], labels)] = value;
    };
    gauge('buffered', [], bufferedBytes);
    for (const [kind, count] of this.#channels) gauge('channels', [kind], count);
    for (const [kind, count] of Object.entries(forwards)) gauge('forwards', [kind], count);
    for (const [state, count] of Object.entries(passwordChecks)) gauge('passwordChecks', [state], count);
    return { ...this.#counts.take(), gauges };
  }

  #channel(kind: ChannelKind, by: number): void {
    this.#channels.set(kind, (this.#channels.get(kind) ?? 0) + by);
  }
}
