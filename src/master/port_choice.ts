/** PORT CHOICE: which port does a forward get that asked for port 0 (RFC 4254 §7.1)?
 *  Decides only. Random, so that a tenant cannot foretell the next one's port. */
import { MAX_PORT, type PortRange } from '../shared/port.js';

/** Linux' default net.ipv4.ip_local_port_range: an outgoing connection may sit on such a port just when its owner comes
 *  back for it. Used only where the permitted range leaves nothing else. */
const EPHEMERAL_PORTS: PortRange = [32_768, 60_999];

export interface PortChoice {
  /** Inclusive pairs, in any order; they may overlap. */
  readonly ranges: readonly PortRange[];
  readonly isFree: (port: number) => boolean;
  /** From 0 up to but not including 1. */
  readonly random: number;
}

/** Tries the comfortable ports first, then the ephemeral ones, then those below 1024, which need a privilege.
 *  @returns undefined when none is free */
export function choosePort(choice: PortChoice): number | undefined {
  const [low, high] = EPHEMERAL_PORTS;
  const tiers: readonly (readonly PortRange[])[] = [
    [
      [1024, low - 1],
      [high + 1, MAX_PORT],
    ],
    [[low, high]],
    [[1, 1023]],
  ];
  for (const tier of tiers) {
    const pieces = tier.flatMap((limit) => choice.ranges.map((range) => intersect(range, limit))).filter(isFilled);
    const found = firstFree(pieces, choice);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Walks once round all pieces from a random place: at most 65,535 steps, and mostly one. */
function firstFree(pieces: readonly PortRange[], choice: PortChoice): number | undefined {
  const size = pieces.reduce((sum, [low, high]) => sum + high - low + 1, 0);
  const start = Math.floor(choice.random * size);
  for (let step = 0; step < size; step++) {
    const port = nth(pieces, (start + step) % size);
    if (port !== undefined && choice.isFree(port)) return port;
  }
  return undefined;
}

function nth(pieces: readonly PortRange[], index: number): number | undefined {
  let rest = index;
  for (const [low, high] of pieces) {
    const length = high - low + 1;
    if (rest < length) return low + rest;
    rest -= length;
  }
  return undefined;
}

function intersect(a: PortRange, b: PortRange): PortRange {
  return [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
}

function isFilled([low, high]: PortRange): boolean {
  return low <= high;
}
