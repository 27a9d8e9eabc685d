/** NAMED EVENT: one kind of event, so that a test may ask for its fields. Owns nothing. */
import type { AuditEvent, EventName } from '../../src/shared/events.js';

export type EventOf<Name extends EventName> = Extract<AuditEvent, { readonly event: Name }>;

export function isNamed<Name extends EventName>(event: AuditEvent, name: Name): event is EventOf<Name> {
  return event.event === name;
}
