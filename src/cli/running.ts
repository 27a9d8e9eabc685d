/** RUNNING: does a server of this config run already, and is an address that is taken one of its own?
 *  Owns nothing. Asks its admin API, and changes nothing. */

import { formatHostPort } from '../shared/address.js';
import { API } from '../shared/admin.js';
import { adminListenOf } from '../shared/admin_listen.js';
import type { Config } from '../shared/config.js';
import { isServerStatus } from './admin_answers.js';
import { askAdmin } from './admin_client.js';

/** It answers within milliseconds, or it is in trouble, and nobody is to wait for what it would say. */
const PATIENCE_MS = 2_000;

export interface Owner {
  readonly pid: number;
  readonly address: string;
}

/** @param cause of a failed listen
 *  @returns the process that serves by this stateDir and has the address; null: somebody else, or that cannot be known */
export async function ownerOf({ admin, stateDir }: Config, cause: unknown): Promise<Owner | null> {
  const address = addressIn(cause);
  if (address === null || !admin.enabled) return null;
  const place = { listen: adminListenOf(admin.listen, stateDir), token: admin.tokenFile?.secret ?? null };
  const said = await askAdmin(place, 'GET', `${API}/status`, PATIENCE_MS);
  if (said.kind === 'silence' || !isServerStatus(said.body)) return null;
  return said.body.listeners.includes(address) ? { pid: said.body.pid, address } : null;
}

/** Node's errors of listen(2) name it. */
function addressIn(cause: unknown): string | null {
  if (!(cause instanceof Error)) return null;
  const [host, port]: readonly unknown[] = [Reflect.get(cause, 'address'), Reflect.get(cause, 'port')];
  return typeof host === 'string' && typeof port === 'number' ? formatHostPort(host, port) : null;
}
