/** CONFIG OPTIONS: the keys of the config file as types, for programs that write a config as an object.
 *  Made by `npm run docs` from src/shared/config.ts; a test holds it to that. Do not edit. */

import type { ListenOptions } from './config_keys.js';
import type { Bytes, Duration, StartupsText } from './units.js';

/** The config file as an object: the same keys, with units written as texts. What is left out has its default.
 *  Paths start at the working folder. */
export interface ConfigOptions {
  /** Addresses to take SSH connections on; port 0 lets the kernel choose. With `proxyProtocol.from`, whoever
   *  connects from there must begin with a PROXY header (version 1 or 2), and whom it names counts as the peer in
   *  everything; a header from elsewhere is refused (docs/proxy.md).
   *
   *  Allowed: a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of { address: "HOST:PORT",
   *  proxyProtocol: { from: [ADDRESS or CIDR block, …] } }.
   *  Why: all addresses of both families, on a port that needs no root and that sshd does not use.
   *  Source: Sallyport; HAProxy, proxy-protocol.txt.
   *  @default ['0.0.0.0:2222', '[::]:2222'] */
  readonly listen?: readonly (string | ListenOptions)[] | undefined;
  /** Worker processes; `auto` is one per core that this process may use.
   *
   *  Allowed: auto or a whole number from 1 to 1024.
   *  Why: encryption is the work, and it is done in the workers.
   *  Source: os.availableParallelism().
   *  @default 'auto' */
  readonly workers?: number | 'auto' | undefined;
  /** Folder for host keys and whatever else the server must find again.
   *
   *  Allowed: a path.
   *  Why: beside the config file, so that a copy of the folder is a copy of the server.
   *  Source: Sallyport.
   *  @default './state' */
  readonly stateDir?: string | undefined;
  /** Private host key files; clients are shown the first of each type, the others are only announced, so that they
   *  can be changed to later (docs/running.md). With none, ssh_host_ed25519_key and ssh_host_ecdsa_key in stateDir,
   *  made when missing.
   *
   *  Allowed: a list of paths.
   *  Why: Ed25519 for everybody, ECDSA for clients that know nothing newer.
   *  Source: sshd_config(5) HostKey.
   *  @default [] */
  readonly hostKeys?: readonly string[] | undefined;
  /** Certificates of host keys, so that clients that trust the CA connect without a question (docs/crypto.md). Each
   *  must be for one of the host keys; of several keys of one type with a certificate, clients are shown the first.
   *
   *  Allowed: a list of paths of host certificates, as `ssh-keygen -s CA -h` makes them.
   *  Why: none: a CA is the operator's own.
   *  Source: sshd_config(5) HostCertificate, OpenSSH PROTOCOL.certkeys.
   *  @default [] */
  readonly hostCertificates?: readonly string[] | undefined;
  /** What whoever asks for a shell is told.
   *
   *  Allowed: a text of at most 1024 characters without control characters.
   *  Why: says what to type instead.
   *  Source: RFC 4254 §6.5.
   *  @default 'This server only carries tunnels: use ssh -N with -L, -R, -D or -J.' */
  readonly noShell?: string | undefined;
  /** Module whose default export is a TunnelServer subclass that decides logins and forwards.
   *
   *  Allowed: a path of a JavaScript module.
   *  Why: none: users, keys and patterns of this file decide.
   *  Source: Sallyport.
   *  @default none */
  readonly handler?: string | undefined;
  readonly auth?: AuthOptions | undefined;
  readonly limits?: LimitsOptions | undefined;
  readonly penalties?: PenaltiesOptions | false | undefined;
  readonly timeouts?: TimeoutsOptions | undefined;
  readonly rekey?: RekeyOptions | undefined;
  readonly algorithms?: AlgorithmsOptions | undefined;
  readonly admin?: AdminOptions | false | undefined;
  readonly log?: LogOptions | undefined;
  /** What every user gets unless it says otherwise. */
  readonly defaults?: UserOptions | undefined;
  /** Who may log in, by login name.
   *
   *  A Map takes every name; an object literal takes `__proto__` for something else. */
  readonly users?: Readonly<Record<string, UserOptions>> | ReadonlyMap<string, UserOptions> | undefined;
}

