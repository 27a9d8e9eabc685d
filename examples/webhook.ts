/** WEBHOOK: an HTTP service decides who gets in and what may be opened. It is sent JSON and answers
 *  `{ "allow": true, "permitOpen": ["HOST:PORTS"] }`; any other answer, none in time, and any fault deny.
 *      node -e 'http.createServer((_, r) => r.end(`{"allow": true, "permitOpen": ["localhost:*"]}`)).listen(8000, "127.0.0.1")'
 *      npm run build && node build/examples/webhook.js            # in a second terminal, and in a third:
 *      ssh -p 2222 -N -L 8080:localhost:80 anybody@127.0.0.1
 *  It is sent passwords: beyond one machine let its URL begin with https. */
import { type Identity, PatternServer, type Peer, type PublicKeyInfo, Rules } from 'sallyport';

/** What the service is sent: a password, or a key as in a .pub file, `verified` once it has signed. */
interface Question {
  readonly user: string;
  readonly address: string;
  readonly password?: string;
  readonly key?: string;
  readonly verified?: boolean;
}

/** What a login gives; later hooks get this very object. */
interface Login extends Identity {
  readonly rules: Rules;
}

const [port = '2222', url = 'http://127.0.0.1:8000/login'] = process.argv.slice(2);

class Webhook extends PatternServer<Login> {
  override checkAuthPassword(user: string, password: string, peer: Peer, signal: AbortSignal): Promise<Login | false> {
    return ask({ user, password, address: peer.address }, signal);
  }
  /** Asked for the offer of a key, and again when it has signed; only that answer logs in. */
  override checkAuthPublicKey(
    user: string,
    { line, verified }: PublicKeyInfo,
    peer: Peer,
    signal: AbortSignal,
  ): Promise<Login | false> {
    return ask({ user, key: line, verified, address: peer.address }, signal);
  }
  override rules(login: Login): Rules {
    return login.rules;
  }
}

/** Throws, which denies and is logged, where there is no clear answer. The signal fires when the user leaves, too. */
async function ask(question: Question, signal: AbortSignal): Promise<Login | false> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(question), redirect: 'error', signal });
  if (response.status !== 200) throw new Error(`the service answers ${response.status}`);
  const answer = Object(await response.json());
  if (answer.allow !== true) return false;
  return { user: question.user, rules: new Rules({ permitOpen: answer.permitOpen }) };
}

const server = new Webhook({ listen: [`127.0.0.1:${port}`] });
await server.listen();
process.once('SIGTERM', () => server.close());
