/** FAKE ADMIN: an admin server that answers as the agreement says (src/shared/admin.ts), out of a world that the test changes as
 *  it likes. Owns one HTTP server on loopback. It takes nothing that the agreement does not have: an unknown parameter or
 *  method is a 400, so that a page which asks for what no server has fails here. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import {
  ADMIN_ERRORS,
  type AdminErrorCode,
  API,
  CONNECTIONS_LIMIT,
  type ConnectionView,
  type ForwardView,
  type LoggedEvent,
  type Sample,
  type ServerStatus,
  type WorkerView,
} from '../../src/shared/admin.js';
import { DASHBOARD_FILES, DASHBOARD_HEADERS } from '../../src/shared/dashboard_files.js';
import { projectRoot } from './paths.js';

/** What the server would know. The test writes it; every answer reads it anew. */
export interface World {
  status: ServerStatus;
  connections: readonly ConnectionView[];
  forwards: readonly ForwardView[];
  workers: readonly WorkerView[];
  samples: readonly Sample[];
  refusals: readonly LoggedEvent[];
  silentWorkers?: readonly number[];
  /** Needed in every request where there is one. */
  token?: string;
  /** What a reload says: keys that changed, mistakes, or nothing that can be read. */
  reload?: { readonly changed: readonly string[] } | { readonly errors: readonly string[] } | { readonly lost: true };
}

class Refused extends Error {
  readonly code: AdminErrorCode;
  readonly errors: readonly string[];

  constructor(code: AdminErrorCode, message: string, errors: readonly string[] = []) {
    super(message);
    this.code = code;
    this.errors = errors;
  }
}

interface Reply {
  readonly status: number;
  readonly body?: unknown;
}

export class FakeAdmin {
  readonly world: World;
  /** `GET /api/v1/status` and so on, in their order. */
  readonly requests: string[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(world: World) {
    this.world = world;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** At the port that it had before, if it had one. */
  async listen(): Promise<void> {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = addressOf(this.#server).port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const file = DASHBOARD_FILES.find(({ path }) => path === url.pathname);
    if (file !== undefined) {
      const body = readFileSync(join(projectRoot, 'build/src/dashboard', file.file));
      response.writeHead(200, { ...DASHBOARD_HEADERS, 'Content-Type': file.type }).end(body);
      return;
    }
    const { status, body } = this.#reply(request, url);
    const text = body === undefined ? '' : JSON.stringify(body);
    response.writeHead(status, status === 204 ? {} : { 'Content-Type': 'application/json' }).end(text);
  }

  #reply(request: IncomingMessage, url: URL): Reply {
    this.requests.push(`${request.method} ${url.pathname}${url.search}`);
    try {
      if (request.headers.cookie !== undefined) throw new Refused('BAD_REQUEST', 'a cookie');
      const { token } = this.world;
      if (token !== undefined && request.headers.authorization !== `Bearer ${token}`)
        throw new Refused('UNAUTHORIZED', 'the token of admin.tokenFile is needed');
      return this.#route(request.method ?? '', url);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const { code, message, errors } = error;
      return {
        status: ADMIN_ERRORS[code],
        body: { error: { code, message, ...(errors.length > 0 ? { errors } : {}) } },
      };
    }
  }

  #route(method: string, url: URL): Reply {
    const { world } = this;
    const silentWorkers = world.silentWorkers ?? [];
    const route = `${method} ${url.pathname.slice(API.length + 1)}`;
    if (route !== 'GET connections' && url.search !== '')
      throw new Refused('BAD_REQUEST', `no parameter ${url.search}`);
    switch (route) {
      case 'GET status':
        return ok(world.status);
      case 'GET connections':
        return ok({ ...this.#connections(url.searchParams), silentWorkers });
      case 'GET forwards':
        return ok({ total: world.forwards.length, forwards: world.forwards, silentWorkers });
      case 'GET workers':
        return ok({ workers: world.workers });
      case 'GET history':
        return ok({ everyMs: 1_000, samples: world.samples });
      case 'GET refusals':
        return ok({ refusals: world.refusals });
      case 'POST drain':
        world.status = { ...world.status, state: 'draining' };
        return { status: 202, body: { connections: world.status.connections } };
      case 'POST reload':
        return this.#reload();
      default:
        return this.#end(route);
    }
  }

  #connections(query: URLSearchParams) {
    for (const [name] of query) if (!['user', 'search', 'limit'].includes(name)) throw new Refused('BAD_REQUEST', name);
    const limit = Number(query.get('limit') ?? CONNECTIONS_LIMIT.default);
    if (!(limit >= 1 && limit <= CONNECTIONS_LIMIT.max)) throw new Refused('BAD_REQUEST', 'limit');
    const user = query.get('user');
    const search = query.get('search')?.toLowerCase() ?? '';
    const found = this.world.connections.filter(
      (each) =>
        (user === null || each.user === user) && searched(each).some((text) => text.toLowerCase().includes(search)),
    );
    return { total: found.length, connections: found.slice(0, limit) };
  }

  #reload(): Reply {
    const reload = this.world.reload ?? { changed: [] };
    if ('errors' in reload) throw new Refused('CONFLICT', 'the config has mistakes', reload.errors);
    return 'lost' in reload ? { status: 502 } : ok(reload);
  }

  #end(route: string): Reply {
    const id = /^DELETE connections\/(\d+)$/.exec(route)?.[1];
    if (id === undefined) throw new Refused('NOT_FOUND', route);
    const { world } = this;
    const left = world.connections.filter((each) => each.id !== Number(id));
    if (left.length === world.connections.length) throw new Refused('NOT_FOUND', `no connection ${id}`);
    world.connections = left;
    world.status = { ...world.status, connections: left.length };
    return { status: 204 };
  }
}

/** Listening, and closed with the test. */
export async function fakeAdmin(t: Test, world: World): Promise<FakeAdmin> {
  const admin = new FakeAdmin(world);
  await admin.listen();
  t.teardown(() => admin.close());
  return admin;
}

function searched({ user = '', peer, channels }: ConnectionView): string[] {
  return [user, peer, ...channels.map(({ destination }) => destination)];
}

function ok(body: unknown): Reply {
  return { status: 200, body };
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address;
}
