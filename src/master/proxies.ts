/** PROXIES: which peers of which listener are proxies, whose connections begin with a PROXY header that says who comes.
 *  Owns the blocks of `listen[].proxyProtocol.from`, read once. */
import { isDeepStrictEqual } from 'node:util';
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

  /** An inherited socket that no entry has by its address, and several have by its port, with other proxies each: it has none. */
  isUnclear(at: EntryPoint): boolean {
    return this.#ruleOf(at) === undefined && this.#rules.some(({ port }) => port === at.port);
  }

  /** An inherited socket is called otherwise than any entry: its is the one with the same address, else with the same port, since
   *  a manager binds `[::]` for both families where two entries stand here. Where those say different things nobody is trusted:
   *  whose header counts on one address may be a stranger on another. */
  #ruleOf({ name, address, port }: EntryPoint): Rule | undefined {
    const rules = this.#rules;
    return (
      rules.find((rule) => rule.name === name) ??
      rules.find((rule) => rule.port === port && rule.host === address) ??
      agreed(rules.filter((rule) => rule.port === port))
    );
  }
}

/** Listeners where nobody is a proxy, and an operator may think otherwise: in words, for the log. */
export function unclearProxies(listen: readonly ListenEntry[], listeners: readonly EntryPoint[]): readonly string[] {
  const proxies = new Proxies(listen);
  return listeners
    .filter((at) => proxies.isUnclear(at))
    .map(
      ({ name, address, port }) =>
        `${name}: nobody is a proxy here. Of the entries of listen with port ${port} none has the address ${address}, and their proxyProtocol.from are not the same`,
    );
}

function agreed(rules: readonly Rule[]): Rule | undefined {
  const [first, ...others] = rules;
  return others.every(({ from }) => isDeepStrictEqual(from, first?.from)) ? first : undefined;
}
