/** BENCH TYPES: what a peer, a scenario and a sample are. Owns nothing. */

/** A server under load, started by the suite on loopback. It lets `user` in by the suite's key and forwards
 *  anywhere. */
export interface RunningServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Process ids whose trees are the server: CPU and memory are summed over them. */
  readonly roots: readonly number[];
  /** Of a sharded server: the process that accepts, for the hand-off's share. Absent where one process does all. */
  readonly primary?: number;
  /** What it was started with, for the report: its config file, or its command line. */
  readonly config?: string;
  /** Ends the processes that it started, by id, and waits for their end. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** A folder of this server's own, removed by the suite. */
  readonly dir: string;
  /** The user key's public half, in authorized_keys format. */
  readonly authorizedKeysFile: string;
  /** An ed25519 host key in OpenSSH format, mode 0600. All peers use the same. */
  readonly hostKeyFile: string;
  /** Default 1. Only sharded servers look at it. */
  readonly workers?: number;
}

/** One kind of server that can be measured. */
export interface Peer {
  readonly name: string;
  /** Name and version as shown in the tables, or why it cannot run here. */
  probe(): Promise<Found>;
  /** @throws when it does not listen within its time; nothing is left running then */
  start(options: StartOptions): Promise<RunningServer>;
  /** Ciphers that it has, by SSH name. Cells of others are left out for it. */
  readonly ciphers: readonly string[];
  /** Features that a scenario may need; see `Scenario.needs`. */
  readonly lacks?: readonly Feature[];
}

export type Found =
  | { readonly found: true; readonly version: string }
  | { readonly found: false; readonly why: string };

/** `shared-process`: many connections in one process. A process for each is what keeps a server from 10,000 of them: OpenSSH
 *  would need 16 GB. `many-logins`: more than five connections from one address that have not logged in yet, which dropbear's
 *  build forbids. `chosen-port`: a server that was asked for port 0 names the real port in each channel that it then opens
 *  (RFC 4254 §7.2); asyncssh 2.10 names 0, and no client knows which port is meant. */
export type Feature = 'shared-process' | 'many-logins' | 'chosen-port';

/** What a figure is: its unit, and which way is good. */
export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly higherIsBetter: boolean;
  /** Its ratio to OpenSSH stands in the tables; the others only in the JSON. */
  readonly headline?: boolean;
}

/** One line of a scenario's table: an operating point such as "aes128-gcm, up, 8 tunnels". */
export interface Cell {
  readonly id: string;
  /** The cipher that it needs, where it needs one. */
  readonly cipher?: string;
  readonly needs?: readonly Feature[];
  /** Workers that the server is started with. Default 1. */
  readonly workers?: number;
}

/** Figures of one measurement, by metric name. */
export type Sample = Readonly<Record<string, number>>;

/** A `Scenario<BulkCell>` may stand in a list of `Scenario`: TypeScript lets a method take a narrower parameter.
 *  That is sound as long as `measure` is given only cells that the same scenario's `cells` made. */
export interface Scenario<C extends Cell = Cell> {
  readonly name: string;
  /** One sentence: what is done, and what is checked at the receiving side. */
  readonly about: string;
  readonly metrics: readonly Metric[];
  /** `quick`: the smallest cells that still exercise every path, for CI. */
  cells(quick: boolean): readonly C[];
  /** Names of peers that it is run against; undefined = all. */
  readonly peers?: readonly string[];
  /** Every measurement gets a server that was just started: a heap that has once grown hides what the next connection
   *  costs. */
  readonly freshServer?: boolean;
  /** Measures once. Everything it started is gone when it settles.
   *  @throws VerificationFailed when what arrived is not what was sent: the measurement then has no number */
  measure(server: RunningServer, cell: C, bench: Bench): Promise<Sample>;
}

/** What the suite gives to a measurement. */
export interface Bench {
  /** The user's private key; `ssh -i`. */
  readonly identityFile: string;
  /** known_hosts that holds the host key of all peers, for any port. */
  readonly knownHostsFile: string;
  readonly quick: boolean;
  /** Aborted when the run is interrupted. */
  readonly signal: AbortSignal;
  /** A line for the person who waits; not kept. */
  progress(text: string): void;
}

/** Bytes were lost, doubled or changed. */
export class VerificationFailed extends Error {
  override readonly name = 'VerificationFailed';
}
