/** ADMIN: the admin API of a running server: when it is there, where, and whom it lets in.
 *  Owns its listener, its samples, and what it knows of its own start. A server that cannot have its admin API at the place that
 *  somebody has chosen does not start; at the default one it serves without, says so, and tries again. */
import type { Server } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { formatHostPort } from '../../shared/address.js';
import type { Sample } from '../../shared/admin.js';
import { adminListenOf } from '../../shared/admin_listen.js';
import type { Config } from '../../shared/config.js';
import type { AdminListen } from '../../shared/config_keys.js';
import { TunnelError } from '../../shared/errors.js';
import type { ListenerAddress } from '../../shared/ipc.js';
import type { Cancel } from '../../shared/timer.js';
import { ownVersion } from '../../shared/version.js';
import { json } from './answer.js';
import { apiRoutes } from './api.js';
import type { Guard } from './gate.js';
import { Samples } from './history.js';
import { openapi } from './openapi.js';
import { type Page, readPage } from './page.js';
import { addressOf, type OpenPlace, openPlace } from './place.js';
import type { Route } from './routes.js';
import type { Served } from './served.js';
import { adminServer } from './server.js';
import { WrongTokens } from './wrong_tokens.js';

export interface AdminOptions {
  readonly served: Served;
  readonly config: Config;
  /** In words, for the log. */
  info(text: string): void;
  trouble(text: string): void;
}

/** Another place, open beside the one in force. */
export interface AdminChange {
  /** Never fails. */
  keep(): void;
  drop(): Promise<void>;
}

/** How often a place is tried that somebody has still. */
const AGAIN_MS = 2_000;
/** One line a second, whatever goes wrong how often. */
const TROUBLE_EVERY_MS = 1_000;

const PAGE_FOLDER = new URL('../../dashboard/', import.meta.url);