/** Keys of `auth`. */
export interface AuthOptions {
  /** Ways to log in that are offered, to known and unknown users alike.
   *
   *  Allowed: a list of at least one of publickey, password, keyboard-interactive.
   *  Why: all; a user without a password cannot use one.
   *  Source: RFC 4252 §7 and §8, RFC 4256.
   *  @default ['publickey', 'password', 'keyboard-interactive'] */
  readonly methods?: readonly ('publickey' | 'password' | 'keyboard-interactive')[] | undefined;
  /** Failed tries to log in after which a connection is ended.
   *
   *  Allowed: a whole number from 1 to 100.
   *  Why: an agent offers its keys one by one and each counts.
   *  Source: sshd_config(5) MaxAuthTries.
   *  @default 6 */
  readonly maxTries?: number | undefined;
  /** Time from the TCP connection to the login.
   *
   *  Allowed: 1s to 10m.
   *  Why: OpenSSH waits 120 s; nobody has to type much here, and each waiting peer costs memory. Never off: silent
   *  peers would pile up.
   *  Source: sshd_config(5) LoginGraceTime.
   *  @default '30s' */
  readonly loginGraceTime?: Duration | undefined;
  /** How often the files of keys (of users, of CAs, revoked ones) are looked at; changed ones are read, and hold at
   *  once. The config file itself is read at a reload alone.
   *
   *  Allowed: 100ms to 1h or off (off means they are read at a reload alone).
   *  Why: two seconds: nobody waits for it, and a look costs one system call a file.
   *  Source: OpenSSH, which reads them at each login.
   *  @default '2s' */
  readonly rereadFiles?: Duration | 'off' | undefined;
  /** Public keys of CAs whose certificates let in every user of this config that they name as a principal: a file
   *  with one a line, or a list of such lines, without options.
   *
   *  Allowed: a path or a list of authorized_keys lines.
   *  Why: none by default. CAs for one user alone stand in his `authorizedKeys`, behind `cert-authority`. A line
   *  that is no key is an error: certificates would be refused, and nobody would know why.
   *  Source: sshd_config(5) TrustedUserCAKeys; OpenSSH PROTOCOL.certkeys.
   *  @default [] */
  readonly trustedUserCAKeys?: string | readonly string[] | undefined;
  /** Keys and certificates that are refused, whoever has written them down elsewhere: an OpenSSH KRL, as
   *  `ssh-keygen -k` makes it, or a file of public keys, one a line. A key there also revokes the certificates for
   *  it, and those that it has issued.
   *
   *  Allowed: a path of an OpenSSH KRL or of a file of public keys.
   *  Why: none by default. Anything in the file that is not understood is an error and no empty list, so that no
   *  revoked key gets in by a slip.
   *  Source: sshd_config(5) RevokedKeys; OpenSSH PROTOCOL.krl.
   *  @default none */
  readonly revokedKeys?: string | undefined;
  /** End the connections of a key or certificate at the moment when it expires (`expiry-time`, "valid before").
   *
   *  Allowed: true or false.
   *  Why: false, as in sshd, where such a moment bears on logins alone and a tunnel of yesterday may run for weeks.
   *  Source: Sallyport.
   *  @default false */
  readonly endExpired?: boolean | undefined;
  readonly webhook?: AuthWebhookOptions | undefined;
}

