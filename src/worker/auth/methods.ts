/** METHODS: which methods may be tried now, and what must follow them (RFC 4252 §5.1, partial success).
 *  Owns the chains of one login. Pure otherwise. */
import type { AuthMethod } from '../../shared/identity.js';

/** In the order in which they are offered. */
export const AUTH_METHODS: readonly AuthMethod[] = ['publickey', 'password', 'keyboard-interactive'];

export class MethodChains {
  #chains: readonly (readonly AuthMethod[])[];

  constructor(chains: readonly (readonly AuthMethod[])[]) {
    this.#chains = chains;
  }

  /** What a chain can go on with, each once. */
  get open(): readonly AuthMethod[] {
    return AUTH_METHODS.filter((method) => this.#chains.some((chain) => chain[0] === method));
  }

  /** What is left of them where these have succeeded, one after the other. */
  after(methods: readonly AuthMethod[]): { readonly chains: MethodChains; readonly isComplete: boolean } {
    const chains = new MethodChains(this.#chains);
    let isComplete = false;
    for (const method of methods) isComplete = chains.passed(method) || isComplete;
    return { chains, isComplete };
  }

  /** The method has succeeded. Chains that do not go on from it are closed: what was shown for one chain must not help
   *  along another. @returns true when a chain is complete, which is a login */
  passed(method: AuthMethod): boolean {
    this.#chains = this.#chains.filter((chain) => chain[0] === method).map((chain) => chain.slice(1));
    return this.#chains.some((chain) => chain.length === 0);
  }
}

/** The chains of a hook's answer, or null where it is no list of them. A method that nobody knows is no chain: to leave it
 *  out would make a login easier than was meant. */
export function readChains(value: unknown): MethodChains | null {
  if (!Array.isArray(value)) return null;
  const chains = value.map(readChain);
  return chains.every((chain) => chain !== null) ? new MethodChains(chains) : null;
}

function readChain(value: unknown): readonly AuthMethod[] | null {
  if (typeof value !== 'string') return null;
  const methods = value.split(',').map((name) => AUTH_METHODS.find((method) => method === name));
  if (new Set(methods).size !== methods.length) return null;
  return methods.every((method) => method !== undefined) ? methods : null;
}
