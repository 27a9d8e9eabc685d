/** NAMES: how events write destinations and binds. Owns nothing; a peer's text comes out safe for one line of a log. */
import { formatHostPort } from '../../shared/address.js';
import type { BindAddress, Destination } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';

export function nameOfDestination(destination: Destination): string {
  if (destination.kind === 'unix') return safeText(destination.path);
  return formatHostPort(safeText(destination.host), destination.port);
}

export function nameOfBind(bind: BindAddress): string {
  // RFC 4254 §7.1: the empty host means all addresses.
  return nameOfDestination(bind.kind === 'tcp' && bind.host === '' ? { ...bind, host: '*' } : bind);
}
