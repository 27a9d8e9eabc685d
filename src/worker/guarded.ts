/** GUARDED: the server's hooks as a connection asks them: for one identity, with a deadline, and a verdict in any case.
 *  Owns nothing. A hook that throws, hangs or answers nonsense denies, and the log says so. */
import type { Address } from '../shared/address.js';
import { ALLOW, reasonOf, refuse, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, Identity, Origin } from '../shared/identity.js';
import { safeText } from '../shared/log.js';
import type { PortRange } from '../shared/patterns.js';
import { after, callHook } from './auth/hooks.js';
import type { DirectPolicy } from './forward/direct.js';
import type { ListenPolicy } from './forward/remote.js';
import type { ServerHooks } from './server.js';

export interface GuardOptions {
  readonly hooks: ServerHooks;
  readonly identity: Identity;
  readonly timeoutMs: number;
  /** Told what a hook did wrong. */
  readonly onFault: (detail: string) => void;
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
  checkDial(destination: Destination & { kind: 'tcp' }, candidate: Address): Verdict {
    const { hooks, identity } = this.#options;
    return this.#askNow('checkDial', () => hooks.checkDial(destination, candidate, identity));
  }
  checkDialPath(realPath: string): Verdict {
    const { hooks, identity } = this.#options;
    return this.#askNow('checkDialPath', () => hooks.checkDialPath(realPath, identity));
  }
  portRanges(host: string): readonly PortRange[] {
    const { hooks, identity } = this.#options;
    return hooks.portRanges(host, identity);
  }

  async #ask(name: string, closing: AbortSignal, call: (signal: AbortSignal) => unknown): Promise<Verdict> {
    const answer = await callHook(call, { timeoutMs: this.#options.timeoutMs, closing, after });
    if (answer.ok) return this.#read(name, answer.value);
    if (!closing.aborted) this.#options.onFault(`${name}: ${answer.detail}`);
    return refuse(answer.code === 'HOOK_TIMEOUT' ? 'HOOK_TIMEOUT' : 'HOOK_FAILED');
  }

  #askNow(name: string, call: () => unknown): Verdict {
    try {
      return this.#read(name, call());
    } catch (thrown) {
      this.#options.onFault(`${name}: ${safeText(reasonOf(thrown))}`);
      return refuse('HOOK_FAILED');
    }
  }

  /** Only `true` and our own yes allow; anything else that is no plain no is a fault of the hook. */
  #read(name: string, value: unknown): Verdict {
    if (value === true) return ALLOW;
    if (value === false) return refuse('POLICY_DENIED');
    if (isVerdict(value)) return value;
    this.#options.onFault(`${name}: answered neither true nor false`);
    return refuse('HOOK_FAILED');
  }
}

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null || !('allow' in value)) return false;
  return value.allow === true || (value.allow === false && 'code' in value && typeof value.code === 'string');
}