/** Keys of `auth.webhook`. */
export interface AuthWebhookOptions {
  /** HTTP service that is asked about every login and must say yes, by POST and in JSON (docs/access.md). Whom the
   *  config does not know, it alone lets in, with `defaults`; whatever is no answer denies.
   *
   *  Allowed: http://HOST:PORT/PATH, https://HOST/PATH or unix:/SOCKET:/PATH.
   *  Why: none: the users of this file decide. https, a Unix socket or this machine, since passwords are among the
   *  questions.
   *  Source: Sallyport.
   *  @default none */
  readonly url?: string | undefined;
  /** File with a secret that is sent along as `Authorization: Bearer …`, so that the service can tell who asks.
   *
   *  Allowed: a path of a file with one line of at most 4096 visible ASCII characters, which nobody else may read.
   *  Why: in a file of its own, which fewer people read than a config.
   *  Source: RFC 6750 §2.1.
   *  @default none */
  readonly tokenFile?: string | undefined;
  /** Time from a question to the end of its answer, waiting included; no longer than `timeouts.hook`.
   *
   *  Allowed: 100ms to 1m.
   *  Why: the user waits with it. Never off: a service that hangs would hold every login.
   *  Source: Sallyport.
   *  @default '5s' */
  readonly timeout?: Duration | undefined;
  /** Questions at a time, in each worker; their connections are kept for the next ones.
   *
   *  Allowed: a whole number from 1 to 256.
   *  Why: at 10 ms an answer, 800 a second.
   *  Source: Sallyport.
   *  @default 8 */
  readonly connections?: number | undefined;
  /** Logins of a worker that may wait for one of these; one more is refused (POOL_BUSY).
   *
   *  Allowed: a whole number from 0 to 10000 (0 means nobody waits).
   *  Why: as many as wait for the check of a password.
   *  Source: Sallyport.
   *  @default 64 */
  readonly queue?: number | undefined;
}

/** Keys of `limits`. */
export interface LimitsOptions {
  /** Connections that have not logged in yet, as BEGIN:RATE:FULL: from BEGIN on RATE percent are dropped at random,
   *  at FULL all. Counted apart for sources that have logged in before (of each user the last eight), for those of
   *  them that have another start-up under way, for `penalties.exempt`, for suspects (another start-up under way,
   *  or a penalty within the last minute) and for all others; of either of the last two kinds at most FULL may
   *  begin a second.
   *
   *  Allowed: "BEGIN:RATE:FULL" with BEGIN up to FULL and RATE from 1 to 100, such as "10:30:100".
   *  Why: at random, so that a flood does not shut out everybody else; apart, so that a flood of strangers does not
   *  shut out those who are known.
   *  Source: sshd_config(5) MaxStartups.
   *  @default '10:30:100' */
  readonly startups?: StartupsText | undefined;
  /** Connections of one source (an IPv4 address, a /64 of IPv6) that have not logged in yet; not for
   *  `penalties.exempt`.
   *
   *  Allowed: a whole number from 0 to 100000 (0 means no limit).
   *  Why: enough for a team behind one address; one flooder cannot take the places of all others.
   *  Source: sshd_config(5) PerSourceMaxStartups, which is off there; PerSourceNetBlockSize 32:64.
   *  @default 10 */
  readonly startupsPerSource?: number | undefined;
  /** Connections at a time, over all workers.
   *
   *  Allowed: a whole number from 1 to 1000000.
   *  Why: each needs a file descriptor in its worker, each channel one more: see `ulimit -n` before raising it.
   *  Source: Sallyport.
   *  @default 20000 */
  readonly connections?: number | undefined;
  /** Open channels at a time on one connection.
   *
   *  Allowed: a whole number from 1 to 65536.
   *  Why: each holds a socket; the ceiling of OpenSSH is 16384.
   *  Source: OpenSSH channels.h CHANNELS_MAX_CHANNELS.
   *  @default 1024 */
  readonly channelsPerConnection?: number | undefined;
  /** Addresses and ports that one connection holds by -R at a time.
   *
   *  Allowed: a whole number from 0 to 65535 (0 means no -R at all).
   *  Why: each is a listening socket of this machine.
   *  Source: Sallyport.
   *  @default 64 */
  readonly forwardsPerConnection?: number | undefined;
  /** Connections at a time that come in by one -R port or socket, with those that the client has not answered yet.
   *
   *  Allowed: a whole number from 1 to 65536.
   *  Why: half of the channels: whoever floods a port leaves its owner the rest.
   *  Source: Sallyport.
   *  @default 512 */
  readonly inboundPerForward?: number | undefined;
  /** New connections a second by one -R port or socket; twice as many at once.
   *
   *  Allowed: a whole number from 0 to 1000000 (0 means no limit).
   *  Why: beyond what a development server has for visitors; the rest is closed at once and costs little.
   *  Source: Sallyport.
   *  @default 500 */
  readonly inboundPerSecond?: number | undefined;
  /** Bytes that may wait in memory for one connection, all its channels together.
   *
   *  Allowed: 256KiB to 1GiB.
   *  Why: a peer that does not read is the one that is cut, not its neighbours; more is faster on long fat lines.
   *  Source: RFC 4254 §5.2; bandwidth times delay of 1 Gbit/s over 100 ms is 12 MiB.
   *  @default '16MiB' */
  readonly memoryPerConnection?: Bytes | undefined;
  /** Bytes that may wait in memory for all connections of a worker. From half of it on windows get smaller, from
   *  four fifths on nothing new is opened; then the connection that holds most and stands still is cut.
   *
   *  Allowed: 16MiB to 1TiB or auto (auto means a quarter of the memory of the machine, or of its cgroup, divided
   *  by `workers`; 64MiB at least).
   *  Why: the kernel would kill the worker with everybody in it; code, heap and the socket buffers of the kernel
   *  need the rest.
   *  Source: Sallyport.
   *  @default 'auto' */
  readonly memoryPerWorker?: Bytes | 'auto' | undefined;
}

