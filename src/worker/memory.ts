/** MEMORY: the bytes that a worker holds for its peers, and what follows from them.
 *  Owns the counts: of the worker, of each user in it, of each connection. Decides only: whoever holds bytes tells it, and asks
 *  it before taking more. (DECISIONS 49, 62)
 *
 *  Up to half of a budget nothing follows. Beyond it (scarce) no window grows, and each connection has a part: an equal one of
 *  what is left until four fifths. One that holds more than its part (tight) gives window back. Beyond four fifths (full)
 *  nothing new is opened, and each look cuts connections from which nobody has taken anything since the look before. Beyond
 *  the whole (over) a connection is cut at once. It is always the one that holds most, of the user who does. A worker that stays
 *  full for some looks cuts it too, though it moves: a byte now and then is no reason to keep all others out. */
import { Lingering } from './lingering.js';

/** What a connection tells the memory, and asks it. */
export interface MemoryAccount {
  /** What the connection may hold while memory is scarce; otherwise Infinity. */
  readonly partBytes: number;
  /** It holds more than its part. */
  readonly isTight: boolean;
  /** Nothing new may be opened. */
  readonly isFull: boolean;
  /** So many bytes more are held; negative for bytes that were thrown away or went on to another holder of ours. */
  add(bytes: number): void;
  /** So many bytes less: the peer or a target has taken them. */
  took(bytes: number): void;
  /** May so many bytes wait for a target beyond their channel's end? True counts them until `lingered`, which may be said when
   *  the connection has ended. */
  linger(bytes: number): boolean;
  lingered(bytes: number): void;
}

const SCARCE = 1 / 2;
const FULL = 4 / 5;
/** Of the worker's budget for one user, where nothing less is said: he alone never makes the worker full. */
const USER_PART = 1 / 2;
/** Looks in a row after which a full worker waits no longer for those that fill it. */
const FULL_LOOKS = 5;
/** The kernel kills a process that is too large, whatever made it so. From here on nothing new is opened. */
const PROCESS_FULL = 4 / 5;
/** A process may be large without a byte of a tunnel, and stay so: this part of the budget is always there. */
const LEAST_PART = 1 / 8;
/** What `auto` is of what the process may have, and at least: code, heap and the kernel's socket buffers need the rest. */
const AUTO_PART = 1 / 4;
const LEAST_AUTO_BYTES = 64 * 1024 * 1024;

/** @param configuredBytes 0 = auto
 *  @param processBytes that the process may have */
export function budgetOf(configuredBytes: number, processBytes: number): number {
  return configuredBytes || Math.max(LEAST_AUTO_BYTES, Math.floor(processBytes * AUTO_PART));
}

/** Bytes of many connections together, and their bound. */
class Share {
  readonly accounts = new Set<Account>();
  bytes = 0;
  capBytes: number;

  constructor(capBytes: number) {
    this.capBytes = capBytes;
  }
  get isScarce(): boolean {
    return this.bytes > this.capBytes * SCARCE;
  }
  get isFull(): boolean {
    return this.bytes > this.capBytes * FULL;
  }
  get isOver(): boolean {
    return this.bytes > this.capBytes;
  }
  get partBytes(): number {
    if (!this.isScarce) return Number.POSITIVE_INFINITY;
    return Math.max(0, (this.capBytes * FULL - this.bytes) / this.accounts.size);
  }

  /** Of the connections that hold half of the average and more: the one that holds most, those first that stand still. */
  heaviest(): Account | null {
    let totalBytes = 0;
    for (const { bytes } of this.accounts) totalBytes += bytes;
    let worst: Account | null = null;
    for (const account of this.accounts) {
      if (account.bytes === 0 || 2 * account.bytes * this.accounts.size < totalBytes) continue;
      if (worst === null || isWorse(account, worst)) worst = account;
    }
    return worst;
  }
}

/** By user before by connection: else many small ones of his would have the large one of another's cut. */
function isWorse(account: Account, other: Account): boolean {
  if (account.isStill !== other.isStill) return account.isStill;
  if (account.userBytes !== other.userBytes) return account.userBytes > other.userBytes;
  return account.bytes > other.bytes;
}

/** What an account needs of the memory that it belongs to. */
interface Desk {
  readonly worker: Share;
  readonly isFull: boolean;
  shareOf(user: string, limitBytes: number): Share;
  left(user: string, share: Share): void;
  /** Some bound is passed. */
  over(): void;
  readonly memory: WorkerMemory;
}

/** The bytes of one connection. */
export class Account implements MemoryAccount {
  readonly #desk: Desk;
  /** Ends the connection at once. */
  readonly cut: () => void;
  #user: { readonly name: string; readonly share: Share } | null = null;
  #bytes = 0;
  #takenBytes = 0;
  /** At the last look; -1 before the first, so that nobody is judged by his first moments. */
  #takenAtLookBytes = -1;
  #closed = false;

  constructor(desk: Desk, cut: () => void) {
    this.#desk = desk;
    this.cut = cut;
    desk.worker.accounts.add(this);
  }

  get bytes(): number {
    return this.#bytes;
  }
  /** Of all connections of its user here. */
  get userBytes(): number {
    return this.#user?.share.bytes ?? this.#bytes;
  }
  get partBytes(): number {
    const ofWorker = this.#desk.worker.partBytes;
    return this.#user === null ? ofWorker : Math.min(ofWorker, this.#user.share.partBytes);
  }
  get isTight(): boolean {
    return this.#bytes > this.partBytes;
  }
  get isFull(): boolean {
    return this.#desk.isFull || this.#user?.share.isFull === true;
  }
  /** Nobody has taken anything of it since the last look. */
  get isStill(): boolean {
    return this.#takenBytes === this.#takenAtLookBytes;
  }

