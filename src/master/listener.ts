/** LISTENER: takes TCP connections and passes each on, untouched.
 *  Owns the listening sockets. Never reads a byte, since what is read here no worker could read again, and never dies of a
 *  failed accept. IPv6 listeners are IPv6 only, so that `0.0.0.0` and `[::]` can stand side by side, as with sshd. */
import net from 'node:net';
import { formatHostPort, normalisePeerAddress, parseHostPort } from '../shared/address.js';
import { errnoOf, reasonOf, TunnelError } from '../shared/errors.js';
import { acceptHandles, closeHandle, peerOfHandle, type TcpHandle } from '../shared/handles.js';
import type { Peer } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import type { Clock } from './clock.js';
import type { EntryPoint } from './proxies.js';

/** A socket with no byte read, and no number yet. */
export interface Untouched {
  readonly handle: TcpHandle;
  readonly peer: Peer;
  readonly at: EntryPoint;
}

export interface ListenerEvents {
  arrived(socket: Untouched): void;
  /** In words, for the log; at most one a second for each listener. */
  trouble(text: string): void;
}

export interface ListenerOptions {
  /** `HOST:PORT` texts. */
  readonly listen: readonly string[];
  /** Inherited listening sockets (systemd); when there are any, `listen` is not used. */
  readonly fds: readonly number[];
  readonly clock: Clock;
  readonly events: ListenerEvents;
}

/** Room for a burst while all workers are busy; the kernel cuts it to net.core.somaxconn. */
const BACKLOG = 4_096;
const TROUBLE_EVERY_MS = 1_000;

/** All addresses listen, or none does.
 *  @throws TunnelError LISTEN_FAILED that says which address and what to do */
export async function openListeners(options: ListenerOptions): Promise<ServerListeners> {
  const listeners = new ServerListeners();
  try {
    for (const fd of options.fds) await listeners.open({ fd }, `file descriptor ${fd}`, options);
    if (options.fds.length === 0) for (const text of options.listen) await openOne(listeners, text, options);
    if (listeners.addresses.length === 0) throw new TunnelError('LISTEN_FAILED', 'there is no address to listen on');
    return listeners;
  } catch (error) {
    await listeners.close();
    throw error;
  }
}

async function openOne(listeners: ServerListeners, text: string, options: ListenerOptions): Promise<void> {
  const address = parseHostPort(text);
  if (address === null) throw new TunnelError('LISTEN_FAILED', `"${text}" is no HOST:PORT to listen on`);
  const { host, port } = address;
  const ipv6 = net.isIPv6(host);
  try {
    await listeners.open({ host, port, ipv6Only: ipv6, backlog: BACKLOG }, text, options);
  } catch (error) {
    // `[::]` is in the default config; a machine without IPv6 serves without it.
    if (host !== '::' || !(error instanceof TunnelError) || !NO_IPV6.has(errnoOf(error.cause) ?? '')) throw error;
    options.events.trouble(`${text}: this machine has no IPv6, going on without`);
  }
}

const NO_IPV6: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

/** Listeners that another config wants: the new ones are open, the old ones still. */
export interface ListenerChange {
  readonly addresses: readonly ListenerAddress[];
  /** Closes those that are not wanted any more. */
  keep(): void;
  /** Closes the new ones: all is as it was. */
  drop(): Promise<void>;
}

/** Opens what `options.listen` has and `current` has not: all of it, or nothing. Inherited sockets stay what they are.
 *  @throws TunnelError LISTEN_FAILED; then all is as it was */