/** Keys of `penalties`. */
export interface PenaltiesOptions {
  /** Refuse a source for a time once the penalties of its connections add up to `min`; `penalties: false` switches
   *  it off.
   *
   *  Allowed: true or false.
   *  Why: whoever guesses passwords or floods is turned away before anything is spent on it.
   *  Source: sshd_config(5) PerSourcePenalties.
   *  @default true */
  readonly enabled?: boolean | undefined;
  /** Penalty of a connection that ends with failed tries and no login, or that breaks the protocol before a login.
   *
   *  Allowed: 0s to 1h (0 means no penalty).
   *  Why: per connection, not per try: an agent with five keys is not five times as suspect.
   *  Source: sshd_config(5) PerSourcePenalties authfail.
   *  @default '5s' */
  readonly authFail?: Duration | undefined;
  /** Penalty of a connection that ends without a try to log in.
   *
   *  Allowed: 0s to 1h (0 means no penalty).
   *  Why: low: ssh-keyscan and health checks do nothing else; one a second never adds up.
   *  Source: sshd_config(5) PerSourcePenalties noauth.
   *  @default '1s' */
  readonly noAuth?: Duration | undefined;
  /** Penalty of a connection that a deadline ended before its login: ident, key exchange or `auth.loginGraceTime`.
   *
   *  Allowed: 0s to 1h (0 means no penalty).
   *  Why: it has held a place in `limits.startups` all that time.
   *  Source: sshd_config(5) PerSourcePenalties grace-exceeded.
   *  @default '10s' */
  readonly graceExceeded?: Duration | undefined;
  /** Penalties left to run from which a source is refused, until all of them have run off.
   *
   *  Allowed: 0s to 1d (0 means refused from the first penalty on).
   *  Why: two wrong passwords cost nobody anything.
   *  Source: sshd_config(5) PerSourcePenalties min.
   *  @default '15s' */
  readonly min?: Duration | undefined;
  /** Longest time that a source is refused, however much it has earned.
   *
   *  Allowed: 1s to 7d.
   *  Why: others may come from the same address tomorrow.
   *  Source: sshd_config(5) PerSourcePenalties max.
   *  @default '10m' */
  readonly max?: Duration | undefined;
  /** Addresses that get no penalties and have no `limits.startupsPerSource`; their start-ups are counted apart from
   *  all others.
   *
   *  Allowed: a list of addresses and CIDR blocks, such as "10.0.0.0/8" or "2001:db8::/32".
   *  Why: who is on this machine needs no SSH to harm it; add your proxies, monitors and own networks.
   *  Source: sshd_config(5) PerSourcePenaltyExemptList.
   *  @default ['127.0.0.0/8', '::1'] */
  readonly exempt?: readonly string[] | undefined;
}

