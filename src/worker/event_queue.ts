/** EVENT QUEUE: events on their way to the primary's log, many to a message.
 *  Owns those that wait. One message is under way at a time, so a peer that makes a hundred thousand refusals a second
 *  fills this bounded queue and not the channel that heartbeats share; what does not fit is counted, and the count is
 *  told with the next message. It does not know when to send: `flush` is called for it. */
import type { AuditEvent } from '../shared/events.js';

/** `lost` events came between these and the ones of the message before. */
export type SendEvents = (events: readonly AuditEvent[], lost: number, sent: () => void) => void;

const MAX_WAITING = 2_048;

export class EventQueue {
  readonly #send: SendEvents;
  #waiting: AuditEvent[] = [];
  #lost = 0;
  #underWay = false;
  readonly #schedule: () => void;

  /** @param schedule `flush` is wanted, by the end of this turn of the event loop */
  constructor(send: SendEvents, schedule: () => void) {
    this.#send = send;
    this.#schedule = schedule;
  }

  push(event: AuditEvent): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#waiting.push(event);
    if (!this.#underWay) this.#schedule();
  }

  /** The message under way is lost: nobody will say that it was sent. */
  forget(): void {
    this.#underWay = false;
  }

  /** Sends what waits now, unless a message is under way: then that one's end does. */
  flush(): void {
    if (this.#underWay || (this.#waiting.length === 0 && this.#lost === 0)) return;
    const events = this.#waiting;
    const lost = this.#lost;
    this.#waiting = [];
    this.#lost = 0;
    this.#underWay = true;
    this.#send(events, lost, () => {
      this.#underWay = false;
      if (this.#waiting.length > 0 || this.#lost > 0) this.#schedule();
    });
  }
}
