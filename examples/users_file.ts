/** USERS FILE: users of your own, from a JSON file: a password hash, keys, what each may open and bind.
 *      npm run build && node build/examples/users_file.js         # reads examples/users.json
 *      ssh -p 2222 -N -L 8080:localhost:80 alice@127.0.0.1        # her password is: open sesame
 *  `sallyport hash-password` makes a hash for the file. */
import { readFileSync } from 'node:fs';
import { type Identity, PatternServer, type Peer, type PublicKeyInfo, Rules } from 'sallyport';

interface User {
  readonly passwordHash?: string;
  /** `TYPE BASE64`, as in a .pub file but without the comment. */
  readonly keys?: readonly string[];
  readonly permitOpen?: readonly string[];
  readonly permitListen?: readonly string[];
}

const [port = '2222', file = 'examples/users.json'] = process.argv.slice(2);
const users = new Map(Object.entries<User>(JSON.parse(readFileSync(file, 'utf8'))));
// Parsed once, and here: a pattern that is none stops the start.
const rules = new Map([...users].map(([name, user]) => [name, new Rules(user)]));

class UsersFile extends PatternServer {
  override checkAuthPassword(username: string, password: string, _peer: Peer, signal: AbortSignal): Promise<boolean> {
    return this.verifyPassword(users.get(username)?.passwordHash, password, signal);
  }
  override checkAuthPublicKey(username: string, key: PublicKeyInfo): boolean {
    return users.get(username)?.keys?.includes(key.line) ?? false;
  }
  override rules(identity: Identity): Rules {
    return rules.get(identity.user) ?? super.rules(identity);
  }
}

await new UsersFile({ listen: [`127.0.0.1:${port}`] }).listen();
