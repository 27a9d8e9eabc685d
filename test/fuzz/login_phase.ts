/** LOGIN PHASE: between the keys and the login. Payloads go straight into a UserAuth, with hooks that let one user in by one
 *  password and one key. Nobody gets in by a message that is not, byte for byte, one of those that may let him in.
 *  Owns the keys, and a UserAuth for the time of a case. */
import { DISCONNECT, MSG } from '../../src/shared/protocol.js';
import { UserAuth } from '../../src/worker/auth/userauth.js';
import { FuzzServer, PASSWORD, USER } from './fuzz_server.js';
import { draft, encode, flag, string, uint32 } from './grammar.js';
import { type LoginKeys, loginKeys, loginShapes, rightSignature } from './login_shapes.js';
import { type CaseResult, comesTrue, type Phase, type Tell, turn } from './phase.js';
import { Random, seedOf } from './random.js';
import { described, type Shape, script } from './script.js';

const MAX_TRIES = 6;
const MOST_PACKETS = 24;
/** What UserAuth may say when it ends a connection. */
const FAIR_ENDS: ReadonlySet<number> = new Set([DISCONNECT.PROTOCOL_ERROR, DISCONNECT.SERVICE_NOT_AVAILABLE]);

export class LoginPhase implements Phase {
  readonly name = 'login';
  readonly concurrency = 1;
  readonly #keys: LoginKeys = loginKeys();
  readonly #sessionId = Buffer.alloc(32, 7);
  readonly #shapes: readonly Shape[] = loginShapes(this.#keys, this.#sessionId);
  readonly #server = new FuzzServer({ folder: '/', echoPath: '/' }, this.#keys.right.blob);
  /** All that may be said yes to. Ed25519 signs one text in one way. */
  readonly #yes: readonly Buffer[] = [PASSWORD_REQUEST, ANSWER, rightSignature(this.#keys.right, this.#sessionId)];

  async run(seed: number, index: number, tell: Tell | null): Promise<CaseResult> {
    const random = new Random(seedOf(seed, this.name, index));
    const mutated = random.pick([0.4, 0.9, 1]);
    const service = { name: 'service request', payload: SERVICE_REQUEST, mutated: false };
    const said = script(random, { shapes: this.#shapes, strays: [], most: MOST_PACKETS, mutated });
    const packets = random.chance(0.95) ? [service, ...said] : said;
    const model = new LoginModel(this.#yes);
    const auth = new UserAuth({
      refusalDelay: { leftMs: () => 0 },
      now: () => 0,
      transport: {
        sessionId: this.#sessionId,
        send: (payload) => model.hears(payload),
        disconnect: (reason, text, why) => model.ends(reason, `${why}: ${text}`),
      },
      hooks: this.#server,
      peer: { address: '192.0.2.1', port: 1 },
      maxTries: MAX_TRIES,
      hookTimeoutMs: 10_000,
      onSuccess: ({ identity }) => model.letsIn(identity.user),
      onPartial: () => model.fault('a partial success where one method is enough'),
      onFailure: () => model.refuses(),
    });

    const counts = { packets: 0, mutated: 0 };
    for (const packet of packets) {
      if (model.isOver) break;
      tell?.(described(packet));
      model.says(packet.payload);
      auth.onMessage(packet.payload);
      counts.packets++;
      if (packet.mutated) counts.mutated++;
      if (random.chance(0.6)) await turn();
    }
    if (!(await comesTrue(() => model.isSettled))) model.fault(`${model.owed} messages are not answered`);
    auth.close();
    return { ...counts, faults: model.faults };
  }

  async check(): Promise<readonly string[]> {
    return [];
  }
  async close(): Promise<readonly string[]> {
    return [];
  }
}

const SERVICE_REQUEST = encode(draft(MSG.SERVICE_REQUEST, string('ssh-userauth')));
const PASSWORD_REQUEST = encode(
  draft(
    MSG.USERAUTH_REQUEST,
    string(USER),
    string('ssh-connection'),
    string('password'),
    flag(false),
    string(PASSWORD),
  ),
);
const ANSWER = encode(draft(MSG.USERAUTH_INFO_RESPONSE, uint32(1), string(PASSWORD)));

/** What RFC 4252 lets the server answer, and to what it may say yes. */
class LoginModel {
  readonly faults: string[] = [];
  readonly #yes: readonly Buffer[];
  /** Messages without an answer, in their order. */
  readonly #asked: Buffer[] = [];
  #failures = 0;
  #ended = false;
  #success = false;

  constructor(yes: readonly Buffer[]) {
    this.#yes = yes;
  }

  get isOver(): boolean {
    return this.#ended || this.#success;
  }
  get owed(): number {
    return this.#asked.length;
  }
  get isSettled(): boolean {
    return this.isOver || this.owed === 0;
  }

  says(payload: Buffer): void {
    this.#asked.push(payload);
  }

  hears(answer: Buffer): void {
    if (this.isOver) return this.fault('something was said behind the end');
    const asked = this.#asked.shift();
    const [type, to] = [answer[0] ?? 0, asked?.[0] ?? 0];
    if (!(ANSWERS.get(to) ?? []).includes(type)) this.fault(`${type} in answer to ${to}`);
    if (type !== MSG.USERAUTH_SUCCESS) return;
    this.#success = true;
    if (!this.#yes.some((one) => asked?.equals(one))) this.fault(`yes to ${asked?.toString('hex')}`);
  }

  letsIn(user: string): void {
    if (!this.#success || user !== USER) this.fault(`${user} was let in`);
  }

  refuses(): void {
    if (++this.#failures > MAX_TRIES) this.fault(`${this.#failures} tries`);
  }

  ends(reason: number, text: string): void {
    if (this.isOver) this.fault('ended twice');
    this.#ended = true;
    if (!FAIR_ENDS.has(reason)) this.fault(`ended with ${reason}, ${text}`);
  }

  fault(what: string): void {
    this.faults.push(what);
  }
}

/** By what was asked. */
const ANSWERS: ReadonlyMap<number, readonly number[]> = new Map<number, readonly number[]>([
  [MSG.SERVICE_REQUEST, [MSG.SERVICE_ACCEPT]],
  [MSG.USERAUTH_REQUEST, [MSG.USERAUTH_FAILURE, MSG.USERAUTH_SUCCESS, MSG.USERAUTH_PK_OK]],
  [MSG.USERAUTH_INFO_RESPONSE, [MSG.USERAUTH_FAILURE, MSG.USERAUTH_SUCCESS]],
]);
