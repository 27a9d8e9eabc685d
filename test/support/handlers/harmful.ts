/** HARMFUL: a server that harms what goes through its tunnels, both ways, as the user's name says: `change` and `lose` one
 *  byte of it, or `swallow`, where no tunnel comes out at its destination. */
import { connect } from 'node:net';
import { Duplex, PassThrough, Transform } from 'node:stream';
import { type Destination, type DirectAnswer, type Identity, type Origin, TunnelServer } from '../../../src/index.js';

/** Far enough behind the first bytes, by which the far end knows what a tunnel is for. */
const HARMED_BYTE = 40;

export default class Harmful extends TunnelServer {
  override checkAuthPassword(_username: string, password: string): boolean {
    return password === 'foo';
  }
  override checkDirect(_origin: Origin, destination: Destination, { user }: Identity): DirectAnswer {
    if (user === 'swallow') return new PassThrough().end();
    if (destination.kind !== 'tcp' || user === 'honest') return true;
    const socket = connect({ host: destination.host, port: destination.port, allowHalfOpen: true });
    const writable = harmer(user);
    // The client gives up at the first wrong byte, and the target with it.
    socket.on('error', () => writable.destroy());
    writable.on('error', () => socket.destroy()).pipe(socket);
    return Duplex.from({ writable, readable: socket.pipe(harmer(user)) });
  }
}

function harmer(way: string): Transform {
  let at = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const index = HARMED_BYTE - at;
      at += chunk.length;
      if (index < 0 || index >= chunk.length) return done(null, chunk);
      const harmed = Buffer.from(chunk);
      harmed.writeUInt8(harmed.readUInt8(index) ^ 1, index);
      done(null, way === 'lose' ? Buffer.concat([chunk.subarray(0, index), chunk.subarray(index + 1)]) : harmed);
    },
  });
}