export class Admin {
  readonly #options: AdminOptions;
  readonly #samples: Samples;
  readonly #wrongTokens: WrongTokens;
  readonly #routes: readonly Route[];
  readonly #page: Page;
  #gate: Gate = { guard: { kind: 'token', secret: null } };
  #config: Config;
  #place: OpenPlace | null = null;
  /** Where it is, or is about to be. */
  #known: ListenerAddress | null = null;
  /** Open, and not in force yet. */
  #coming: OpenPlace | null = null;
  /** Why it cannot be open, or null; two at a time would be in each other's way. */
  #opening: Promise<string | null> | null = null;
  #cancelAgain: Cancel = nothing;
  #toldMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#page = readPage(PAGE_FOLDER, options.trouble);
    this.#config = options.config;
    const { served } = options;
    this.#wrongTokens = new WrongTokens(options.trouble, served.clock);
    this.#samples = new Samples(() => sampleOf(served), served.clock);
    const version = ownVersion();
    const facts = { served, samples: this.#samples, version, startedAt: new Date(), startedMs: served.clock.nowMs() };
    const routes = apiRoutes(facts);
    const document: Route = {
      method: 'GET',
      path: '/api/v1/openapi.json',
      does: 'this document',
      good: [200, { type: 'application/json' }],
      handle: () => json(openapi(this.#routes, version)),
    };
    this.#routes = [...routes, document];
    served.feed.isOn = options.config.admin.enabled;
  }

  /** Tunnels never lead there, and nobody binds it, be it open or not. Known from `locate` on; a port that the kernel chooses
   *  from `open` on. */
  get own(): readonly ListenerAddress[] {
    return [this.#place?.address ?? this.#known, this.#coming?.address ?? null].filter((one) => one !== null);
  }

  /** Where it can be reached; null while it cannot. */
  get address(): ListenerAddress | null {
    return this.#place?.address ?? null;
  }

  /** Before anybody can ask for anything. Never rejects. */
  async locate(): Promise<void> {
    const where = whereOf(this.#config);
    this.#known = where === null ? null : await addressOf(where);
  }

  /** @param isFollowing the place may be that of the server whose place this one takes: it is tried until it is free
   *  @throws TunnelError LISTEN_FAILED where somebody else has the place that the config names */
  async open(isFollowing: boolean): Promise<void> {
    if (!this.#config.admin.enabled) return;
    this.#samples.begin();
    const why = await this.#open();
    if (why === null) return;
    if (!isFollowing && this.#config.admin.listen !== null)
      throw new TunnelError('LISTEN_FAILED', `admin.listen: ${why}`);
    if (!isFollowing) this.#options.trouble(`the admin API is not there: ${why}; it is tried again`);
    this.#again();
  }

  /** The server before this one has let go. Never rejects. */
  async openNow(): Promise<void> {
    if (this.#place !== null || this.#closed || !this.#config.admin.enabled) return;
    if ((await this.#open()) !== null) this.#again();
  }

  /** Opens the place that another config wants, beside the one in force.
   *  @throws TunnelError LISTEN_FAILED; then all is as it was */
  async change(next: Config): Promise<AdminChange> {
    await this.#opening;
    const isSame = isDeepStrictEqual(whereOf(next), whereOf(this.#config));
    if (isSame || !next.admin.enabled) return { keep: () => this.#keep(next, isSame ? 'same' : null), drop: resolved };
    const gate = { guard: guardOf(next) };
    const opening = await openPlace(adminListenOf(next.admin.listen, next.stateDir), this.#server(gate));
    if (!opening.ok) throw new TunnelError('LISTEN_FAILED', `admin.listen: ${opening.why}`);
    const { place } = opening;
    this.#coming = place;
    return {
      keep: () => this.#keep(next, { place, gate }),
      drop: async () => {
        this.#coming = null;
        await place.close();
      },
    };
  }

  /** Nobody is answered any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelAgain();
    this.#samples.end();
    await this.#vacate();
    await this.#opening;
    this.#wrongTokens.flush();
  }

  #keep(config: Config, what: Opened | 'same' | null): void {
    this.#config = config;
    this.#options.served.feed.isOn = config.admin.enabled;
    if (what === 'same') {
      const before = this.#gate.guard;
      this.#gate.guard = guardOf(config);
      if (!isDeepStrictEqual(before, this.#gate.guard)) this.#options.served.feed.end(); // who reads on may not know the new token
      return;
    }
    this.#cancelAgain();
    void this.#vacate(); // whoever has asked for this by the old place is answered there
    this.#coming = null;
    this.#known = what?.place.address ?? null;
    if (what === null) this.#samples.end();
    else {
      this.#settle(what);
      this.#samples.begin();
    }
  }

  /** @returns why it cannot be open, or null */
  #open(): Promise<string | null> {
    this.#opening ??= this.#tryToOpen().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #tryToOpen(): Promise<string | null> {
    const { admin, stateDir } = this.#config;
    const where = adminListenOf(admin.listen, stateDir);
    const gate = { guard: guardOf(this.#config) };
    const opening = await openPlace(where, this.#server(gate));
    if (!opening.ok) return opening.why;
    // A reload meanwhile may have opened another one, or want none; or the same one, with another token.
    if (this.#closed || this.#place !== null || !isDeepStrictEqual(where, whereOf(this.#config))) {
      await opening.place.close();
      return null;
    }
    gate.guard = guardOf(this.#config);
    this.#settle({ place: opening.place, gate });
    return null;
  }

  #again(): void {
    if (this.#closed) return;
    this.#cancelAgain();
    this.#cancelAgain = this.#options.served.clock.after(AGAIN_MS, () => void this.openNow());
  }

  #settle({ place, gate }: Opened): void {
    this.#place = place;
    this.#gate = gate;
    this.#options.info(`the admin API is at ${placeText(place)}`);
  }

  async #vacate(): Promise<void> {
    const place = this.#place;
    this.#place = null;
    this.#options.served.feed.end();
    await place?.close();
  }

  #server(gate: Gate): Server {
    return adminServer({
      routes: this.#routes,
      page: this.#page,
      guard: () => gate.guard,
      trouble: (text) => this.#trouble(text),
      wrongToken: () => {
        this.#options.served.metrics.wrongToken();
        this.#wrongTokens.add();
      },
    });
  }

  #trouble(text: string): void {
    const nowMs = this.#options.served.clock.nowMs();
    if (nowMs - this.#toldMs < TROUBLE_EVERY_MS) return;
    this.#toldMs = nowMs;
    this.#options.trouble(text);
  }
}

/** Whom a listener lets in; changes with the token. */
interface Gate {
  guard: Guard;
}

interface Opened {
  readonly place: OpenPlace;
  readonly gate: Gate;
}

function guardOf({ admin, stateDir }: Config): Guard {
  const { kind } = adminListenOf(admin.listen, stateDir);
  // Without a token, which the config's reader refuses, nobody gets in.
  return kind === 'unix' ? { kind: 'socket' } : { kind: 'token', secret: admin.tokenFile?.secret ?? null };
}

function whereOf({ admin, stateDir }: Config): AdminListen | null {
  return admin.enabled ? adminListenOf(admin.listen, stateDir) : null;
}

function placeText({ address }: OpenPlace): string {
  return address.kind === 'unix' ? `unix:${address.path}` : formatHostPort(address.address, address.port);
}

function sampleOf({ connections, metrics }: Served): Sample {
  const { channels, bytesIn, bytesOut } = metrics.load();
  return [Date.now(), connections(), channels, bytesIn, bytesOut];
}

async function resolved(): Promise<void> {}

function nothing(): void {}
