/** RESOLVE: from the host of a direct-tcpip open to the literal addresses that policy checks and dial takes.
 *  Owns the look-ups under way and the queue before them, both bounded. Each call asks at most once, ends by its deadline
 *  and never rejects. */
import { lookup as dnsLookup } from 'node:dns/promises';
import { type Address, isLocalhost, parseAddress, parseHost } from '../../shared/address.js';
import { errnoOf } from '../../shared/errors.js';
import { type After, after } from '../../shared/timer.js';

export type Resolution =
  | { readonly ok: true; readonly addresses: readonly Address[] }
  | { readonly ok: false; readonly code: 'NAME_NOT_FOUND' | 'NAME_TIMEOUT' | 'RESOURCE_SHORTAGE' };

export interface ResolverOptions {
  /** All addresses of a name; rejects where there are none. */
  readonly lookup: (name: string) => Promise<readonly string[]>;
  /** From the call to the answer, time in the queue included. Default 3000. */
  readonly timeoutMs?: number;
  /** Look-ups under way at once. Default 8: more would only wait for a thread of libuv's pool, and take those that the
   *  file system and the password hashes need. */
  readonly maxActive?: number;
  /** Look-ups under way for one owner. Default 4, so that one user with dead names cannot stop all the others. */
  readonly maxActivePerOwner?: number;
  /** Calls that wait for a place. Default 256; one more is refused. */
  readonly maxQueued?: number;
  /** Of these for one owner, whose dead names must not fill the queue for all. Default 32: a browser behind -D asks for a
   *  dozen at once. */
  readonly maxQueuedPerOwner?: number;
  /** Default: the real clock. */
  readonly after?: After;
}

export interface ResolveCall {
  /** Whose share the look-up counts against: the user's name. Default: one share for all who give none. */
  readonly owner?: string;
  /** Ends the call at once, as NAME_TIMEOUT; nobody should be reading the answer then. */
  readonly signal?: AbortSignal;
}

/** More than any honest name has; a name with a thousand addresses must not make us dial a thousand times. */
const MAX_CANDIDATES = 16;

/** The production look-up. getaddrinfo, since what an operator expects is what `ssh` and `curl` on this host do:
 *  /etc/hosts, search domains, nsswitch, and addresses in the order of RFC 6724. The price: it blocks a thread of libuv's
 *  pool until the system's resolver gives up, long after our deadline, and it cannot be cancelled. So the Resolver bounds
 *  how many there are, and an abandoned one keeps its place until it really ends. c-ares would need neither, but reads
 *  neither nsswitch nor mDNS, and resolves search domains in its own way. */
