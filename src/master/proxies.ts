/** PROXIES: which peers of which listener are proxies, whose connections begin with a PROXY header that says who comes.
 *  Owns the blocks of `listen[].proxyProtocol.from`, read once. */
import { type Cidr, inCidr, parseAddress, parseCidr, parseHostPort } from '../shared/address.js';
import type { ListenEntry } from '../shared/config_keys.js';

/** Where somebody came in. */
export interface EntryPoint {
  /** The `HOST:PORT` of the config, or what an inherited socket is called. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

interface Rule {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly from: readonly Cidr[];
}

export class Proxies {
  readonly #rules: readonly Rule[];

  constructor(listen: readonly ListenEntry[]) {
    this.#rules = listen.map(({ address: name, proxyFrom }) => {
      const { host, port } = parseHostPort(name) ?? { host: '', port: 0 };
      return { name, host, port, from: proxyFrom.map(parseCidr).filter((block) => block !== null) };
    });
  }

  /** @param peerAddress in canonical form (`normalisePeerAddress`) */
  has(peerAddress: string, at: EntryPoint): boolean {
    const from = this.#ruleOf(at)?.from ?? [];
    if (from.length === 0) return false;
    const address = parseAddress(peerAddress);
    return address !== null && from.some((block) => inCidr(address, block));
  }

  /** An inherited socket is called otherwise than any entry: its is the one with the same address, else with the same port, since
   *  a manager binds `[::]` for both families where two entries stand here. */
  #ruleOf({ name, address, port }: EntryPoint): Rule | undefined {
    const rules = this.#rules;
    return (
      rules.find((rule) => rule.name === name) ??
      rules.find((rule) => rule.port === port && rule.host === address) ??
      rules.find((rule) => rule.port === port)
    );
  }
}
