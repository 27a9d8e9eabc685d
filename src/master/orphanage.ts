/** ORPHANAGE: takes in the workers that an earlier primary left behind, with their connections and ports.
 *  Owns the socket at which they report, and those that have not said yet what they hold. */
import { realpath } from 'node:fs/promises';
import net from 'node:net';
import { ADOPTION_PROTOCOL, type Adoption, controlPath, isAdoption, type Welcome } from '../shared/adoption.js';
import { JsonLines } from '../shared/json_lines.js';
import { openStateSocket, type StateSocket } from './state_socket.js';

export interface OrphanageEvents {
  /** Takes over the channel. */
  adopt(adoption: Adoption, lines: JsonLines): void;
  trouble(text: string): void;
}

/** Where this server's workers look for a primary, when they have lost theirs. */
export interface Refuge {
  /** Real. */
  readonly path: string;
  /** A primary has died here, and its workers may be about to come. */
  readonly wasLeft: boolean;
}

export class Orphanage {
  readonly #events: OrphanageEvents;
  readonly #undeclared = new Set<JsonLines>();
  #socket: StateSocket | undefined;

  constructor(events: OrphanageEvents) {
    this.#events = events;
  }

  /** @returns 'taken' while another process listens there; null when none can be offered, which is told */
  async open(stateDir: string): Promise<Refuge | 'taken' | null> {
    const path = controlPath(stateDir);
    const server = net.createServer((socket) => this.#arrived(new JsonLines(socket, NOBODY)));
    const outcome = await openStateSocket(path, server);
    switch (outcome.kind) {
      case 'open':
        this.#socket = outcome.socket;
        return { path: await realpath(path), wasLeft: outcome.wasLeft };
      case 'taken':
        return 'taken';
      case 'failed':
        this.#events.trouble(`${path}: ${outcome.why}; if the primary dies, its workers are on their own`);
        return null;
    }
  }

  /** Who comes later stays an orphan. */
  async close(): Promise<void> {
    for (const lines of this.#undeclared) lines.end();
    await this.#socket?.close();
    this.#socket = undefined;
  }

  #arrived(lines: JsonLines): void {
    this.#undeclared.add(lines);
    lines.listen({
      value: (value) => {
        this.#undeclared.delete(lines);
        if (isAdoption(value)) this.#events.adopt(value, lines);
        else lines.end();
      },
      closed: () => this.#undeclared.delete(lines),
    });
    const welcome: Welcome = { type: 'welcome', protocol: ADOPTION_PROTOCOL };
    lines.send(welcome);
  }
}

const NOBODY = { value: () => {}, closed: () => {} };
