/** PROXY HEADER, as a proxy writes it: the specification's text once more, from the other side. Owns nothing. */
import { isIPv6 } from 'node:net';

export interface Named {
  readonly address: string;
  readonly port: number;
}

export function headerV1(source: Named, destination: Named): Buffer {
  const family = isIPv6(source.address) ? 'TCP6' : 'TCP4';
  const words = ['PROXY', family, source.address, destination.address, source.port, destination.port];
  return Buffer.from(`${words.join(' ')}\r\n`);
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** @param verCmd 0x21 is version 2, command PROXY; 0x20 is LOCAL
 *  @param famProto 0x11 is TCP over IPv4, 0x21 over IPv6, 0x31 a Unix stream, 0x00 unspecified */
export function headerV2(body: Buffer, verCmd = 0x21, famProto = 0x11, bodyBytes = body.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([verCmd, famProto, bodyBytes >> 8, bodyBytes & 0xff]), body]);
}

/** Addresses as bytes, then both ports. */
export function bodyV2(
  source: readonly number[],
  destination: readonly number[],
  ports: readonly [number, number],
): Buffer {
  const portBytes = Buffer.alloc(4);
  portBytes.writeUInt16BE(ports[0], 0);
  portBytes.writeUInt16BE(ports[1], 2);
  return Buffer.concat([Buffer.from([...source, ...destination]), portBytes]);
}
