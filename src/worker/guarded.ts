/** GUARDED: the server's hooks as a connection asks them: for one identity, with a deadline, and a verdict in any case.
 *  Owns nothing. A hook that throws, hangs or answers nonsense denies, and the refusal says why. */
import { type Address, isOwnListener } from '../shared/address.js';
import { ALLOW, REFUSALS, reasonAndCause, reasonOf, refuse, TunnelError, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, Identity, Origin, TcpDestination } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { safeText } from '../shared/log.js';
import { isPort, type PortRange } from '../shared/port.js';
import { isOwnSocketPath } from '../shared/socket_path.js';
import { after } from '../shared/timer.js';
import { callHook, isThenable, kindOf } from './auth/hooks.js';
import type { SessionPolicy } from './connection/peer_opens.js';
import type { Session } from './connection/session.js';
import type { DirectPolicy, DirectVerdict } from './forward/direct.js';
import { discardTarget, targetOf } from './forward/inside.js';
import type { ListenPolicy } from './forward/remote.js';
import type { IdentityLimits, ServerHooks } from './server.js';

export interface GuardOptions {
  readonly hooks: ServerHooks;
  readonly identity: Identity;
  readonly timeoutMs: number;
  /** Sockets of the server's own that no hook may open. Default: none. */
  readonly own?: () => readonly ListenerAddress[];
}

const OWN_LISTENER = refuse('OWN_LISTENER');

const nowhere = (): readonly ListenerAddress[] => [];

export class GuardedPolicy implements DirectPolicy, ListenPolicy, SessionPolicy {
  readonly #options: GuardOptions;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  async checkDirect(origin: Origin, destination: Destination, signal: AbortSignal): Promise<DirectVerdict> {
    const { hooks, identity } = this.#options;
    const answer = await this.#ask('checkDirect', signal, (aborted) =>
      hooks.checkDirect(origin, destination, identity, aborted),
    );
    if (!answer.ok) return answer.refusal;
    try {
      return readDirect(answer.value);
    } catch (thrown) {
      return refuse('HOOK_FAILED', `checkDirect: ${safeText(reasonOf(thrown))}`); // an object that breaks when looked at
    }
  }

  async checkForward(bind: BindAddress, signal: AbortSignal): Promise<Verdict> {
    const { hooks, identity } = this.#options;
    const answer = await this.#ask('checkForwardAddress', signal, (aborted) =>
      hooks.checkForwardAddress(bind, identity, aborted),
    );
    return answer.ok ? readVerdict('checkForwardAddress', answer.value) : answer.refusal;
  }

  checkDial(destination: TcpDestination, candidate: Address): Verdict {
    const { hooks, identity, own = nowhere } = this.#options;
    // They listen on the loopback alone, so the interfaces' addresses lead to none of them.
    if (isOwnListener(candidate, destination.port, own(), [])) return OWN_LISTENER;
    return askNow('checkDial', () => hooks.checkDial(destination, candidate, identity));
  }

  checkDialPath(realPath: string): Verdict {
    const { hooks, identity, own = nowhere } = this.#options;
    if (own().some((one) => one.kind === 'unix' && isOwnSocketPath(one.path, realPath))) return OWN_LISTENER;
    return askNow('checkDialPath', () => hooks.checkDialPath(realPath, identity));
  }

  /** @throws TunnelError HOOK_FAILED, for nonsense too; the request that asked is refused with it */
  portRanges(host: string): readonly PortRange[] {
    const { hooks, identity } = this.#options;
    const ranges = named('portRanges', () => hooks.portRanges(host, identity));
    if (Array.isArray(ranges) && ranges.every(isPortRange)) return ranges;
    throw new TunnelError(
      'HOOK_FAILED',
      `portRanges: answered ${kindOf(ranges)}; wanted a list of [low, high] pairs of ports`,
    );
  }

  /** @throws TunnelError HOOK_FAILED, for nonsense too: a limit that is no number would be none */
  limits(): Required<IdentityLimits> {
    const { hooks, identity } = this.#options;
    const limits: Partial<IdentityLimits> | null | undefined = Object(named('limits', () => hooks.limits(identity)));
    const [connections, channels, forwards] = [limits?.connections, limits?.channels, limits?.forwards].map(readLimit);
    const memoryBytes = readLimit(limits?.memoryBytes ?? 0);
    if (connections !== undefined && channels !== undefined && forwards !== undefined && memoryBytes !== undefined)
      return {
        connections,
        channels,
        forwards,
        memoryBytes,
        bytesPerSecond: readRate('bytesPerSecond', limits?.bytesPerSecond),
        opensPerSecond: readRate('opensPerSecond', limits?.opensPerSecond),
        failedOpensPerMinute: readRate('failedOpensPerMinute', limits?.failedOpensPerMinute),
        expiresAtMs: readMoment('expiresAtMs', limits?.expiresAtMs),
      };
    throw new TunnelError(
      'HOOK_FAILED',
      'limits: answered no connections, channels and forwards, each a number from 0 to Infinity',
    );
  }

  onSession(session: Session, signal: AbortSignal, failed: (detail: string) => void): void {
    const { hooks, identity } = this.#options;
    const fail = (thrown: unknown): void => failed(`onSession: ${safeText(reasonAndCause(thrown))}`);
    try {
      Promise.resolve(hooks.onSession(session, identity, signal)).catch(fail);
    } catch (thrown) {
      fail(thrown);
    }
  }

  async #ask(name: string, closing: AbortSignal, call: (signal: AbortSignal) => unknown): Promise<Asked> {
    const { timeoutMs } = this.#options;
    const answer = await callHook((signal) => orRefused(() => call(signal)), {
      timeoutMs,
      closing,
      after,
      onLate: discard,
    });
    if (answer.ok) return answer;
    const code = answer.code === 'HOOK_TIMEOUT' ? 'HOOK_TIMEOUT' : 'HOOK_FAILED';
    return { ok: false, refusal: refuse(code, `${name}: ${answer.detail}`) };
  }
}

