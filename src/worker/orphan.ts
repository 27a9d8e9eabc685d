/** ORPHAN: a worker whose primary is gone, by a crash or because another program took its place.
 *  Owns the search for the next primary, and the time that a worker goes on alone. Its tunnels go on all the while; with a
 *  primary again it is a worker like any other, but that no new socket reaches it. */
import type { Adoption } from '../shared/adoption.js';
import type { Cancel } from '../shared/timer.js';
import type { PrimaryChannel } from './primary_link.js';

/** What a worker needs of its process to go on without a primary. */
export interface OrphanSide {
  readonly pid: number;
  /** Calls `found` once, with a primary that has been told what `introduce` gives. */
  findPrimary(path: string, introduce: () => Adoption, found: (channel: PrimaryChannel) => void): Cancel;
  /** SIGTERM or SIGINT came. They are the primary's affair while there is one. */
  onTerminate(listener: () => void): void;
}

export interface OrphanOptions {
  readonly side: OrphanSide;
  /** Where the next primary will listen. */
  readonly path: string;
  introduce(): Adoption;
  follow(channel: PrimaryChannel): void;
  /** Nobody came, or a signal asks for the end. */
  giveUp(): void;
}

/** A primary that is restarted comes back within seconds, by hand within minutes. Beyond that nobody could end these tunnels
 *  any more, nor withdraw a right. */
export const ALONE_MS = 600_000;

export class Orphan {
  readonly #options: OrphanOptions;
  #alone = false;

  constructor(options: OrphanOptions) {
    this.#options = options;
    options.side.onTerminate(() => {
      if (this.#alone) options.giveUp();
    });
  }

  /** The primary is gone; may be called for each one that is. */
  begin(): void {
    const { side, path, introduce, follow, giveUp } = this.#options;
    this.#alone = true;
    const timer = setTimeout(giveUp, ALONE_MS).unref();
    side.findPrimary(path, introduce, (channel) => {
      clearTimeout(timer);
      this.#alone = false;
      follow(channel);
    });
  }
}
