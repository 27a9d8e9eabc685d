/** ASKING: who asks to be let in, from where and when: what lines and certificates are judged by. Types alone. */

/** From where, and when. */
export interface Asking {
  /** The peer's IP address in canonical form. */
  readonly address: string;
  /** Wall clock. */
  readonly nowMs: number;
}

/** The same under a name. */
export interface Asker extends Asking {
  /** That the peer gave. */
  readonly username: string;
}
