/** IDENTITY: the nouns that hooks, policy and forwards speak in. Types only, so that every room means the same.
 *  Owns nothing. */

/** The TCP peer of an SSH connection. */
export interface Peer {
  /** IP literal, a v4-mapped address already written as IPv4. */
  readonly address: string;
  readonly port: number;
}

/** Who logged in. Hooks may return one of their own; whatever else it carries reaches the later hooks untouched. */
export interface Identity {
  /** Name under which limits are counted and ports are leased; the same on every worker. 1 to 255 bytes, all printable, so
   *  that it is the same in every log and event. */
  readonly user: string;
  /** `SHA256:…` of the key that signed, where one did. */
  readonly fingerprint?: string;
}

/** What a security key (FIDO) says of the moment in which it signed; part of what it signs (OpenSSH's PROTOCOL.u2f). */
export interface Presence {
  /** Somebody has touched it. A login without is refused unless the key's line says `no-touch-required`. */
  readonly touched: boolean;
  /** It has verified who: by PIN or finger. */
  readonly verified: boolean;
  /** How many signatures it has made, if it counts. For the log: it is never compared (DECISIONS 64). */
  readonly counter: number;
}

/** A public key as it is offered or has signed (RFC 4253 §6.6). Of a certificate this is the key in it. */
export interface PublicKeyInfo {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, `sk-ssh-ed25519@openssh.com`, … as the blob says. */
  readonly type: string;
  /** Signature algorithm asked for, e.g. `rsa-sha2-512` for an `ssh-rsa` key, `ssh-ed25519-cert-v01@openssh.com` for a
   *  certificate. */
  readonly algorithm: string;
  /** `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** The key blob, a copy of its own. */
  readonly blob: Buffer;
  /** `TYPE BASE64` without a comment. */
  readonly line: string;
  /** False for the query step (RFC 4252 §7), true when the peer has proved that it holds the private key. */
  readonly verified: boolean;
  /** The OpenSSH certificate that the key came in, as it was sent. Nothing in it is worth more than the peer's word until a CA that
   *  you trust is found to have signed it: `ConfiguredServer` does that, a hook of your own may pass over it. */
  readonly certificate?: Buffer;
  /** With `verified`, of a security key. */
  readonly presence?: Presence;
}

/** Where a tunnel says that it comes from: the originator fields (RFC 4254 §7.2). Told by the peer, never trusted. */
export interface Origin {
  readonly host: string;
  readonly port: number;
}

/** What a direct-tcpip or direct-streamlocal@openssh.com channel wants to reach. */
export type Destination =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export type TcpDestination = Extract<Destination, { readonly kind: 'tcp' }>;

/** What a tcpip-forward or streamlocal-forward@openssh.com request wants to bind. */
export type BindAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export type AuthMethod = 'publickey' | 'password' | 'keyboard-interactive';

/** One way to log in: a method, or several in a row, each of which has to succeed (RFC 4252 §5.1; the form of OpenSSH's
 *  AuthenticationMethods). */
export type AuthChain = AuthMethod | `${AuthMethod},${AuthMethod}` | `${AuthMethod},${AuthMethod},${AuthMethod}`;
