/** DIRECT: from a direct-tcpip or direct-streamlocal@openssh.com open (what `-L`, `-D`, `-W` and `-J` ask for) to one
 *  connected socket: policy, name, policy again on each address, dial.
 *  Owns nothing beyond the call. A refusal is a value; the connection turns it into CHANNEL_OPEN_FAILURE. */
import { lstat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Address } from '../../shared/address.js';
import { errnoOf, type Refusal, type RefusalCode, refusal, type Verdict } from '../../shared/errors.js';
import type { Destination, Origin, TcpDestination } from '../../shared/identity.js';
import { type Pinned, pinFile } from '../../shared/pinned.js';
import { isPort } from '../../shared/port.js';
import { socketPathError } from '../../shared/socket_path.js';
import { dial, dialUnix } from './dial.js';
import type { Target } from './inside.js';
import type { Resolver } from './resolve.js';

/** What a direct open asks of the policy. */
export interface DirectPolicy {
  /** Before any look-up: may this identity ask for that destination at all? */
  checkDirect(origin: Origin, destination: Destination, signal: AbortSignal): Promise<DirectVerdict>;
  /** For each address that the host resolved to; the very literal is dialled if it passes. */
  checkDial(destination: TcpDestination, candidate: Address): Verdict;
  /** For a Unix socket's path with every symbolic link resolved. */
  checkDialPath(realPath: string): Verdict;
}

export interface DirectOptions {
  readonly policy: DirectPolicy;
  readonly resolver: Resolver;
  /** Whose share of look-ups this counts against. */
  readonly owner: string;
  readonly connectTimeoutMs: number;
  /** Makes the unconnected, paused socket of the relay that will take it. */
  readonly createSocket: () => Socket;
  /** Fires when the connection ends. */
  readonly signal: AbortSignal;
}

/** Yes may come with a target inside this program: then nothing is resolved or dialled. */
export type DirectVerdict = Verdict | { readonly allow: true; readonly target: Target };

export type DirectOutcome =
  /** `realPath`: of a Unix socket. */
  | { readonly ok: true; readonly socket: Socket; readonly realPath?: string }
  | { readonly ok: true; readonly target: Target }
  | ({ readonly ok: false } & Refusal);

/** The socket is connected and the caller's: it looks at `destroyed` and adds its listeners in the step after its `await`. */
export async function openDirect(
  origin: Origin,
  destination: Destination,
  options: DirectOptions,
): Promise<DirectOutcome> {
  if (!isDialable(destination)) return refused('BAD_ADDRESS');
  const verdict = await options.policy.checkDirect(origin, destination, options.signal);
  if (!verdict.allow) return refused(verdict.code, verdict.detail);
  if ('target' in verdict) return { ok: true, target: verdict.target };
  return destination.kind === 'tcp' ? openTcp(destination, options) : openUnix(destination.path, options);
}

async function openTcp(destination: TcpDestination, options: DirectOptions): Promise<DirectOutcome> {
  const { policy, resolver, owner, signal, createSocket, connectTimeoutMs } = options;
  const resolution = await resolver.resolve(destination.host, { owner, signal });
  if (!resolution.ok) return refused(resolution.code);
  const allowed: Address[] = [];
  let firstRefusal: Refusal | null = null;
  for (const candidate of resolution.addresses) {
    const verdict = policy.checkDial(destination, candidate);
    if (verdict.allow) allowed.push(candidate);
    else firstRefusal ??= verdict;
  }
  if (allowed.length === 0) return refused(firstRefusal?.code ?? 'NAME_NOT_FOUND', firstRefusal?.detail);
  return dial({ addresses: allowed, port: destination.port, timeoutMs: connectTimeoutMs, createSocket, signal });
}

async function openUnix(path: string, options: DirectOptions): Promise<DirectOutcome> {
  const found = await findSocket(path);
  if (!found.ok) return found;
  const { pinned } = found;
  try {
    const verdict = options.policy.checkDialPath(pinned.realPath);
    if (!verdict.allow) return refused(verdict.code, verdict.detail);
    const outcome = await dialUnix(pinned.path, {
      timeoutMs: options.connectTimeoutMs,
      createSocket: options.createSocket,
      signal: options.signal,
    });
    return outcome.ok ? { ...outcome, realPath: pinned.realPath } : outcome;
  } finally {
    pinned.close();
  }
}

type Refused = { readonly ok: false } & Refusal;

/** The file to which the path leads, to be closed by the caller, or why there is none. Asks no policy. */
export async function findSocket(path: string): Promise<{ readonly ok: true; readonly pinned: Pinned } | Refused> {
  let pinned: Pinned;
  try {
    pinned = await pinFile(path);
  } catch (error) {
    // A link that leads nowhere is answered as one that leads where it must not: who may put links into his own folder is
    // not to learn by them which files there are elsewhere.
    if (await isLink(path)) return refused('POLICY_DENIED', 'a link that leads nowhere');
    return refused(errnoOf(error) === 'ENOENT' ? 'CONNECT_REFUSED' : 'CONNECT_FAILED');
  }
  if (socketPathError(pinned.realPath) === null) return { ok: true, pinned };
  pinned.close();
  return refused('BAD_ADDRESS');
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch {
    return false;
  }
}

/** Holds whatever a policy of the user's own says: Node throws on such a port and cuts such a path short, to another. */
function isDialable(destination: Destination): boolean {
  if (destination.kind === 'unix') return socketPathError(destination.path) === null;
  return isPort(destination.port);
}

function refused(code: RefusalCode, detail?: string): Refused {
  return { ok: false, ...refusal(code, detail) };
}