  add(bytes: number): void {
    if (this.#closed) return;
    const { worker } = this.#desk;
    const share = this.#user?.share;
    this.#bytes += bytes;
    worker.bytes += bytes;
    if (share !== undefined) share.bytes += bytes;
    if (bytes > 0 && (worker.isOver || share?.isOver === true)) this.#desk.over();
  }
  took(bytes: number): void {
    this.#takenBytes += bytes;
    this.add(-bytes);
  }

  linger(bytes: number): boolean {
    return this.#desk.memory.linger(this.#user?.name ?? '', bytes);
  }
  lingered(bytes: number): void {
    this.#desk.memory.lingered(this.#user?.name ?? '', bytes);
  }

  /** The connection is that of a user. @param limitBytes for all of his connections here; 0 = half of the budget */
  join(name: string, limitBytes: number): void {
    const share = this.#desk.shareOf(name, limitBytes);
    this.#user = { name, share };
    share.accounts.add(this);
    share.bytes += this.#bytes;
  }
  looked(): void {
    this.#takenAtLookBytes = this.#takenBytes;
  }
  /** The connection has ended: what it held is free, or lingers. */
  close(): void {
    if (this.#closed) return;
    this.add(-this.#bytes);
    this.#closed = true;
    this.#desk.worker.accounts.delete(this);
    this.#user?.share.accounts.delete(this);
    if (this.#user !== null) this.#desk.left(this.#user.name, this.#user.share);
  }
}

export interface WorkerMemoryOptions {
  readonly budgetBytes: number;
  /** That the process may have. Default: there is no end. */
  readonly processBytes?: number;
}

export class WorkerMemory {
  readonly #budgetBytes: number;
  readonly #processFullBytes: number;
  readonly #worker: Share;
  readonly #users = new Map<string, Share>();
  readonly #lingering: Lingering;
  readonly #desk: Desk;
  #processIsFull = false;
  #fullLooks = 0;
  #shedding = false;

  constructor({ budgetBytes, processBytes = Number.POSITIVE_INFINITY }: WorkerMemoryOptions) {
    this.#budgetBytes = budgetBytes;
    this.#processFullBytes = processBytes * PROCESS_FULL;
    this.#worker = new Share(budgetBytes);
    this.#lingering = new Lingering(budgetBytes);
    const isFull = (): boolean => this.isFull;
    this.#desk = {
      worker: this.#worker,
      get isFull() {
        return isFull();
      },
      shareOf: (user, limitBytes) => this.#shareOf(user, limitBytes),
      left: (user, share) => {
        if (share.accounts.size === 0) this.#users.delete(user);
      },
      over: () => this.#shedSoon(),
      memory: this,
    };
  }

  get usedBytes(): number {
    return this.#worker.bytes;
  }
  /** No new connection should come here. */
  get isFull(): boolean {
    return this.#processIsFull || this.#worker.isFull;
  }

  /** @param cut ends the connection at once, and the account with it */
  open(cut: () => void): Account {
    return new Account(this.#desk, cut);
  }

  /** To be called once a second. @param residentBytes that the process has */
  look(residentBytes: number): void {
    const leftBytes = this.#processFullBytes - residentBytes;
    this.#processIsFull = leftBytes < 0;
    // What the process has grown by for other reasons is not there for tunnels.
    const roomBytes = Math.min(this.#budgetBytes, this.#worker.bytes + leftBytes);
    this.#worker.capBytes = Math.max(this.#budgetBytes * LEAST_PART, roomBytes);
    for (const share of this.#shares())
      for (let worst = share.heaviest(); share.isFull && worst?.isStill === true; worst = share.heaviest()) cut(worst);
    this.#cutWhenFullForLong();
    for (const account of this.#worker.accounts) account.looked();
    this.#shed();
  }

  /** One a look. Not where the process has grown by other things: its bound is lower then. */
  #cutWhenFullForLong(): void {
    this.#fullLooks = this.#worker.bytes > this.#budgetBytes * FULL ? this.#fullLooks + 1 : 0;
    if (this.#fullLooks <= FULL_LOOKS) return;
    const worst = this.#worker.heaviest();
    if (worst !== null) cut(worst);
  }

  /** May so many bytes of a user's wait for a target beyond their channel's end? True counts them until `lingered`. */
  linger(user: string, bytes: number): boolean {
    if (!this.#lingering.begin(user, bytes)) return false;
    this.#worker.bytes += bytes;
    return true;
  }
  lingered(user: string, bytes: number): void {
    this.#lingering.end(user, bytes);
    this.#worker.bytes -= bytes;
  }

  #shares(): readonly Share[] {
    return [...this.#users.values(), this.#worker];
  }

  /** What the last login said holds for all of the user's connections. */
  #shareOf(user: string, limitBytes: number): Share {
    const capBytes = Math.min(limitBytes || Number.POSITIVE_INFINITY, this.#budgetBytes * USER_PART);
    const share = this.#users.get(user) ?? new Share(capBytes);
    share.capBytes = capBytes;
    this.#users.set(user, share);
    return share;
  }

  /** Not at once: the call that passed the bound stands in the middle of a packet. */
  #shedSoon(): void {
    if (this.#shedding) return;
    this.#shedding = true;
    setImmediate(() => {
      this.#shedding = false;
      this.#shed();
    });
  }

  #shed(): void {
    for (const share of this.#shares())
      for (let worst = share.heaviest(); share.isOver && worst !== null; worst = share.heaviest()) cut(worst);
  }
}

function cut(account: Account): void {
  account.cut();
  account.close(); // whatever came of it: nobody is cut twice
}
