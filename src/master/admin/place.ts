/** PLACE: a listener of the admin API at one address, from its opening to its end.
 *  Owns the listening socket, and the file of a Unix one. */
import { realpath } from 'node:fs/promises';
import type { Server } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { adminListenText } from '../../shared/admin_listen.js';
import type { AdminListen } from '../../shared/config_keys.js';
import { reasonOf } from '../../shared/errors.js';
import type { ListenerAddress } from '../../shared/ipc.js';
import { openStateSocket, type StateSocket } from '../state_socket.js';
import { closeAdminServer } from './server.js';

export type Opening = { readonly ok: true; readonly place: OpenPlace } | { readonly ok: false; readonly why: string };

export interface OpenPlace {
  /** As tunnels would come to it. */
  readonly address: ListenerAddress;
  close(): Promise<void>;
}

/** Where tunnels must not lead, as far as it is known before anybody listens: port 0 becomes one that the kernel chooses. */
export async function addressOf(listen: AdminListen): Promise<ListenerAddress | null> {
  if (listen.kind === 'tcp')
    return listen.port === 0 ? null : { kind: 'tcp', address: listen.host, port: listen.port, role: 'admin' };
  const folder = await realpath(dirname(listen.path)).catch(() => dirname(listen.path));
  return { kind: 'unix', path: join(folder, basename(listen.path)) };
}

/** Never rejects. */
export async function openPlace(listen: AdminListen, server: Server): Promise<Opening> {
  server.on('error', ignore); // a failed accept: whoever came tries again
  return listen.kind === 'unix' ? await openUnix(listen, server) : await openTcp(listen, server);
}

async function openUnix(listen: Extract<AdminListen, { kind: 'unix' }>, server: Server): Promise<Opening> {
  const outcome = await openStateSocket(listen.path, server, { keepsOthers: true });
  switch (outcome.kind) {
    case 'open':
      return { ok: true, place: await placeAt(listen, server, outcome.socket) };
    case 'taken':
      return { ok: false, why: `${adminListenText(listen)}: another process listens there` };
    case 'failed':
      return { ok: false, why: `${adminListenText(listen)}: ${outcome.why}` };
  }
}

async function openTcp(listen: Extract<AdminListen, { kind: 'tcp' }>, server: Server): Promise<Opening> {
  const { host, port } = listen;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen({ host, port, exclusive: true }, resolve);
    });
    return { ok: true, place: await placeAt(listen, server, null) };
  } catch (error) {
    return { ok: false, why: `${adminListenText(listen)}: ${reasonOf(error)}` };
  }
}

async function placeAt(listen: AdminListen, server: Server, file: StateSocket | null): Promise<OpenPlace> {
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  const known = await addressOf(listen);
  const host = listen.kind === 'tcp' ? listen.host : '';
  return {
    address: known ?? { kind: 'tcp', address: host, port, role: 'admin' },
    async close() {
      await file?.close(); // its path first: it is another's from then on
      await closeAdminServer(server);
    },
  };
}

function ignore(): void {}
