/** SSH CLIENT: OpenSSH's `ssh -N -L`, the client that tunnels are used with. Owns the process. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Bench, RunningServer } from '../types.js';
import { Child, freePort } from './child.js';

export interface ForwardingClient {
  /** Connections to 127.0.0.1:`port` come out at the target. */
  readonly port: number;
  /** The same for `moreTargetPorts`, in their order. */
  readonly morePorts: readonly number[];
  stop(): Promise<void>;
}

export interface ForwardOptions {
  readonly targetPort: number;
  /** Further forwards of the same connection. */
  readonly moreTargetPorts?: readonly number[];
  readonly cipher?: string;
  /** Instead of the server's port: that of a relay before it. */
  readonly viaPort?: number;
}

/** Logs in and forwards a local port to the target. @throws with ssh's own words when it is refused */
export async function forwardTo(
  server: RunningServer,
  bench: Bench,
  { targetPort, moreTargetPorts = [], cipher, viaPort }: ForwardOptions,
): Promise<ForwardingClient> {
  const port = await freePort();
  const morePorts: number[] = [];
  for (const _ of moreTargetPorts) morePorts.push(await freePort());
  const args = [
    ...['-F', 'none', '-N', '-T', '-o', 'BatchMode=yes', '-o', 'ExitOnForwardFailure=yes'],
    ...['-o', 'IdentitiesOnly=yes', '-i', bench.identityFile],
    ...['-o', `UserKnownHostsFile=${bench.knownHostsFile}`, '-o', 'HostKeyAlias=bench', '-o', 'LogLevel=ERROR'],
    ...(cipher === undefined ? [] : ['-c', cipher]),
    // Run when the forwards stand. A connection to the port would tell it too, and reach the target.
    ...['-o', 'PermitLocalCommand=yes', '-o', `LocalCommand=echo ${READY}`],
    ...['-L', `127.0.0.1:${port}:127.0.0.1:${targetPort}`],
    ...morePorts.flatMap((more, i) => ['-L', `127.0.0.1:${more}:127.0.0.1:${moreTargetPorts[i]}`]),
    ...['-p', String(viaPort ?? server.port), `${server.user}@${server.host}`],
  ];
  const child = new Child('ssh', args, { env: { ...process.env, SSH_AUTH_SOCK: '' } });
  await child.says(READY);
  return { port, morePorts, stop: () => child.stop() };
}

const READY = 'forwarding-now';

/** A TCP connection into a tunnel. */
export async function open(port: number): Promise<ReturnType<typeof connect>> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}