/** Keys of `timeouts`. */
export interface TimeoutsOptions {
  /** Time to reach a destination, all its addresses together.
   *
   *  Allowed: 100ms to 5m.
   *  Why: a kernel alone tries for two minutes, and the browser behind -D waits with it.
   *  Source: RFC 8305.
   *  @default '10s' */
  readonly connect?: Duration | undefined;
  /** Time that a hook of your own program, a webhook or the check of a password may take; no answer in time denies.
   *
   *  Allowed: 100ms to 5m.
   *  Why: more than a database or a web service takes, and the user waits with it. Never off: a hook that hangs
   *  would keep open what asked it.
   *  Source: Sallyport.
   *  @default '10s' */
  readonly hook?: Duration | undefined;
  /** Silence after which the peer is asked whether it is still there.
   *
   *  Allowed: 1s to 1h or off (off means never ask).
   *  Why: finds a dead peer, and frees the ports it holds, within 45 s (keepaliveCount times this); keeps NAT
   *  entries alive.
   *  Source: sshd_config(5) ClientAliveInterval.
   *  @default '15s' */
  readonly keepalive?: Duration | 'off' | undefined;
  /** Times of keepalive in a row without a byte of the peer after which its connection is ended; each but the last
   *  ends with a question, so 1 counts as 2.
   *
   *  Allowed: a whole number from 1 to 100.
   *  Why: one lost packet is no death.
   *  Source: sshd_config(5) ClientAliveCountMax.
   *  @default 3 */
  readonly keepaliveCount?: number | undefined;
  /** Time that a channel of which one side has ended may stay silent on the other.
   *
   *  Allowed: 1s to 1d.
   *  Why: a kernel never ends a half-closed socket that a program holds. Never off: such channels would pile up.
   *  Source: RFC 4254 §5.3.
   *  @default '10m' */
  readonly halfClose?: Duration | undefined;
  /** Time that a channel may stay silent both ways.
   *
   *  Allowed: 1s to 7d or off (off means channels may be silent for ever).
   *  Why: off: databases and push services keep silent connections for days, as TCP allows.
   *  Source: sshd_config(5) ChannelTimeout.
   *  @default 'off' */
  readonly idleChannel?: Duration | 'off' | undefined;
  /** Time that a peer may take no byte of what waits for it.
   *
   *  Allowed: 1s to 1h.
   *  Why: Node knows no TCP_USER_TIMEOUT: the kernel alone waits 15 minutes. Never off: the bytes stay in memory.
   *  Source: RFC 5482.
   *  @default '60s' */
  readonly stalledWrite?: Duration | undefined;
  /** Time for live connections to end by themselves after SIGTERM.
   *
   *  Allowed: 0s to 1d (0 means end everything at once).
   *  Why: below the 90 s after which systemd kills.
   *  Source: systemd.service(5) TimeoutStopSec.
   *  @default '30s' */
  readonly drain?: Duration | undefined;
  /** Time that a replaced worker goes on with its connections, before `timeouts.drain` begins for them.
   *
   *  Allowed: 1s to 7d or off (off means until its last connection ends).
   *  Why: off: a replacement is to be felt by nobody, and a tunnel may live for weeks; a bound ends old processes
   *  where replacements are frequent.
   *  Source: nginx worker_shutdown_timeout, HAProxy hard-stop-after; both off by default.
   *  @default 'off' */
  readonly retire?: Duration | 'off' | undefined;
}

/** Keys of `rekey`. */
export interface RekeyOptions {
  /** Bytes in either direction after which new keys are agreed.
   *
   *  Allowed: 64KiB to 64GiB.
   *  Why: never off: past 2^32 blocks AES in counter mode is no longer safe.
   *  Source: RFC 4253 §9, RFC 4344 §3.2.
   *  @default '1GiB' */
  readonly bytes?: Bytes | undefined;
  /** Packets in either direction after which new keys are agreed.
   *
   *  Allowed: a whole number from 1000 to 2147483648.
   *  Why: their numbers have 32 bits, and ChaCha20 with one number twice under one key gives the text away.
   *  Source: RFC 4344 §3.1.
   *  @default 2147483648 */
  readonly packets?: number | undefined;
  /** Time after which new keys are agreed.
   *
   *  Allowed: 10s to 1d.
   *  Why: a key that leaks opens an hour, and one key exchange an hour costs next to nothing.
   *  Source: RFC 4253 §9.
   *  @default '1h' */
  readonly time?: Duration | undefined;
}