type Asked = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly refusal: Verdict };

/** A thrown `Refused` is an answer. */
function orRefused(call: () => unknown): unknown {
  try {
    const value = call();
    targetOf(value); // at once: a stream that is destroyed by an error emits it before anybody has awaited it
    return isThenable(value) ? orRefusedLater(value) : value;
  } catch (thrown) {
    return refusedOrThrow(thrown);
  }
}

async function orRefusedLater(value: PromiseLike<unknown>): Promise<unknown> {
  try {
    return await value;
  } catch (thrown) {
    return refusedOrThrow(thrown);
  }
}

/** @throws what is no refusal */
function refusedOrThrow(thrown: unknown): Verdict {
  const refused = refusalIn(thrown);
  if (refused !== null) return refused;
  throw thrown;
}

/** By its shape: it may be the `Refused` of another copy of this package. */
function refusalIn(thrown: unknown): Verdict | null {
  if (!(thrown instanceof Error) || thrown.name !== 'Refused' || !('verdict' in thrown)) return null;
  return isVerdict(thrown.verdict) && !thrown.verdict.allow ? thrown.verdict : null;
}

/** What a hook that nobody waits for answers.
 *  @throws TunnelError HOOK_FAILED that says which hook it was */
function named(name: string, call: () => unknown): unknown {
  try {
    return atOnce(call());
  } catch (cause) {
    throw new TunnelError('HOOK_FAILED', `${name}: ${reasonAndCause(cause)}`, { cause });
  }
}

/** A promise in place of an answer is a fault; that it may reject later must end nothing. */
function atOnce(value: unknown): unknown {
  if (!isThenable(value)) return value;
  Promise.resolve(value).catch(ignore);
  throw new TunnelError('HOOK_FAILED', 'answered a promise; this hook answers at once');
}

function askNow(name: string, call: () => unknown): Verdict {
  try {
    return readVerdict(name, atOnce(call()));
  } catch (thrown) {
    const refused = refusalIn(thrown);
    if (refused !== null) return refused;
    return refuse('HOOK_FAILED', `${name}: ${safeText(reasonAndCause(thrown))}`);
  }
}

function readDirect(value: unknown): DirectVerdict {
  const target = targetOf(value);
  if (target === null) return readVerdict('checkDirect', value);
  if (target.kind === 'destroyed') return refuse('HOOK_FAILED', 'checkDirect: answered a stream that is destroyed');
  if (target.kind === 'duplex' && (target.duplex.readableObjectMode || target.duplex.writableObjectMode)) {
    discardTarget(target);
    return refuse('HOOK_FAILED', 'checkDirect: answered a stream in object mode; wanted one of bytes');
  }
  return { allow: true, target };
}

/** Only `true` and our own yes allow; anything else that is no plain no is a fault of the hook. */
function readVerdict(name: string, value: unknown): Verdict {
  if (value === true) return ALLOW;
  if (value === false) return refuse('POLICY_DENIED');
  if (isVerdict(value)) return value.allow ? ALLOW : value;
  const wanted = name === 'checkDirect' ? 'true, false, refuse(…), a Duplex or a server' : 'true, false or refuse(…)';
  return refuse('HOOK_FAILED', `${name}: answered ${kindOf(value)}; wanted ${wanted}`);
}

function isVerdict(value: unknown): value is Verdict {
  if (typeof value !== 'object' || value === null || !('allow' in value)) return false;
  if (value.allow === true) return true;
  if (value.allow !== false || !('code' in value) || typeof value.code !== 'string') return false;
  return Object.hasOwn(REFUSALS, value.code) && (!('detail' in value) || typeof value.detail === 'string');
}

/** As a number that JSON keeps: Infinity would reach the primary as null. */
function readLimit(value: unknown): number | undefined {
  if (typeof value !== 'number' || !(value >= 0)) return undefined;
  return Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER);
}

/** Nobody who writes 0 means that nothing may ever move. */
function readRate(name: string, value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (typeof value === 'number' && value >= 1) return value;
  throw new TunnelError('HOOK_FAILED', `limits: answered a ${name} that is no number from 1 to Infinity`);
}

/** A date or a text would be compared as whatever it converts to. */
function readMoment(name: string, value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (typeof value === 'number' && !Number.isNaN(value)) return value;
  throw new TunnelError('HOOK_FAILED', `limits: answered an ${name} that is no number of milliseconds since 1970`);
}

function isPortRange(value: unknown): value is PortRange {
  return Array.isArray(value) && value.length === 2 && value.every(isPort);
}

/** A stream that comes when nobody waits for it any more would stay open for ever. */
function discard(value: unknown): void {
  try {
    const target = targetOf(value);
    if (target !== null) discardTarget(target);
  } catch {
    // an object that breaks when looked at holds nothing of ours
  }
}

function ignore(): void {}
