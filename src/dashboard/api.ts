/** API: the page's questions to its server. Owns the token, which sessionStorage keeps as long as the tab lives. A failure is a
 *  value; nothing here throws. */
import type {
  AdminError,
  ConnectionList,
  DrainBegun,
  ForwardList,
  History,
  RefusalList,
  Reloaded,
  ServerStatus,
  WorkerList,
} from '../shared/admin.js';
import type { Query } from './state.js';

export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  /** A token is needed, or another one. `refused`: one was sent. */
  | { readonly ok: false; readonly kind: 'locked'; readonly refused: boolean }
  /** The server has answered and said no. */
  | {
      readonly ok: false;
      readonly kind: 'refused';
      readonly status: number;
      readonly why: string;
      readonly errors: readonly string[];
    }
  /** No answer, or none that can be read. */
  | { readonly ok: false; readonly kind: 'lost'; readonly why: string };

/** How many connections are asked for: as many rows as a browser moves at ease, and a person reads at most. */
export const CONNECTIONS_SHOWN = 1_000;
/** The server answers within a second even when a worker is silent. */
const TIMEOUT_MS = 5_000;
const TOKEN = 'sallyport.token';

/** What `fetch` gives of an answer. Its body is the word of a server of the same version: the types are taken on trust here, once. */
type Fetch = (path: string, init: RequestInit) => Promise<Response>;

export class Api {
  readonly #fetch: Fetch;
  readonly #store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

  constructor(fetch: Fetch, store: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>) {
    this.#fetch = fetch;
    this.#store = store;
  }

  /** Sent with every question from here on; '' forgets it. */
  setToken(token: string): void {
    if (token === '') this.#store.removeItem(TOKEN);
    else this.#store.setItem(TOKEN, token);
  }

  status(): Promise<Answer<ServerStatus>> {
    return this.#ask('GET', 'status');
  }

  history(): Promise<Answer<History>> {
    return this.#ask('GET', 'history');
  }

  workers(): Promise<Answer<WorkerList>> {
    return this.#ask('GET', 'workers');
  }

  forwards(): Promise<Answer<ForwardList>> {
    return this.#ask('GET', 'forwards');
  }

  refusals(): Promise<Answer<RefusalList>> {
    return this.#ask('GET', 'refusals');
  }

  connections({ search, user }: Query): Promise<Answer<ConnectionList>> {
    const query = new URLSearchParams({ limit: String(CONNECTIONS_SHOWN) });
    if (search !== '') query.set('search', search);
    if (user !== undefined) query.set('user', user);
    return this.#ask('GET', `connections?${query}`);
  }

  /** Ends a connection with all that runs through it. A 404 means that it had ended before. */
  end(id: number): Promise<Answer<undefined>> {
    return this.#ask('DELETE', `connections/${id}`);
  }

  drain(): Promise<Answer<DrainBegun>> {
    return this.#ask('POST', 'drain');
  }

  reload(): Promise<Answer<Reloaded>> {
    return this.#ask('POST', 'reload');
  }

  async #ask<T>(method: string, path: string): Promise<Answer<T>> {
    const token = this.#store.getItem(TOKEN);
    const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
    try {
      const signal = method === 'GET' ? AbortSignal.timeout(TIMEOUT_MS) : AbortSignal.timeout(6 * TIMEOUT_MS);
      const response = await this.#fetch(`/api/v1/${path}`, { method, headers, signal, credentials: 'omit' });
      if (response.status === 401) return { ok: false, kind: 'locked', refused: token !== null };
      if (response.status === 204) return { ok: true, value: undefined as T };
      const body: unknown = await response.json();
      return response.ok ? { ok: true, value: body as T } : refused(response.status, body);
    } catch (error) {
      return { ok: false, kind: 'lost', why: lostWords(error) };
    }
  }
}

function refused<T>(status: number, body: unknown): Answer<T> {
  if (!isAdminError(body))
    return { ok: false, kind: 'lost', why: `it answered ${status}, with no reason that can be read` };
  const { message, errors = [] } = body.error;
  return { ok: false, kind: 'refused', status, why: message, errors };
}

function isAdminError(body: unknown): body is AdminError {
  if (typeof body !== 'object' || body === null || !('error' in body)) return false;
  const { error } = body;
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string';
}

function lostWords(error: unknown): string {
  if (error instanceof DOMException && error.name === 'TimeoutError') return 'it took too long';
  // fetch says "Failed to fetch" or the like, in every browser something else.
  return error instanceof SyntaxError ? 'its answer cannot be read' : 'it cannot be reached';
}
