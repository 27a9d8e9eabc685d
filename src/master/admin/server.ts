/** SERVER of the admin API: HTTP from a socket to a route and back.
 *  Owns the HTTP server and its bounds: connections, the requests of one that are under way, the size of a head, the time that a request may take to come and an answer to
 *  be read. Nothing that goes wrong in here reaches the SSH server: a fault is an answer, and a line of the log. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { reasonOf } from '../../shared/errors.js';
import { safeText } from '../../shared/log.js';
import { type Answer, refuse, write } from './answer.js';
import { denialOf, type Guard } from './gate.js';
import type { Page } from './page.js';
import { find, type Route } from './routes.js';

export interface AdminServerOptions {
  readonly routes: readonly Route[];
  readonly page: Page;
  guard(): Guard;
  trouble(text: string): void;
  /** A request was refused that had a token with it. */
  wrongToken(): void;
}

/** A page, a Prometheus, some terminals; each holds a few. Beyond it connections are closed. */
export const MAX_CONNECTIONS = 64;
/** Requests of one connection that wait for their answers. No client that we know sends one before it has the last answer; a thousand
 *  fit into what Node reads at once, and would be answered in one turn of the loop that lets SSH clients in. */
export const MAX_PIPELINED = 4;
const MAX_HEAD_BYTES = 8 * 1024;
/** No request has anything to say in its body; what a client sends all the same is passed over up to here. */
const MAX_BODY_BYTES = 64 * 1024;
const HEAD_MS = 10_000;
const REQUEST_MS = 15_000;
const CHECK_MS = 1_000;
const KEEP_ALIVE_MS = 5_000;
/** A socket on which nothing moves; a stream is given a line more often. */
const STILL_MS = 60_000;
/** For answers that are on their way when the server is closed. */
const LAST_MS = 500;

export function adminServer(options: AdminServerOptions): Server {
  const underWay = new WeakMap<Socket, number>();
  const begins = (socket: Socket, response: ServerResponse): boolean => {
    const count = (underWay.get(socket) ?? 0) + 1;
    if (count > MAX_PIPELINED) return false;
    underWay.set(socket, count);
    response.on('close', () => underWay.set(socket, (underWay.get(socket) ?? 1) - 1));
    return true;
  };
  const server = createServer(
    {
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: HEAD_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
    },
    (request, response) => {
      const { socket } = request;
      if (socket.destroyed) return; // the rest of what was read with one request too many
      if (begins(socket, response)) void respond(options, request, response);
      else socket.destroy();
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.timeout = STILL_MS;
  return server;
}

/** Takes nobody new and ends what is idle; what is being answered has half a second. */
export async function closeAdminServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), LAST_MS);
  await closed;
  clearTimeout(timer);
}

/** Never rejects. */
async function respond(options: AdminServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.on('error', ignore);
  response.on('error', ignore);
  try {
    write(await answerTo(options, request, response), response);
  } catch (thrown) {
    options.trouble(`admin API: ${request.method} ${safeText(request.url ?? '')}: ${reasonOf(thrown)}`);
    if (response.headersSent) response.destroy();
    else write(refuse('INTERNAL_ERROR', 'a fault of the server; its log says more'), response);
  }
}

async function answerTo(
  { routes, page, guard, wrongToken }: AdminServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const { method = '', url = '', headers } = request;
  if (!isSmall(headers)) {
    response.setHeader('Connection', 'close');
    return refuse('TOO_LARGE', `a request has a body of at most ${MAX_BODY_BYTES} bytes, of a length that it says`);
  }
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
  const isRead = method === 'GET' || method === 'HEAD';
  const file = isRead ? page.get(path) : undefined;
  const match = find(routes, method, path);
  const isOpen = file !== undefined || (match.kind === 'route' && match.route.isOpen === true);
  const denial = denialOf(guard(), headers, { isOpen, isChange: !isRead });
  if (denial?.code === 'UNAUTHORIZED') {
    if (headers.authorization !== undefined) wrongToken(); // the page asks without one first
    return refuse(denial.code, denial.message, { 'WWW-Authenticate': 'Bearer realm="sallyport"' });
  }
  if (denial !== null) return refuse(denial.code, denial.message);
  if (file !== undefined) return file;
  switch (match.kind) {
    case 'route':
      return await match.route.handle({ id: match.id, query });
    case 'method':
      return refuse('METHOD_NOT_ALLOWED', `allowed: ${match.allow.join(', ')}`, { Allow: match.allow.join(', ') });
    case 'nothing':
      return refuse('NOT_FOUND', 'there is nothing of this name');
  }
}

function isSmall(headers: IncomingMessage['headers']): boolean {
  const length = headers['content-length'] ?? '0';
  return headers['transfer-encoding'] === undefined && Number(length) <= MAX_BODY_BYTES;
}

function ignore(): void {}
