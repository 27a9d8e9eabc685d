/** SERVING: a server's hooks put to work: an endpoint that asks them, in whatever process.
 *  Owns nothing. */
import { formatHostPort } from '../shared/address.js';
import { TunnelError } from '../shared/errors.js';
import { isEnabled } from '../shared/event_level.js';
import type { StartMessage } from '../shared/ipc.js';
import type { LogLevel } from '../shared/log.js';
import type { LoginStep } from '../worker/auth/hooks.js';
import { Endpoint } from '../worker/endpoint.js';
import { type Primary, type WorkerServer, withEvents } from '../worker/primary_link.js';
import { mlKemFor } from '../worker/transport/ml_kem.js';
import { ciphersReady } from '../worker/transport/ssh2.js';
import { hookMistakes, unheardKeys } from './hook_names.js';
import { HEARING, SERVED, type Served } from './served.js';

/** @param written the config as it was written; default: what the start message has for the handler's constructor
 *  @throws TunnelError HANDLER_INVALID (a hook is no method, or a key of the config is for none of them), SSH2_INCOMPATIBLE, HOST_KEY_INVALID, and what the server's own set-up throws */
export async function serve(
  server: Served,
  start: StartMessage,
  primary: Primary,
  written: object = start.handler?.options ?? {},
): Promise<WorkerServer> {
  const { config, hostKeys, ownListeners } = start;
  const { hooksDecide } = server[SERVED];
  const { errors, warnings } = hookMistakes(server);
  const mistakes = [...errors, ...unheardKeys(hooksDecide, config)];
  if (mistakes.length > 0) throw new TunnelError('HANDLER_INVALID', mistakes.join('; '));
  // Once, and not by every worker.
  if (start.workerId === 1) for (const text of warnings) process.emitWarning(text, 'SallyportWarning');
  await ciphersReady();
  const mlKem = await mlKemFor(config.algorithms.kex);
  server[SERVED].serves(primary);
  server[SERVED].configure(config, ownListeners, written);
  const hint = (step: LoginStep): string | null => server[SERVED].hint(step);
  const endpoint = new Endpoint({ hooks: server, config, hostKeys, ownListeners, primary, mlKem, hint });
  return {
    nativeBinding: endpoint.nativeBinding,
    accept: (connection) => endpoint.accept(connection),
    close: (id, reason) => endpoint.close(id, reason),
    probe: (id, timeoutMs) => endpoint.probe(id, timeoutMs),
    drain: (deadlineMs) => endpoint.drain(deadlineMs),
    retire: () => endpoint.retire(),
    reload: (next) => {
      for (const text of unheardKeys(hooksDecide, next.config)) process.emitWarning(text, 'SallyportWarning');
      endpoint.reload(next, server[SERVED].configure(next.config, next.ownListeners, next.written));
    },
    look: () => endpoint.look(),
    load: () => endpoint.load(),
    survey: (query) => endpoint.survey(query),
    counts() {
      const { waiting, running } = server[SERVED].pool();
      return endpoint.counts({ waiting, running });
    },
  };
}

/** The same in a process of its own, where the server's listeners hear of this worker's connections. (In a single process
 *  they hear the primary, which knows more: peers that it turned away.) */
export async function serveAndTell(server: Served, start: StartMessage, primary: Primary): Promise<WorkerServer> {
  let level = start.eventLevel;
  const endpoint = await serve(
    server,
    start,
    tellBoth(server, () => level, primary),
  );
  return {
    ...endpoint,
    accept(connection) {
      const accepted = endpoint.accept(connection);
      const { id: conn, peer } = connection;
      const text = formatHostPort(peer.address, peer.port);
      if (accepted) server[HEARING].event({ event: 'connection.accepted', conn, peer: text, worker: start.workerId });
      return accepted;
    },
    async drain(deadlineMs) {
      await endpoint.drain(deadlineMs);
      server[HEARING].ended();
    },
    async retire() {
      await endpoint.retire();
      server[HEARING].ended();
    },
    reload(message) {
      level = message.eventLevel;
      endpoint.reload(message);
    },
  };
}

/** Events go to the server's listeners, all of them, and to the primary where it tells them on. */
export function tellBoth(server: Pick<Served, typeof HEARING>, level: () => LogLevel, primary: Primary): Primary {
  return withEvents(primary, (event) => {
    if (isEnabled(event, level())) primary.event(event);
    server[HEARING].event(event);
  });
}
