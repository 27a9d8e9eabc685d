/** PORT: TCP ports and ranges of them. Owns nothing. */

export const MAX_PORT = 65_535;

/** Inclusive, from <= to. */
export type PortRange = readonly [from: number, to: number];

/** True for 1..65535. A uint32 from the wire may be anything, and net.connect throws on what is no port. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= MAX_PORT;
}