export async function changeListeners(current: ServerListeners, options: ListenerOptions): Promise<ListenerChange> {
  const wanted = options.fds.length > 0 ? current.names : options.listen;
  const missing = wanted.filter((name) => !current.names.includes(name));
  const opened = new ServerListeners();
  try {
    for (const text of missing) await openOne(opened, text, options);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return {
    addresses: [...current.addressesOf(wanted), ...opened.addresses],
    keep: () => current.change(wanted, opened),
    drop: () => opened.close(),
  };
}

interface OpenListener {
  /** The text that asked for it; two may have the same, with port 0. */
  readonly name: string;
  readonly server: net.Server;
  readonly address: ListenerAddress;
  /** A listening socket of another process's, on which we do not accept yet. */
  readonly held?: TcpHandle;
}

/** A listening socket that came from the server before this one. */
export interface TakenListener {
  readonly name: string;
  readonly address: ListenerAddress;
  readonly handle: TcpHandle;
}

/** Listeners that are held until `accept`: the process that they come from accepts on them. */
export function holdListeners(taken: readonly TakenListener[]): ServerListeners {
  const listeners = new ServerListeners();
  for (const { name, address, handle } of taken) listeners.hold(handle, name, address);
  return listeners;
}

/** The sockets on which the server itself listens. */
export class ServerListeners {
  #open: readonly OpenListener[] = [];
  #closing: Promise<unknown> | undefined;

  get names(): readonly string[] {
    return this.#open.map(({ name }) => name);
  }
  /** With the ports that port 0 became. */
  get addresses(): readonly ListenerAddress[] {
    return this.addressesOf(this.names);
  }
  addressesOf(names: readonly string[]): readonly ListenerAddress[] {
    return this.#open.filter(({ name }) => names.includes(name)).map(({ address }) => address);
  }
  /** For who is to take them. */
  get all(): readonly Omit<OpenListener, 'held'>[] {
    return this.#open;
  }

  /** Closes those that are not among `names`, and takes over all that `others` has. */
  change(names: readonly string[], others: ServerListeners): void {
    for (const listener of this.#open) if (!names.includes(listener.name)) void closed(listener);
    this.#open = [...this.#open.filter(({ name }) => names.includes(name)), ...others.#open];
  }

  /** No new connections from the call on; resolves when the ports are free, or another process's alone. */
  async close(): Promise<void> {
    this.#closing ??= Promise.all(this.#open.map(closed));
    await this.#closing;
  }

  async open(
    where: net.ListenOptions & { readonly fd?: number },
    name: string,
    options: ListenerOptions,
  ): Promise<void> {
    const server = net.createServer();
    await listening(server, (done) => server.listen(where, done), name);
    const address = server.address();
    if (address === null || typeof address === 'string') {
      server.close();
      throw new TunnelError('LISTEN_FAILED', `${name} is no TCP socket`);
    }
    const at: ListenerAddress = { kind: 'tcp', address: address.address, port: address.port };
    serve(server, { name, ...at }, options);
    this.#open = [...this.#open, { name, server, address: at }];
  }

  hold(handle: TcpHandle, name: string, address: ListenerAddress): void {
    this.#open = [...this.#open, { name, server: net.createServer(), address, held: handle }];
  }

  /** Accepts on what was held. */
  async accept(options: ListenerOptions): Promise<void> {
    for (const listener of this.#open) {
      const { server, name, held, address } = listener;
      if (held === undefined || this.#closing !== undefined) continue;
      await listening(server, (done) => server.listen(held, BACKLOG, done), name);
      const at = address.kind === 'tcp' ? address : { address: '', port: 0 };
      serve(server, { name, ...at }, options);
    }
    this.#open = this.#open.map(({ name, server, address }) => ({ name, server, address }));
  }
}

function closed({ server, held }: OpenListener): Promise<void> {
  if (held !== undefined) closeHandle(held);
  return new Promise((resolve) => server.close(() => resolve()));
}

function listening(server: net.Server, listen: (done: () => void) => void, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void => {
      reject(new TunnelError('LISTEN_FAILED', explain(name, cause), { cause }));
    };
    server.once('error', failed);
    listen(() => {
      server.off('error', failed);
      resolve();
    });
  });
}

function explain(name: string, cause: Error): string {
  switch (errnoOf(cause)) {
    case 'EADDRINUSE':
      return `${name} is taken: a program listens there already; stop it or choose another port`;
    case 'EACCES':
      return `${name} is not allowed: ports below 1024 need a privilege (CAP_NET_BIND_SERVICE or socket activation)`;
    case 'EADDRNOTAVAIL':
      return `${name} is no address of this machine`;
    case 'ENOTFOUND':
      return `${name}: no such host`;
    default:
      return `${name}: cannot listen (${reasonOf(cause)})`;
  }
}

function serve(server: net.Server, at: EntryPoint, options: ListenerOptions): void {
  const { clock, events } = options;
  const { name } = at;
  let quietUntilMs = 0;
  let unsaid = 0;
  // A failed accept is an 'error' on the server, which without a listener would end this process.
  server.on('error', (error) => {
    if (clock.nowMs() < quietUntilMs) {
      unsaid++;
      return;
    }
    quietUntilMs = clock.nowMs() + TROUBLE_EVERY_MS;
    events.trouble(`${name}: accept failed (${reasonOf(error)})${unsaid > 0 ? `, ${unsaid} times more before` : ''}`);
    unsaid = 0;
  });
  acceptHandles(server, (handle) => {
    const peer = peerOf(handle);
    // Without a peer it was reset before we looked: nobody to serve.
    if (peer === undefined) handle.close();
    else events.arrived({ handle, peer, at });
  });
}

function peerOf(handle: TcpHandle): Peer | undefined {
  const peer = peerOfHandle(handle);
  return peer === undefined ? undefined : { address: normalisePeerAddress(peer.address), port: peer.port };
}

/** `host:port` as events write a peer. */
export function peerText(peer: Peer): string {
  return formatHostPort(peer.address, peer.port);
}
