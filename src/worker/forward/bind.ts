/** BIND: from a bind address to listening sockets of this worker alone.
 *  Owns the listeners of one forward. They are `exclusive`: a plain listen() in a cluster worker is shared between all
 *  workers, and two tenants would receive each other's connections. A bind on several addresses holds all or none. */
import { createServer, type Server, type Socket } from 'node:net';
import { errnoOf } from '../../shared/errors.js';
import type { BindHost } from '../../shared/patterns.js';

export type BindOutcome =
  | { readonly ok: true; readonly listeners: Listeners }
  | { readonly ok: false; readonly code: 'PORT_TAKEN' | 'BIND_FAILED' };

/** Called with each accepted socket: paused, nothing read. */
export type OnAccept = (socket: Socket) => void;

export class Listeners {
  readonly #servers: readonly Server[];
  readonly #onClosed: () => void;

  /** @param onClosed called when the addresses are free; it may be called again */
  constructor(servers: readonly Server[], onClosed: () => void = ignore) {
    this.#servers = servers;
    this.#onClosed = onClosed;
  }
  /** The addresses are free when this returns; accepted connections go on. */
  close(): void {
    for (const server of this.#servers) server.close();
    this.#onClosed();
  }
}

interface ListenAddress {
  readonly host: string;
  readonly ipv6Only: boolean;
}

/** The addresses to bind for a host as a client names it; null for a name, which we do not resolve to bind. */
export function listenAddresses(host: BindHost): readonly ListenAddress[] | null {
  switch (host.kind) {
    case 'all':
      return [
        { host: '0.0.0.0', ipv6Only: false },
        { host: '::', ipv6Only: true },
      ];
    case 'all4':
      return [{ host: '0.0.0.0', ipv6Only: false }];
    case 'all6':
      return [{ host: '::', ipv6Only: true }];
    case 'localhost':
      return [
        { host: '127.0.0.1', ipv6Only: false },
        { host: '::1', ipv6Only: true },
      ];
    case 'address':
      return [{ host: host.address.text, ipv6Only: true }];
    case 'name':
    case 'invalid':
      return null;
  }
}

/** Binds every address on one port. A machine without IPv6 gets the IPv4 half of a pair; any other failure frees all. */
export async function bindTcp(
  addresses: readonly ListenAddress[],
  port: number,
  onAccept: OnAccept,
): Promise<BindOutcome> {
  const servers: Server[] = [];
  let failure: unknown;
  for (const { host, ipv6Only } of addresses) {
    try {
      servers.push(await listen({ host, port, ipv6Only, exclusive: true }, onAccept));
    } catch (error) {
      const noSuchFamily = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(errnoOf(error) ?? '');
      failure = error;
      if (noSuchFamily && addresses.length > 1) continue;
      for (const server of servers) server.close();
      return bindFailed(error);
    }
  }
  return servers.length > 0 ? { ok: true, listeners: new Listeners(servers) } : bindFailed(failure);
}

/** A listener that is `exclusive`, and whose errors end nothing once it listens. */
export function listen(
  address: { host: string; port: number; ipv6Only: boolean; exclusive: true } | { path: string; exclusive: true },
  onAccept: OnAccept,
): Promise<Server> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  server.on('connection', onAccept);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      server.on('error', ignore); // accept errors (EMFILE): the connection is lost, the listener is not
      resolve(server);
    });
  });
}

export function bindFailed(error: unknown): BindOutcome {
  return { ok: false, code: errnoOf(error) === 'EADDRINUSE' ? 'PORT_TAKEN' : 'BIND_FAILED' };
}

function ignore(): void {}