/** Keys of `algorithms`. */
export interface AlgorithmsOptions {
  /** Key exchanges that are offered (docs/crypto.md).
   *
   *  Allowed: a list of at least one of mlkem768x25519-sha256, curve25519-sha256, curve25519-sha256@libssh.org,
   *  ecdh-sha2-nistp256.
   *  Why: the first is safe from quantum computers too, the others for clients that do not know it. Leaving out
   *  `ecdh-sha2-nistp256` shuts out clients in FIPS mode and old Java ones.
   *  Source: draft-ietf-sshm-mlkem-hybrid-kex, RFC 8731, RFC 5656.
   *  @default ['mlkem768x25519-sha256', 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'] */
  readonly kex?:
    | readonly ('mlkem768x25519-sha256' | 'curve25519-sha256' | 'curve25519-sha256@libssh.org' | 'ecdh-sha2-nistp256')[]
    | undefined;
  /** Ciphers that are offered, the same in both directions.
   *
   *  Allowed: a list of at least one of aes128-gcm@openssh.com, aes256-gcm@openssh.com,
   *  chacha20-poly1305@openssh.com, aes128-ctr, aes192-ctr, aes256-ctr.
   *  Why: all that are sound. A client without strict key exchange is refused `chacha20-poly1305@openssh.com`
   *  (CVE-2023-48795); AES-GCM costs the least.
   *  Source: RFC 5647, RFC 4344, OpenSSH PROTOCOL.chacha20poly1305.
   *  @default ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'] */
  readonly ciphers?:
    | readonly (
        | 'aes128-gcm@openssh.com'
        | 'aes256-gcm@openssh.com'
        | 'chacha20-poly1305@openssh.com'
        | 'aes128-ctr'
        | 'aes192-ctr'
        | 'aes256-ctr'
      )[]
    | undefined;
  /** MACs that are offered, for the AES-CTR ciphers; the others bring their own.
   *
   *  Allowed: a list of at least one of hmac-sha2-256-etm@openssh.com, hmac-sha2-512-etm@openssh.com,
   *  hmac-sha2-256, hmac-sha2-512.
   *  Why: encrypt-then-MAC alone. `hmac-sha2-256` is for clients that know neither that nor GCM nor ChaCha20, such
   *  as JSch 0.1.
   *  Source: RFC 6668, OpenSSH PROTOCOL §1.5.
   *  @default ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'] */
  readonly macs?:
    | readonly ('hmac-sha2-256-etm@openssh.com' | 'hmac-sha2-512-etm@openssh.com' | 'hmac-sha2-256' | 'hmac-sha2-512')[]
    | undefined;
  /** Signatures of host keys that are offered, of those that the keys in `hostKeys` can make; those with a
   *  certificate where `hostCertificates` has one.
   *
   *  Allowed: a list of at least one of ssh-ed25519-cert-v01@openssh.com, ecdsa-sha2-nistp256-cert-v01@openssh.com,
   *  ecdsa-sha2-nistp384-cert-v01@openssh.com, ecdsa-sha2-nistp521-cert-v01@openssh.com,
   *  rsa-sha2-512-cert-v01@openssh.com, rsa-sha2-256-cert-v01@openssh.com, ssh-ed25519, ecdsa-sha2-nistp256,
   *  ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, rsa-sha2-512, rsa-sha2-256.
   *  Why: all: which keys there are is said by `hostKeys`, Ed25519 and ECDSA over P-256 where it says nothing.
   *  Never with SHA-1.
   *  Source: RFC 8709, RFC 5656, RFC 8332, OpenSSH PROTOCOL.certkeys.
   *  @default ['ssh-ed25519-cert-v01@openssh.com', 'ecdsa-sha2-nistp256-cert-v01@openssh.com', 'ecdsa-sha2-nistp384-cert-v01@openssh.com', 'ecdsa-sha2-nistp521-cert-v01@openssh.com', 'rsa-sha2-512-cert-v01@openssh.com', 'rsa-sha2-256-cert-v01@openssh.com', 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256'] */
  readonly hostKeys?:
    | readonly (
        | 'ssh-ed25519-cert-v01@openssh.com'
        | 'ecdsa-sha2-nistp256-cert-v01@openssh.com'
        | 'ecdsa-sha2-nistp384-cert-v01@openssh.com'
        | 'ecdsa-sha2-nistp521-cert-v01@openssh.com'
        | 'rsa-sha2-512-cert-v01@openssh.com'
        | 'rsa-sha2-256-cert-v01@openssh.com'
        | 'ssh-ed25519'
        | 'ecdsa-sha2-nistp256'
        | 'ecdsa-sha2-nistp384'
        | 'ecdsa-sha2-nistp521'
        | 'rsa-sha2-512'
        | 'rsa-sha2-256'
      )[]
    | undefined;
}

