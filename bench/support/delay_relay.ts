/** DELAY RELAY: a process through which a TCP connection takes a long path. Arguments: the port behind it, and the
 *  round trip in ms, half of it each way. The TCP handshake itself is not delayed. Owns its listener. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { DelayLine } from './delay_line.js';
import { portOf, serveParent } from './helper_process.js';

const [targetPort, roundTripMs] = process.argv.slice(2).map(Number);
if (targetPort === undefined || !(roundTripMs !== undefined && roundTripMs >= 0))
  throw new Error('usage: delay_relay TARGET_PORT ROUND_TRIP_MS');

const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
  const far = connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  new DelayLine(near, far, roundTripMs / 2);
  new DelayLine(far, near, roundTripMs / 2);
});
server.listen({ port: 0, host: '127.0.0.1' });
await once(server, 'listening');
serveParent(portOf(server));
