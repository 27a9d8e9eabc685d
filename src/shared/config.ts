/** CONFIG: THE table. One entry per key: its kind and unit, default, range, what zero or `off` means, the reason for the
 *  number and where it comes from. Owns the only place where a default stands. The file's reader (config_file.ts), the
 *  JSON Schema and docs/config.md (config_schema.ts) and the types below all come from it. Data only. */

import type { Table, Values } from './config_keys.js';
import type { AuthMethod } from './identity.js';
import { LOG_LEVELS } from './log.js';

/** Keys of `defaults` and of each user. */
export const USER_KEYS = {
  authorizedKeys: {
    kind: 'authorizedKeys',
    default: [],
    does: 'Public keys that may log in: a file in authorized_keys format, or a list of such lines',
    why: 'none by default: a user without a key and without a password cannot log in at all',
    source: 'sshd(8), AUTHORIZED_KEYS FILE FORMAT',
  },
  password: {
    kind: 'passwordHash',
    default: null,
    does: 'Hash of the password, as `sallyport hash-password` prints it',
    why: 'none by default; only argon2id is taken, so that a stolen config file is dear to guess against',
    source: 'RFC 9106',
  },
  totp: { kind: 'later', does: 'Second factor' },
  permitOpen: {
    kind: 'openPatterns',
    default: ['*:*'],
    does: 'Destinations of -L, -D, -J and -W: `HOST:PORTS`, or a socket path with `*` in its last part',
    why: '`*` never covers loopback, link-local and other protected addresses; name them where they are wanted',
    source: 'sshd_config(5) PermitOpen, with ranges and CIDR',
  },
  permitListen: {
    kind: 'listenPatterns',
    default: ['localhost:1024-65535'],
    does: 'Addresses that -R may bind: `HOST:PORTS`, or a socket path with `*` in its last part',
    why: 'what OpenSSH gives with GatewayPorts no, without the privileged ports',
    source: 'sshd_config(5) PermitListen',
  },
  limits: {
    connections: {
      kind: 'count',
      default: 10,
      min: 1,
      max: 100_000,
      does: 'Connections of this user at a time, over all workers',
      why: 'enough for several machines, few enough that one user does not take the server',
      source: 'Sallyport',
    },
    channels: {
      kind: 'count',
      default: 1024,
      min: 0,
      max: 1_000_000,
      zero: 'no channel at all',
      does: 'Open channels at a time on one connection of this user; the narrower of this and `limits.channelsPerConnection` holds',
      why: 'a browser behind -D opens some hundred',
      source: 'Sallyport',
    },
    forwards: {
      kind: 'count',
      default: 16,
      min: 0,
      max: 65_535,
      zero: 'no -R at all',
      does: 'Addresses and ports that this user holds by -R at a time, over all workers',
      why: 'ports are shared by all users and there are only 65535',
      source: 'Sallyport',
    },
    bytesPerSecond: { kind: 'later', does: 'Bandwidth of this user' },
  },
} as const satisfies Table;