/** Keys of `admin`. */
export interface AdminOptions {
  /** Serve the admin API, for `sallyport status`, `ps`, `kill`, `drain`, `reload`, for metrics and for the page
   *  (docs/admin.md); `admin: false` switches it off. A server that a program makes has it where its options say
   *  `admin`.
   *
   *  Allowed: true or false.
   *  Why: on: by default it is a Unix socket that nobody but the user of this server can open.
   *  Source: Sallyport.
   *  @default true */
  readonly enabled?: boolean | undefined;
  /** Where the admin API is to be had. No tunnel leads there, and nobody binds it by -R.
   *
   *  Allowed: "unix:PATH", or "HOST:PORT" of localhost or another loopback address, or auto (auto means
   *  unix:STATEDIR/admin.sock).
   *  Why: a socket with mode 0600 needs no password; on a network there is no API: tunnel to it by ssh, or put a
   *  proxy with TLS before it as docs/admin.md says.
   *  Source: Sallyport.
   *  @default 'auto' */
  readonly listen?: string | undefined;
  /** File with a secret of at least 16 characters, which every request by TCP has to bring as `Authorization:
   *  Bearer …`.
   *
   *  Allowed: a path of a file with one line of at most 4096 visible ASCII characters, which nobody else may read.
   *  Why: none by default: a Unix socket needs none. By TCP it must be there, since every user of the machine can
   *  connect.
   *  Source: RFC 6750 §2.1.
   *  @default none */
  readonly tokenFile?: string | undefined;
}

/** Keys of `log`. */
export interface LogOptions {
  /** Least important lines that are written.
   *
   *  Allowed: trace, debug, info, warn, error, silent.
   *  Why: info tells who came, what was refused and what was bound, not the bytes of each channel.
   *  Source: pino.
   *  @default 'info' */
  readonly level?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent' | undefined;
  /** How lines look; `auto` is pretty on a terminal and JSON elsewhere.
   *
   *  Allowed: auto, pretty, json.
   *  Why: people read terminals, programs read the rest.
   *  Source: Sallyport.
   *  @default 'auto' */
  readonly format?: 'auto' | 'pretty' | 'json' | undefined;
  /** File that every event is appended to as a line of JSON, whatever `level` says; made with mode 0600, opened
   *  anew by SIGHUP.
   *
   *  Allowed: a path of a file in a folder that exists.
   *  Why: none: on a busy server it is a line or two for each channel, and who keeps an account of people decides
   *  that himself.
   *  Source: auditd, Caddy access logs.
   *  @default none */
  readonly audit?: string | undefined;
}

