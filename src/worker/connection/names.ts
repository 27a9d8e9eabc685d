/** NAMES: how events write destinations and binds. Owns nothing; a peer's text comes out safe for one line of a log. */
import { formatHostPort } from '../../shared/address.js';
import type { ForwardKind } from '../../shared/events.js';
import type { BindAddress, Destination } from '../../shared/identity.js';
import { MAX_TEXT, safeText } from '../../shared/log.js';
import type { ChannelStory } from '../channel/record.js';

export function nameOfDestination(destination: Destination): string {
  if (destination.kind === 'unix') return safeText(destination.path);
  const { host, port } = destination;
  return formatHostPort(safeText(host, MAX_TEXT - `[]:${port}`.length), port);
}

export function nameOfBind(bind: BindAddress): string {
  // RFC 4254 §7.1: the empty host means all addresses.
  return nameOfDestination(bind.kind === 'tcp' && bind.host === '' ? { ...bind, host: '*' } : bind);
}

export function kindOfBind(bind: BindAddress): ForwardKind {
  return bind.kind === 'tcp' ? 'tcpip-forward' : 'streamlocal-forward@openssh.com';
}

/** A channel that the peer opens. */
export function storyOfDirect(destination: Destination): ChannelStory {
  const kind = destination.kind === 'tcp' ? 'direct-tcpip' : 'direct-streamlocal@openssh.com';
  return { kind, destination: nameOfDestination(destination) };
}

/** A channel that we open for an inbound connection. */
export function storyOfForwarded(bind: BindAddress): ChannelStory {
  const kind = bind.kind === 'tcp' ? 'forwarded-tcpip' : 'forwarded-streamlocal@openssh.com';
  return { kind, destination: nameOfBind(bind) };
}
