/** LOAD ORDERS: what a measurement asks of its load processes, and what they answer. Each order has one answer.
 *  A load process that reads another shape ends: both sides are of one build. Owns nothing. */

/** Where a load process logs in. */
export interface LoginTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly identityFile: string;
  /** The host key that it must show, as RFC 4253 §6.6 writes it, in base64. */
  readonly hostKey: string;
}

/** How often, and how many of them at a time. */
export interface Amount {
  readonly count: number;
  readonly concurrency: number;
}

export type Order =
  /** Log in and leave. `tunnelToPort`: open a tunnel there as well, and wait until it is confirmed. */
  | ({ readonly type: 'logins'; readonly to: LoginTarget; readonly tunnelToPort: number | null } & Amount)
  /** Connect, exchange identification lines, and leave before the key exchange. */
  | ({ readonly type: 'visits'; readonly to: LoginTarget } & Amount)
  /** Log in and stay. */
  | ({ readonly type: 'hold'; readonly to: LoginTarget } & Amount)
  /** Open tunnels on each held connection and leave them open. */
  | { readonly type: 'tunnels'; readonly perConnection: number; readonly toPort: number }
  /** Open a tunnel on one of the held connections, have a byte echoed, close it. */
  | ({ readonly type: 'opens'; readonly toPort: number } & Amount)
  /** Bind ports on each held connection, the next free ones from `fromPort` on, and echo what comes through them. */
  | { readonly type: 'forwards'; readonly perConnection: number; readonly fromPort: number }
  /** Open a tunnel on each held connection and read no more of it. `windowBytes`: announced in the open. */
  | { readonly type: 'stall'; readonly toPort: number; readonly windowBytes: number | null }
  /** How much the held connections have read from their sockets. */
  | { readonly type: 'bytesRead' }
  /** One byte there and back through a tunnel of its own connection, again and again. */
  | {
      readonly type: 'echoes';
      readonly to: LoginTarget;
      readonly toPort: number;
      readonly forMs: number;
      readonly everyMs: number;
    }
  /** End what is held. */
  | { readonly type: 'release' };

export type Answer =
  | { readonly type: 'done' }
  /** How long each took. */
  | { readonly type: 'durations'; readonly ms: readonly number[] }
  | { readonly type: 'bytes'; readonly bytes: number }
  | { readonly type: 'ports'; readonly ports: readonly number[] }
  | { readonly type: 'failed'; readonly why: string };

const ORDERS: ReadonlySet<unknown> = new Set<Order['type']>([
  ...(['logins', 'visits', 'hold', 'tunnels', 'opens', 'forwards', 'stall', 'bytesRead', 'echoes', 'release'] as const),
]);
const ANSWERS: ReadonlySet<unknown> = new Set<Answer['type']>(['done', 'durations', 'bytes', 'ports', 'failed']);

export function isOrder(message: unknown): message is Order {
  return hasType(message) && ORDERS.has(message.type);
}

export function isAnswer(message: unknown): message is Answer {
  return hasType(message) && ANSWERS.has(message.type);
}

function hasType(message: unknown): message is { type: unknown } {
  return typeof message === 'object' && message !== null && 'type' in message;
}
