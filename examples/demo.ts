/** DEMO: the whole library in 10 lines: the password `foo` lets anybody in, and so does any key at all.
 *      npm run build && node build/examples/demo.js
 *      ssh -p 2222 -N -L 8080:localhost:80 anybody@127.0.0.1      # http://localhost:8080 is port 80 of the server
 *  Whoever is in may reach all that this machine reaches: keep it on 127.0.0.1. */
import { TunnelServer } from 'sallyport';

class Demo extends TunnelServer {
  override checkAuthPassword(_username: string, password: string): boolean {
    return password === 'foo';
  }
  override checkAuthPublicKey(): boolean {
    return true;
  }
}

await new Demo({ listen: [`127.0.0.1:${process.argv[2] ?? 2222}`] }).listen();
