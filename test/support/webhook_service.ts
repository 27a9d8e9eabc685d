/** WEBHOOK SERVICE: a login service by HTTP, as an operator would write one, or as none should be.
 *  Owns the server and its connections until the test ends. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { mustRun } from './process.js';
import type { Owner } from './raw_client.js';
import { tempDir } from './temp.js';

/** A question, as it came. */
export interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** What becomes of a question: the JSON of an answer, or whatever it does to the response itself. */
export type Service = (
  asked: Asked,
  response: ServerResponse,
  request: IncomingMessage,
) => object | undefined | Promise<object | undefined>;

export interface WebhookService {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[];
  /** TCP connections, or those of the socket, that were ever made. */
  readonly connections: () => number;
  readonly open: ReadonlySet<Socket>;
  /** Another answer from now on. */
  answer: Service;
}

export interface ServiceOptions {
  /** A socket to listen on, in place of a port. */
  readonly socketPath?: string;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export async function startWebhook(t: Owner, answer: Service, options: ServiceOptions = {}): Promise<WebhookService> {
  let connections = 0;
  const open = new Set<Socket>();
  const asked: Asked[] = [];
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    void take(request, response).catch((error: unknown) => {
      if (!response.destroyed) response.destroy(error instanceof Error ? error : undefined);
    });
  };
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const { method, url, headers } = request;
    const question: Asked = { method, url, headers, body: JSON.parse(Buffer.concat(chunks).toString()) };
    asked.push(question);
    const json = await service.answer(question, response, request);
    if (json === undefined) return;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  };
  const server = options.tls === undefined ? createServer(onRequest) : createTlsServer(options.tls, onRequest);
  server.keepAliveTimeout = 0; // an idle connection stays until its client closes it
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  if (options.socketPath === undefined) server.listen(0, '127.0.0.1');
  else server.listen(options.socketPath);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port = 0 } = options.socketPath === undefined ? (server.address() as AddressInfo) : {};
  const url =
    options.socketPath === undefined
      ? `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/auth`
      : `unix:${options.socketPath}:/auth`;
  const service: WebhookService = { url, port, asked, connections: () => connections, open, answer };
  return service;
}

/** Bytes in place of an HTTP answer of Node's making; the connection stays open. */
export function raw(response: ServerResponse, text: string): undefined {
  response.socket?.write(text);
  return undefined;
}

/** A certificate for 127.0.0.1 that vouches for itself, with the file that it stands in. */
export async function selfSigned(
  t: Test,
): Promise<{ readonly tls: { key: string; cert: string }; readonly file: string }> {
  const [key, file] = [join(tempDir(t), 'key.pem'), join(tempDir(t), 'cert.pem')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await mustRun(t, 'openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', file]);
  return { tls: { key: readFileSync(key, 'utf8'), cert: readFileSync(file, 'utf8') }, file };
}