export async function systemLookup(name: string): Promise<readonly string[]> {
  const found = await dnsLookup(name, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

interface Waiting {
  readonly name: string;
  readonly owner: string;
  readonly finish: (resolution: Resolution) => void;
}

export class Resolver {
  readonly #lookup: ResolverOptions['lookup'];
  readonly #timeoutMs: number;
  readonly #maxActive: number;
  readonly #maxActivePerOwner: number;
  readonly #maxQueued: number;
  readonly #maxQueuedPerOwner: number;
  readonly #after: After;
  /** Look-ups under way by owner; no entry is ever 0. */
  readonly #activeByOwner = new Map<string, number>();
  #active = 0;
  /** In order of arrival. */
  readonly #queue = new Set<Waiting>();

  constructor(options: ResolverOptions) {
    this.#lookup = options.lookup;
    this.#timeoutMs = options.timeoutMs ?? 3000;
    this.#maxActive = options.maxActive ?? 8;
    this.#maxActivePerOwner = options.maxActivePerOwner ?? 4;
    this.#maxQueued = options.maxQueued ?? 256;
    this.#maxQueuedPerOwner = options.maxQueuedPerOwner ?? 32;
    this.#after = options.after ?? after;
  }

  /** Look-ups that hold a place, the abandoned ones included, and calls that wait for one. */
  get load(): { readonly active: number; readonly queued: number } {
    return { active: this.#active, queued: this.#queue.size };
  }

  /** The addresses of a host, at most 16, in the order of preference, each once. A literal in any spelling is its own
   *  answer; `localhost` and names under it are the loopback without a query (RFC 6761 §6.3). Invalid text is
   *  NAME_NOT_FOUND; policy has answered BAD_ADDRESS before. */
  resolve(host: string, { owner = '', signal }: ResolveCall = {}): Promise<Resolution> {
    const parsed = parseHost(host);
    if (parsed.kind === 'address') return Promise.resolve(found([parsed.address.text]));
    if (parsed.kind === 'invalid') return Promise.resolve(failed('NAME_NOT_FOUND'));
    const { name } = parsed;
    if (isLocalhost(name)) return Promise.resolve(found(['127.0.0.1', '::1']));
    if (signal?.aborted) return Promise.resolve(failed('NAME_TIMEOUT'));
    return new Promise((resolve) => {
      const waiting: Waiting = {
        name,
        owner,
        finish: (resolution) => {
          cancelTimer();
          signal?.removeEventListener('abort', giveUp);
          this.#queue.delete(waiting);
          resolve(resolution);
        },
      };
      const giveUp = (): void => waiting.finish(failed('NAME_TIMEOUT'));
      const cancelTimer = this.#after(this.#timeoutMs, giveUp);
      signal?.addEventListener('abort', giveUp, { once: true });
      if (this.#hasPlace(owner)) void this.#run(waiting);
      else if (this.#mayQueue(owner)) this.#queue.add(waiting);
      else waiting.finish(failed('RESOURCE_SHORTAGE'));
    });
  }

  /** Nobody holds more places than he leaves to others: two users with dead names would else have all of them, for as long
   *  as the system's resolver takes to give up. */
  #hasPlace(owner: string): boolean {
    const left = this.#maxActive - this.#active;
    return (this.#activeByOwner.get(owner) ?? 0) < Math.min(this.#maxActivePerOwner, left);
  }

  #mayQueue(owner: string): boolean {
    if (this.#queue.size >= this.#maxQueued) return false;
    let own = 0;
    for (const waiting of this.#queue) if (waiting.owner === owner) own++;
    return own < this.#maxQueuedPerOwner;
  }

  /** Never rejects: nobody waits for it. */
  async #run({ name, owner, finish }: Waiting): Promise<void> {
    this.#active++;
    this.#activeByOwner.set(owner, (this.#activeByOwner.get(owner) ?? 0) + 1);
    try {
      finish(found(await this.#lookup(name)));
    } catch (thrown) {
      finish(failed(codeOf(thrown)));
    }
    this.#active--;
    const left = (this.#activeByOwner.get(owner) ?? 1) - 1;
    if (left === 0) this.#activeByOwner.delete(owner);
    else this.#activeByOwner.set(owner, left);
    this.#startNext();
  }

  /** Those in the queue whose owners have a share left, in its order. */
  #startNext(): void {
    for (const waiting of this.#queue) {
      if (!this.#hasPlace(waiting.owner)) continue;
      this.#queue.delete(waiting);
      void this.#run(waiting);
    }
  }
}

/** Text that is no address (a zone among it) is dropped: what cannot be checked is not dialled. */
function found(texts: readonly string[]): Resolution {
  const addresses = new Map<string, Address>();
  for (const text of texts) {
    const address = parseAddress(text);
    if (address !== null) addresses.set(address.text, address);
    if (addresses.size === MAX_CANDIDATES) break;
  }
  return addresses.size === 0 ? failed('NAME_NOT_FOUND') : { ok: true, addresses: [...addresses.values()] };
}

function failed(code: 'NAME_NOT_FOUND' | 'NAME_TIMEOUT' | 'RESOURCE_SHORTAGE'): Resolution {
  return { ok: false, code };
}

function codeOf(thrown: unknown): 'NAME_NOT_FOUND' | 'NAME_TIMEOUT' | 'RESOURCE_SHORTAGE' {
  switch (errnoOf(thrown)) {
    case 'EAI_AGAIN': // no name server answered in time
    case 'ETIMEOUT':
      return 'NAME_TIMEOUT';
    case 'EAI_MEMORY':
    case 'ENOMEM':
    case 'EMFILE':
    case 'ENFILE':
      return 'RESOURCE_SHORTAGE';
    default:
      return 'NAME_NOT_FOUND';
  }
}
