/** GUARDED: the server's hooks as a connection asks them: for one identity, with a deadline, and a verdict in any case.
 *  Owns nothing. A hook that throws, hangs or answers nonsense denies, and the refusal says why. */
import type { Address } from '../shared/address.js';
import { ALLOW, REFUSALS, reasonOf, refuse, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, Identity, Origin, TcpDestination } from '../shared/identity.js';
import { safeText } from '../shared/log.js';
import type { PortRange } from '../shared/port.js';
import { after } from '../shared/timer.js';
import { callHook } from './auth/hooks.js';
import type { DirectPolicy } from './forward/direct.js';
import type { ListenPolicy } from './forward/remote.js';
import type { ServerHooks } from './server.js';

export interface GuardOptions {
  readonly hooks: ServerHooks;
  readonly identity: Identity;
  readonly timeoutMs: number;
}

export class GuardedPolicy implements DirectPolicy, ListenPolicy {
  readonly #options: GuardOptions;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  checkDirect(origin: Origin, destination: Destination, signal: AbortSignal): Promise<Verdict> {
    const { hooks, identity } = this.#options;
    return this.#ask('checkDirect', signal, (aborted) => hooks.checkDirect(origin, destination, identity, aborted));
  }
  checkForward(bind: BindAddress, signal: AbortSignal): Promise<Verdict> {
    const { hooks, identity } = this.#options;
    return this.#ask('checkForwardAddress', signal, (aborted) => hooks.checkForwardAddress(bind, identity, aborted));
  }
  checkDial(destination: TcpDestination, candidate: Address): Verdict {
    const { hooks, identity } = this.#options;
    return this.#askNow('checkDial', () => hooks.checkDial(destination, candidate, identity));
  }
  checkDialPath(realPath: string): Verdict {
    const { hooks, identity } = this.#options;
    return this.#askNow('checkDialPath', () => hooks.checkDialPath(realPath, identity));
  }
  /** @throws what the hook throws; the request that asked is refused with it */
  portRanges(host: string): readonly PortRange[] {
    const { hooks, identity } = this.#options;
    return hooks.portRanges(host, identity);
  }

  async #ask(name: string, closing: AbortSignal, call: (signal: AbortSignal) => unknown): Promise<Verdict> {
    const answer = await callHook(call, { timeoutMs: this.#options.timeoutMs, closing, after });
    if (answer.ok) return this.#read(name, answer.value);
    return refuse(answer.code === 'HOOK_TIMEOUT' ? 'HOOK_TIMEOUT' : 'HOOK_FAILED', `${name}: ${answer.detail}`);
  }

  #askNow(name: string, call: () => unknown): Verdict {
    try {
      return this.#read(name, call());
    } catch (thrown) {
      return refuse('HOOK_FAILED', `${name}: ${safeText(reasonOf(thrown))}`);
    }
  }

  /** Only `true` and our own yes allow; anything else that is no plain no is a fault of the hook. */
  #read(name: string, value: unknown): Verdict {
    if (value === true) return ALLOW;
    if (value === false) return refuse('POLICY_DENIED');
    if (isVerdict(value)) return value;
    return refuse('HOOK_FAILED', `${name}: answered neither true nor false`);
  }
}

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null || !('allow' in value)) return false;
  if (value.allow === true) return true;
  if (value.allow !== false || !('code' in value) || typeof value.code !== 'string') return false;
  return Object.hasOwn(REFUSALS, value.code) && (!('detail' in value) || typeof value.detail === 'string');
}
