/** EXPLAIN MISS: why a pattern that looks as if it covered a request does not: it is a name, and an address was asked for; or its ports are
 *  others. Owns nothing. Pure. */
import { parseHost } from '../shared/address.js';
import type { TcpDestination } from '../shared/identity.js';
import { goesByAddress, type OpenPattern, patternForName } from '../shared/patterns.js';

/** @returns null where no pattern comes near; else which one, and why not */
export function whyMissed(patterns: readonly OpenPattern[], { host, port }: TcpDestination): Miss | null {
  const isAddress = parseHost(host).kind === 'address';
  for (const pattern of patterns) {
    if (pattern.kind === 'path') continue;
    const atItsPort = pattern.ports.some(([from, to]) => port >= from && port <= to);
    if (isAddress && pattern.kind === 'name' && atItsPort)
      return { pattern, why: 'is for requests by that name, not by an address that it may have' };
    // A block may cover any name: that its ports are others says nothing about this one.
    const isByItself = isAddress || !goesByAddress(pattern);
    if (!atItsPort && isByItself && patternForName([{ ...pattern, ports: ALL_PORTS }], host, port) !== undefined)
      return { pattern, why: 'has other ports' };
  }
  return null;
}

export interface Miss {
  readonly pattern: OpenPattern;
  readonly why: string;
}

const ALL_PORTS = [[1, 65_535]] as const;
