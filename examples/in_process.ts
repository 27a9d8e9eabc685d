/** IN PROCESS: a tunnel that ends in this program: `app:80` is a web application that knows who is asking, with no port
 *  of its own that anybody could find. Any key gets in; nothing else can be reached.
 *      npm run build && node build/examples/in_process.js
 *      ssh -p 2222 -N -L 8080:app:80 alice@127.0.0.1              # open http://localhost:8080 */
import { createServer } from 'node:http';
import { type Destination, type DirectAnswer, type Origin, TunnelServer, tunnelOf } from 'sallyport';

const app = createServer((request, response) => {
  const identity = tunnelOf(request.socket)?.identity;
  response.end(`Hello ${identity?.user}, your key is ${identity?.fingerprint}\n`);
});

class InProcess extends TunnelServer {
  override checkAuthPublicKey(): boolean {
    return true;
  }
  override checkDirect(_origin: Origin, destination: Destination): DirectAnswer {
    return destination.kind === 'tcp' && destination.host === 'app' && destination.port === 80 ? app : false;
  }
  override checkForwardAddress(): boolean {
    return false;
  }
}

await new InProcess({ listen: [`127.0.0.1:${process.argv[2] ?? 2222}`] }).listen();
