/** API: the admin API as `top` asks it. Owns nothing. */
import { API } from '../../shared/admin.js';
import { askAdmin } from '../admin_client.js';
import type { AdminPlace } from '../admin_place.js';
import type { AdminApi } from './asker.js';
import { StrangeAnswer } from './look.js';

export function apiAt(place: AdminPlace): AdminApi {
  return {
    async get(path) {
      const { status, body } = await answer(place, 'GET', path);
      if (status !== 200) throw new Error(messageOf(status, body));
      if (body === undefined) throw new StrangeAnswer('what answers there is no admin API of Sallyport');
      return body;
    },
    async end(id) {
      const { status, body } = await answer(place, 'DELETE', `${API}/connections/${id}`);
      if (status !== 204 && status !== 404) throw new Error(messageOf(status, body));
      return status === 204;
    },
  };
}

async function answer(place: AdminPlace, method: string, path: string): Promise<{ status: number; body: unknown }> {
  const outcome = await askAdmin(place, method, path);
  if (outcome.kind === 'silence') throw new Error(outcome.why);
  return outcome;
}

function messageOf(status: number, body: unknown): string {
  const error: unknown = Reflect.get(Object(body), 'error');
  const message: unknown = Reflect.get(Object(error), 'message');
  return typeof message === 'string' ? message : `the server answered ${status}`;
}
