/** SOURCE: which addresses count as one where limits and penalties go by source, and which of them are exempt.
 *  Owns the exempt blocks, read once. An IPv4 address counts alone; IPv6 counts by /64, since whoever has one address of it
 *  has them all; an IPv4 host behind the well-known NAT64 prefix counts as that host, else the whole of IPv4 would be one
 *  source (sshd_config(5) PerSourceNetBlockSize, here 32:64). */
import { type Cidr, inCidr, parseAddress, parseCidr, translatedIpv4 } from '../shared/address.js';
import { ipv6Text } from '../shared/ip_text.js';

export interface Source {
  /** `192.0.2.1` or `2001:db8:0:1::/64`. */
  readonly name: string;
  readonly exempt: boolean;
}

const PREFIX_BYTES = 8;
const NO_HOST_BYTES: readonly number[] = new Array(16 - PREFIX_BYTES).fill(0);

export class SourceRules {
  readonly #exempt: readonly Cidr[];

  /** @param exempt addresses and CIDR blocks, as the config has checked them */
  constructor(exempt: readonly string[]) {
    this.#exempt = exempt.map(parseCidr).filter((block) => block !== null);
  }

  /** @param peerAddress in canonical form (`normalisePeerAddress`) */
  sourceOf(peerAddress: string): Source {
    const address = parseAddress(peerAddress);
    if (address === null) return { name: peerAddress, exempt: false };
    const host = translatedIpv4(address) ?? address;
    const exempt = this.#exempt.some((block) => inCidr(host, block) || inCidr(address, block));
    if (host.family === 4) return { name: host.text, exempt };
    return { name: `${ipv6Text([...host.bytes.slice(0, PREFIX_BYTES), ...NO_HOST_BYTES])}/64`, exempt };
  }
}