/** A user, or what `defaults` give to every user. */
export interface UserOptions {
  /** Public keys that may log in: a file in authorized_keys format, or a list of such lines; options before a key
   *  (`restrict`, `permitopen=`, `from=`, …) mean what they mean to sshd (docs/access.md).
   *
   *  Allowed: a path or a list of authorized_keys lines.
   *  Why: none by default: a user without a key and without a password cannot log in at all.
   *  Source: sshd(8), AUTHORIZED_KEYS FILE FORMAT.
   *  @default [] */
  readonly authorizedKeys?: string | readonly string[] | undefined;
  /** Hash of the password, as `sallyport hash-password` prints it, or of scrypt or bcrypt as other servers have
   *  them.
   *
   *  Allowed: an argon2id, scrypt or bcrypt hash in quotes; make one with `sallyport hash-password`.
   *  Why: none by default; never the password itself, so that a stolen config file is dear to guess against. Cheap
   *  hashes and such as take longer than a login may are refused.
   *  Source: RFC 9106, RFC 7914, crypt(5).
   *  @default none */
  readonly password?: string | undefined;
  /** File with an otpauth:// URI: after key or password the code of an authenticator app is asked for, by
   *  keyboard-interactive, whatever `auth.methods` offers.
   *
   *  Allowed: a path of a file with an otpauth://totp/… URI, which nobody else may read.
   *  Why: none by default. A code counts one step before and after its time, once, and ten wrong ones an hour are
   *  all that a user has.
   *  Source: RFC 6238, RFC 4226.
   *  @default none */
  readonly totp?: string | undefined;
  /** Destinations of -L, -D, -J and -W: `HOST:PORTS`, or a socket path with `*` in its last part.
   *
   *  Allowed: a list of "HOST:PORTS" or absolute socket paths, such as "10.0.0.0/8:*" or
   *  "*.internal:443,8000-8999".
   *  Why: `*` never covers loopback, link-local and other protected addresses; name them where they are wanted.
   *  Source: sshd_config(5) PermitOpen, with ranges and CIDR.
   *  @default ['*:*'] */
  readonly permitOpen?: readonly string[] | undefined;
  /** Addresses that -R may bind: `HOST:PORTS`, or a socket path with `*` in its last part.
   *
   *  Allowed: a list of "HOST:PORTS" or absolute socket paths, such as "localhost:1024-65535".
   *  Why: what OpenSSH gives with GatewayPorts no, without the privileged ports.
   *  Source: sshd_config(5) PermitListen.
   *  @default ['localhost:1024-65535'] */
  readonly permitListen?: readonly string[] | undefined;
  readonly limits?: UserLimitsOptions | undefined;
}

/** Keys of `users.NAME.limits`. */
export interface UserLimitsOptions {
  /** Connections of this user at a time, over all workers.
   *
   *  Allowed: a whole number from 1 to 100000.
   *  Why: enough for several machines, few enough that one user does not take the server.
   *  Source: Sallyport.
   *  @default 10 */
  readonly connections?: number | undefined;
  /** Open channels at a time on one connection of this user; the narrower of this and
   *  `limits.channelsPerConnection` holds.
   *
   *  Allowed: a whole number from 0 to 1000000 (0 means no channel at all).
   *  Why: a browser behind -D opens some hundred.
   *  Source: Sallyport.
   *  @default 1024 */
  readonly channels?: number | undefined;
  /** Addresses and ports that this user holds by -R at a time, over all workers.
   *
   *  Allowed: a whole number from 0 to 65535 (0 means no -R at all).
   *  Why: ports are shared by all users and there are only 65535.
   *  Source: Sallyport.
   *  @default 16 */
  readonly forwards?: number | undefined;
  /** Channels that this user may open a second, in each worker; twice as many at once.
   *
   *  Allowed: a whole number from 0 to 1000000 (0 means no limit).
   *  Why: far beyond what people and browsers do; a flood through this server stays a small one.
   *  Source: Sallyport.
   *  @default 1000 */
  readonly opensPerSecond?: number | undefined;
  /** Opens of this user a minute whose destination cannot be reached (refused, timed out, no such name), in each
   *  worker; then nothing is opened for a while.
   *
   *  Allowed: a whole number from 0 to 1000000 (0 means no limit).
   *  Why: a scan of all ports of one address takes an hour; a browser with a dead proxy behind it does not notice.
   *  Source: Sallyport.
   *  @default 1000 */
  readonly failedOpensPerMinute?: number | undefined;
  /** Bytes per second in the channels of this user, each direction for itself, over all connections and workers; up
   *  to a fifth of a second of it may come at once.
   *
   *  Allowed: 1KiB to 1TiB or off (off means no limit).
   *  Why: off: a limit slows its user on an empty line too. Counted is what channels carry, not what SSH adds to
   *  it.
   *  Source: Sallyport.
   *  @default 'off' */
  readonly bytesPerSecond?: Bytes | 'off' | undefined;
  /** Bytes that may wait in memory for the connections of this user, in each worker; never more than half of
   *  `limits.memoryPerWorker`.
   *
   *  Allowed: 1MiB to 1TiB or auto (auto means half of `limits.memoryPerWorker`).
   *  Why: a user whose peers do not read is to feel it himself, before anybody else does.
   *  Source: Sallyport.
   *  @default 'auto' */
  readonly memory?: Bytes | 'auto' | undefined;
}
