/** JUDGE: what came of a flow, from what happened at its ends and what was done to it. Pure. Times are milliseconds. A flow is
 *  `equal` when each end has got all that the other sent, byte for byte, and its end of stream; `ended` when both ends were told of
 *  the end within 45 s of the end of a fault that may end it; all else is `lost`. What merely delays a flow never excuses its end. */
import { type Cause, type Flow, type Judgement, other, SIDES } from './flow.js';

/** From the end of a fault until both ends must have been told; and how long a flow may rest without one. */
export const TOLD_WITHIN_MS = 45_000;
/** A far end that comes later than its near end went is waited for this long. */
const LATE_FAR_MS = 3_000;

export const OPEN: Judgement = { verdict: 'open', why: '' };

export function judge(flow: Flow, nowMs: number): Judgement {
  const { ends, plan } = flow;
  for (const side of SIDES) {
    const { wrongAt, receivedBytes } = ends[side];
    if (wrongAt !== null) return lost(flow, `byte ${wrongAt} at the ${side} end is not the one that was sent`);
    if (receivedBytes > plan.bytes[other(side)]) return lost(flow, `more bytes at the ${side} end than were sent`);
  }
  const causes = causesOf(flow);
  if (!isOver(flow, nowMs)) return stillWaited(flow, causes, nowMs) ? OPEN : lost(flow, 'nobody told an end of it');
  if (SIDES.every((side) => ends[side].eof && ends[side].receivedBytes === plan.bytes[other(side)]))
    return { verdict: 'equal', why: '' };

  const lastMs = Math.max(...SIDES.map((side) => ends[side].closedMs ?? 0));
  const ending = causes.filter((cause) => cause.beganMs <= lastMs && mayEnd(cause, flow));
  const [first] = ending;
  if (first === undefined) return lost(flow, 'it ended, and nothing was done that may end it');
  if (lastMs > Math.max(...ending.map((cause) => endOf(cause, flow))) + TOLD_WITHIN_MS)
    return lost(flow, `an end was told of ${first.name} too late`);
  if (plan.serverHolds !== null && !ending.some(({ endsAsEof }) => endsAsEof)) {
    const { eof, receivedBytes, error } = ends[plan.serverHolds];
    if (eof && error === null && receivedBytes > 0 && receivedBytes < plan.bytes[other(plan.serverHolds)])
      return lost(flow, `it was cut by ${first.name}, and the ${plan.serverHolds} end was told that it is whole`);
  }
  return { verdict: 'ended', why: first.name };
}

function mayEnd({ effect, beganMs }: Cause, { ends }: Flow): boolean {
  if (effect === 'refuses') return (ends.far.connectedMs ?? Number.POSITIVE_INFINITY) >= beganMs;
  return effect === 'ends';
}

/** Are both ends closed, and may no other come? */
function isOver({ ends: { near, far } }: Flow, nowMs: number): boolean {
  if (near.closedMs === null) return false;
  if (far.connectedMs === null) return nowMs > near.closedMs + LATE_FAR_MS;
  return far.closedMs !== null;
}

/** Since the last that was done to it, since an end of it closed, else since it last moved. */
function stillWaited({ ends, progressMs, startedMs }: Flow, causes: readonly Cause[], nowMs: number): boolean {
  if (causes.some(({ endedMs }) => endedMs === null)) return true;
  const closedMs = SIDES.flatMap((side) => ends[side].closedMs ?? []);
  const sinceMs = closedMs.length > 0 ? Math.min(...closedMs) : progressMs;
  return nowMs <= Math.max(startedMs, sinceMs, ...causes.map(({ endedMs }) => endedMs ?? 0)) + TOLD_WITHIN_MS;
}

/** Those that were at work while the flow was under way. */
export function causesOf({ own, shared, startedMs }: Flow): Cause[] {
  const touching = ({ endedMs, lasting }: Cause): boolean => lasting || endedMs === null || endedMs >= startedMs;
  return [...own, ...shared.flat()].filter(touching);
}

function endOf({ endedMs }: Cause, { startedMs }: Flow): number {
  return Math.max(endedMs ?? Number.POSITIVE_INFINITY, startedMs);
}

function lost(flow: Flow, why: string): Judgement {
  return { verdict: 'lost', why: `${why}: ${describe(flow)}` };
}

/** All that a person needs who looks for the reason. */
export function describe(flow: Flow): string {
  const { plan, startedMs, ends } = flow;
  const since = (ms: number | null): string => (ms === null ? 'never' : `+${Math.round(ms - startedMs)} ms`);
  const sides = SIDES.map((side) => {
    const { connectedMs, sentBytes, receivedBytes, eof, closedMs, error } = ends[side];
    const got = `got ${receivedBytes} of ${plan.bytes[other(side)]}${eof ? ' and EOF' : ''}`;
    const at = `connected ${since(connectedMs)}, closed ${since(closedMs)}${error === null ? '' : ` (${error})`}`;
    return `${side}: ${got}, sent ${sentBytes} of ${plan.bytes[side]}, ${at}`;
  });
  const causes = causesOf(flow).map(({ name, beganMs, endedMs }) => `${name} ${since(beganMs)} to ${since(endedMs)}`);
  return `flow ${plan.id} by ${plan.way}; ${sides.join('; ')}; done to it: ${causes.join(', ') || 'nothing'}`;
}
