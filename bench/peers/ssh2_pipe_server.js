/** SSH2 PIPE SERVER: the tunnel server that one writes first in Node: ssh2's Server, and
 *  `socket.pipe(channel).pipe(socket)`. Usage: ssh2_pipe_server.js PORT HOST_KEY_FILE AUTHORIZED_KEYS_FILE. Says
 *  READY when it listens. */
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import ssh2 from 'ssh2';

const [port, hostKeyFile, authorizedKeysFile] = process.argv.slice(2);
const allowed = ssh2.utils.parseKey(readFileSync(authorizedKeysFile));

function join(socket, channel) {
  socket.on('error', () => channel.destroy());
  channel.on('error', () => socket.destroy());
  socket.pipe(channel).pipe(socket);
}

const server = new ssh2.Server({ hostKeys: [readFileSync(hostKeyFile)] }, (client) => {
  const listeners = new Map();
  client.on('error', () => {});
  client.on('authentication', (attempt) => {
    const { method, key, signature, blob, hashAlgo } = attempt;
    const known = method === 'publickey' && key.data.equals(allowed.getPublicSSH());
    // Without a signature the client asks whether this key would do.
    if (known && (signature === undefined || allowed.verify(blob, signature, hashAlgo) === true)) attempt.accept();
    else attempt.reject(['publickey']);
  });
  client.on('tcpip', (accept, reject, { destIP, destPort }) => {
    const socket = connect({ host: destIP, port: destPort, noDelay: true, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      join(socket, accept());
    });
  });
  client.on('request', (accept, reject, name, { bindAddr, bindPort }) => {
    const key = `${bindAddr}:${bindPort}`;
    if (name === 'cancel-tcpip-forward' && listeners.has(key)) {
      listeners.get(key).close();
      listeners.delete(key);
      return accept();
    }
    if (name !== 'tcpip-forward') return reject?.();
    const listener = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      const { remoteAddress, remotePort } = socket;
      client.forwardOut(bindAddr, listener.address().port, remoteAddress, remotePort, (error, channel) => {
        if (error) socket.destroy();
        else join(socket, channel);
      });
    });
    listener.once('error', () => reject?.());
    listener.listen(bindPort, bindAddr, () => {
      listeners.set(`${bindAddr}:${listener.address().port}`, listener);
      accept?.(listener.address().port);
    });
  });
  client.on('close', () => {
    for (const listener of listeners.values()) listener.close();
  });
});
// A client that breaks the handshake off (a port scan, a probe) is no reason to end.
server.on('error', () => {});
server.listen(Number(port), '127.0.0.1', () => console.log('READY'));