/** Keys of the file itself, but for `defaults` and `users`. */
export const SERVER_KEYS = {
  listen: {
    kind: 'listeners',
    default: ['0.0.0.0:2222', '[::]:2222'],
    does: 'Addresses to take SSH connections on; port 0 lets the kernel choose',
    why: 'all addresses of both families, on a port that needs no root and that sshd does not use',
    source: 'Sallyport',
  },
  workers: {
    kind: 'workers',
    default: 'auto',
    max: 1024,
    does: 'Worker processes; `auto` is one per core that this process may use',
    why: 'encryption is the work, and it is done in the workers',
    source: 'os.availableParallelism()',
  },
  stateDir: {
    kind: 'path',
    default: './state',
    does: 'Folder for host keys and whatever else the server must find again',
    why: 'beside the config file, so that a copy of the folder is a copy of the server',
    source: 'Sallyport',
  },
  hostKeys: {
    kind: 'paths',
    default: [],
    does: 'Private host key files; with none, ssh_host_ed25519_key and ssh_host_ecdsa_key in stateDir, made when missing',
    why: 'Ed25519 for everybody, ECDSA for clients that know nothing newer',
    source: 'sshd_config(5) HostKey',
  },
  noShell: {
    kind: 'text',
    default: 'This server only carries tunnels: use ssh -N with -L, -R, -D or -J.',
    maxCharacters: 1024,
    does: 'What whoever asks for a shell is told',
    why: 'says what to type instead',
    source: 'RFC 4254 §6.5',
  },
  handler: {
    kind: 'module',
    default: null,
    does: 'Module whose default export is a TunnelServer subclass that decides logins and forwards',
    why: 'none: users, keys and patterns of this file decide',
    source: 'Sallyport',
  },
  auth: {
    methods: {
      kind: 'choices',
      default: ['publickey', 'password', 'keyboard-interactive'],
      values: ['publickey', 'password', 'keyboard-interactive'] satisfies readonly AuthMethod[],
      does: 'Ways to log in that are offered, to known and unknown users alike',
      why: 'all; a user without a password cannot use one',
      source: 'RFC 4252 §7 and §8, RFC 4256',
    },
    maxTries: {
      kind: 'count',
      default: 6,
      min: 1,
      max: 100,
      does: 'Failed tries to log in after which a connection is ended',
      why: 'an agent offers its keys one by one and each counts',
      source: 'sshd_config(5) MaxAuthTries',
    },
    loginGraceTime: {
      kind: 'duration',
      default: '30s',
      min: '1s',
      max: '10m',
      does: 'Time from the TCP connection to the login',
      why: 'OpenSSH waits 120 s; nobody has to type much here, and each waiting peer costs memory. Never off: silent peers would pile up',
      source: 'sshd_config(5) LoginGraceTime',
    },
    trustedUserCAKeys: { kind: 'later', does: 'Certificates of a CA' },
    revokedKeys: { kind: 'later', does: 'Keys that are refused' },
    webhook: { kind: 'later', does: 'Login decided by an HTTP service' },
  },
  limits: {
    startups: {
      kind: 'startups',
      default: '10:30:100',
      does: 'Connections that have not logged in yet, as BEGIN:RATE:FULL: from BEGIN on RATE percent are dropped at random, at FULL all',
      why: 'at random, so that a flood does not shut out everybody else',
      source: 'sshd_config(5) MaxStartups',
    },
    startupsPerSource: { kind: 'later', does: 'Logins under way per source address' },
    connections: {
      kind: 'count',
      default: 20_000,
      min: 1,
      max: 1_000_000,
      does: 'Connections at a time, over all workers',
      why: 'each needs a file descriptor in its worker, each channel one more: see `ulimit -n` before raising it',
      source: 'Sallyport',
    },
    channelsPerConnection: {
      kind: 'count',
      default: 1024,
      min: 1,
      max: 65_536,
      does: 'Open channels at a time on one connection',
      why: 'each holds a socket; the ceiling of OpenSSH is 16384',
      source: 'OpenSSH channels.h CHANNELS_MAX_CHANNELS',
    },
    forwardsPerConnection: {
      kind: 'count',
      default: 64,
      min: 0,
      max: 65_535,
      zero: 'no -R at all',
      does: 'Addresses and ports that one connection holds by -R at a time',
      why: 'each is a listening socket of this machine',
      source: 'Sallyport',
    },
    memoryPerConnection: {
      kind: 'bytes',
      default: '16MiB',
      min: '256KiB',
      max: '1GiB',
      does: 'Bytes that may wait in memory for one connection, all its channels together',
      why: 'a peer that does not read is the one that is cut, not its neighbours; more is faster on long fat lines',
      source: 'RFC 4254 §5.2; bandwidth times delay of 1 Gbit/s over 100 ms is 12 MiB',
    },
    bytesPerSecond: { kind: 'later', does: 'Bandwidth of the server' },
  },
  penalties: { kind: 'later', does: 'Waiting time for sources that fail to log in' },
  timeouts: {
    connect: {
      kind: 'duration',
      default: '10s',
      min: '100ms',
      max: '5m',
      does: 'Time to reach a destination, all its addresses together',
      why: 'a kernel alone tries for two minutes, and the browser behind -D waits with it',
      source: 'RFC 8305',
    },
    hook: {
      kind: 'duration',
      default: '10s',
      min: '100ms',
      max: '5m',
      does: 'Time that a hook of your own program, a webhook or the check of a password may take; no answer in time denies',
      why: 'more than a database or a web service takes, and the user waits with it. Never off: a hook that hangs would keep open what asked it',
      source: 'Sallyport',
    },
    keepalive: {
      kind: 'duration',
      default: '15s',
      min: '1s',
      max: '1h',
      off: 'never ask',
      does: 'Silence after which the peer is asked whether it is still there',
      why: 'finds a dead peer, and frees the ports it holds, in 60 to 75 s; keeps NAT entries alive',
      source: 'sshd_config(5) ClientAliveInterval',
    },
    keepaliveCount: {
      kind: 'count',
      default: 3,
      min: 1,
      max: 100,
      does: 'Questions in a row without an answer after which the connection is ended',
      why: 'one lost packet is no death',
      source: 'sshd_config(5) ClientAliveCountMax',
    },
    halfClose: {
      kind: 'duration',
      default: '10m',
      min: '1s',
      max: '1d',
      does: 'Time that a channel of which one side has ended may stay silent on the other',
      why: 'a kernel never ends a half-closed socket that a program holds. Never off: such channels would pile up',
      source: 'RFC 4254 §5.3',
    },
    idleChannel: {
      kind: 'duration',
      default: 'off',
      min: '1s',
      max: '7d',
      off: 'channels may be silent for ever',
      does: 'Time that a channel may stay silent both ways',
      why: 'off: databases and push services keep silent connections for days, as TCP allows',
      source: 'sshd_config(5) ChannelTimeout',
    },
    stalledWrite: {
      kind: 'duration',
      default: '60s',
      min: '1s',
      max: '1h',
      does: 'Time that a peer may take no byte of what waits for it',
      why: 'Node knows no TCP_USER_TIMEOUT: the kernel alone waits 15 minutes. Never off: the bytes stay in memory',
      source: 'RFC 5482',
    },
    drain: {
      kind: 'duration',
      default: '30s',
      min: '0s',
      max: '1d',
      zero: 'end everything at once',
      does: 'Time for live connections to end by themselves after SIGTERM',
      why: 'below the 90 s after which systemd kills',
      source: 'systemd.service(5) TimeoutStopSec',
    },
  },
  rekey: {
    bytes: {
      kind: 'bytes',
      default: '1GiB',
      min: '64KiB',
      max: '64GiB',
      does: 'Bytes, both directions together, after which new keys are agreed',
      why: 'never off: past 2^32 blocks AES in counter mode is no longer safe',
      source: 'RFC 4253 §9, RFC 4344 §3.2',
    },
    time: {
      kind: 'duration',
      default: '1h',
      min: '10s',
      max: '1d',
      does: 'Time after which new keys are agreed',
      why: 'a key that leaks opens an hour, and one key exchange an hour costs next to nothing',
      source: 'RFC 4253 §9',
    },
  },
  admin: { kind: 'later', does: 'The admin socket' },
  log: {
    level: {
      kind: 'choice',
      default: 'info',
      values: LOG_LEVELS,
      does: 'Least important lines that are written',
      why: 'info tells who came, what was refused and what was bound, not the bytes of each channel',
      source: 'pino',
    },
    format: {
      kind: 'choice',
      default: 'auto',
      values: ['auto', 'pretty', 'json'],
      does: 'How lines look; `auto` is pretty on a terminal and JSON elsewhere',
      why: 'people read terminals, programs read the rest',
      source: 'Sallyport',
    },
    audit: { kind: 'later', does: 'The audit file' },
  },
} as const satisfies Table;

/** What a user has, the defaults already filled in. */
export interface UserConfig extends Values<typeof USER_KEYS> {
  readonly name: string;
}

/** The whole config, every default filled in, every path absolute. Plain data: it travels to the workers as JSON. */
export interface Config extends Values<typeof SERVER_KEYS> {
  /** A list, never an object keyed by name: `__proto__` and `constructor` are user names like any other. */
  readonly users: readonly UserConfig[];
}
