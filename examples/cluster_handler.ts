/** CLUSTER HANDLER: the server that each worker of cluster.ts runs: its default export makes it a handler. The command
 *  line takes it as well, with a config file or without:
 *      node build/src/cli/main.js serve --listen 127.0.0.1:2222 --handler build/examples/cluster_handler.js */
import { TunnelServer } from 'sallyport';

export default class extends TunnelServer {
  override checkAuthPublicKey(): boolean {
    return true;
  }
}
