/** ASKER: a look at the server, by its admin API. Owns no connection: whoever makes one says how a question is asked. */
import { API, type Sample } from '../../shared/admin.js';
import { type Look, readConnections, readForwards, readHistory, readStatus, readWorkers } from './look.js';
import { listOf } from './rows.js';
import type { State } from './state.js';

/** What is needed of a client of the admin API. */
export interface AdminApi {
  /** @returns the body of a good answer. Rejects with a text for the user where there is none */
  get(path: string): Promise<unknown>;
  /** @returns false where there is no such connection (any more) */
  end(id: number): Promise<boolean>;
}

/** Of one look. Ordered by rate they would all have to come, which is 20 MB of a full server; the foot says when some are missing. */
const MAX_CONNECTIONS = 5_000;
/** As the tunnels of all of them come along. */
const MAX_WITH_TUNNELS = 1_000;

/** @param nowMs of a clock that only goes forward */
export async function lookAt(
  api: AdminApi,
  { view, filter }: Pick<State, 'view' | 'filter'>,
  nowMs: () => number,
): Promise<Look> {
  const isOfForwards = listOf(view) === 'forwards';
  const query = new URLSearchParams({ limit: String(view === 'tunnels' ? MAX_WITH_TUNNELS : MAX_CONNECTIONS) });
  if (filter !== '') query.set('search', filter);
  const [status, workers, list] = await Promise.all([
    api.get(`${API}/status`),
    api.get(`${API}/workers`),
    api.get(isOfForwards ? `${API}/forwards` : `${API}/connections?${query}`),
  ]);
  return {
    atMs: nowMs(),
    status: readStatus(status),
    workers: readWorkers(workers),
    ...(isOfForwards ? { forwards: readForwards(list) } : { connections: readConnections(list) }),
  };
}

/** Nobody needs it to go on: where it is not to be had it is empty. */
export async function pastOf(api: AdminApi): Promise<readonly Sample[]> {
  try {
    return readHistory(await api.get(`${API}/history`));
  } catch {
    return [];
  }
}
