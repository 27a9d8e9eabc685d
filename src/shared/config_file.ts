/** CONFIG FILE: a config's text, or a program's object, to a Config or to the list of everything that is wrong with it.
 *  Owns the walk along the table: unknown keys, double keys, defaults, users. Pure: see `ConfigWorld`. */

import { type Config, SERVER_KEYS, USER_KEYS, type UserConfig } from './config.js';
import { hasSwitch, isKey, type Key, nameOf, SWITCH, type Table, type Values } from './config_keys.js';
import { type Entry, type Located, type Place, readObject } from './config_source.js';
import { type ConfigWorld, describe, type Report, readValue, show } from './config_value.js';
import { readYaml, type Source } from './config_yaml.js';
import { nearest } from './nearest.js';
import { escapeUnprintable, isUserName } from './text.js';
import { WEBHOOK_URL_FORMS } from './webhook_url.js';

/** One finding. `key` is the path of the key, `yaml` for the text itself. */
export interface ConfigIssue {
  readonly file: string;
  readonly at: Place;
  readonly key: string;
  readonly message: string;
}

/** All errors at once, in the order of the file. Warnings do not keep a server from starting. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly ConfigIssue[] }
  | {
      readonly ok: false;
      readonly errors: readonly ConfigIssue[];
      readonly warnings: readonly ConfigIssue[];
      /** What is right in it, with defaults in place of what is wrong: for whoever goes on looking for mistakes, in the files that it
       *  names. Never to be served. Null where nothing can be made of it. */
      readonly rest: Config | null;
    };

/** 64 bits and more, however it was made. */
const MIN_TOKEN_CHARACTERS = 16;
const TOKEN_FORM = `a file with a secret of at least ${MIN_TOKEN_CHARACTERS} characters, as \`openssl rand -hex 32\` makes one`;

/** `file:line:col: key: what is wrong, allowed: …`, on one line. */
export function formatIssue(issue: ConfigIssue): string {
  const place = issue.at === null ? '' : `${issue.at.line}:${issue.at.column}:`;
  return `${issue.file}:${place} ${issue.key}: ${issue.message}`;
}

/** Reads a YAML config. `file` is the name that findings carry. */
export function parseConfig(text: string, file: string, world: ConfigWorld): ConfigResult {
  return readConfig(readYaml(text), file, world);
}

/** Reads a config that a program made: the file's keys and units as a plain object. */
export function configFromObject(options: unknown, name: string, world: ConfigWorld): ConfigResult {
  return readConfig({ ok: true, root: readObject(options ?? {}) }, name, world);
}

function readConfig(source: Source, file: string, world: ConfigWorld): ConfigResult {
  const errors: ConfigIssue[] = [];
  const warnings: ConfigIssue[] = [];
  const findings = new Findings(file, errors, warnings);
  if (!source.ok) {
    for (const { at, message } of source.problems) findings.at('yaml').error(at, message, '');
    return { ok: false, errors, warnings, rest: null };
  }
  const config = new Walk(world, findings).config(source.root);
  const inOrder = (a: ConfigIssue, b: ConfigIssue) =>
    (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0);
  errors.sort(inOrder);
  warnings.sort(inOrder);
  if (errors.length === 0 && config !== undefined) return { ok: true, config, warnings };
  const unheard = new Findings(file, [], []);
  const rest = new Walk(world, unheard, { patches: true }).config(source.root) ?? null;
  return { ok: false, errors, warnings, rest };
}

/** Gathers findings under the key that they belong to. */
class Findings {
  readonly file: string;
  readonly #errors: ConfigIssue[];
  readonly #warnings: ConfigIssue[];

  constructor(file: string, errors: ConfigIssue[], warnings: ConfigIssue[]) {
    this.file = file;
    this.#errors = errors;
    this.#warnings = warnings;
  }

  at(key: string): Report {
    const { file } = this;
    const shown = escapeUnprintable(key);
    const add = (list: ConfigIssue[], at: Place, message: string, index?: number) =>
      list.push({
        file,
        at,
        key: index === undefined ? shown : `${shown}[${index}]`,
        message: escapeUnprintable(message),
      });
    return {
      file,
      error: (at, wrong, allowed, index) =>
        add(this.#errors, at, allowed === '' ? wrong : `${wrong}, allowed: ${allowed}`, index),
      warning: (at, message, index) => add(this.#warnings, at, message, index),
    };
  }
}

class Walk {
  readonly #world: ConfigWorld;
  readonly #findings: Findings;
  /** Takes the default for what is wrong. */
  readonly #patches: boolean;

  constructor(world: ConfigWorld, findings: Findings, { patches = false } = {}) {
    this.#world = world;
    this.#findings = findings;
    this.#patches = patches;
  }

  config(root: Located): Config | undefined {
    const entries = this.#entries(root, '');
    if (entries === undefined) return undefined;
    const own = entries.filter(({ name }) => name !== 'defaults' && name !== 'users');
    const server = this.#section(SERVER_KEYS, own, '', ['defaults', 'users']);
    const forAll = entries.find(({ name }) => name === 'defaults')?.value;
    const defaults = this.#section(USER_KEYS, this.#entriesOf(forAll, 'defaults'), 'defaults');
    const listed = entries.find(({ name }) => name === 'users')?.value;
    const hasWebhook = this.#hasWebhook(own);
    // Hooks and a webhook may let in whom the config does not know, and users without a key.
    const fileDecides = server.handler === null && this.#world.hooksDecide !== true && !hasWebhook;
    const unnamed = !namesCredentials(entriesIn(forAll));
    const users = this.#users(listed, defaults, { needKeys: fileDecides && !hasCas(server.auth), unnamed });
    if (fileDecides && (listed === undefined || isEmpty(listed)))
      this.#findings.at('users').warning(listed?.at ?? root.at, 'there is no user: nobody can log in');
    if (!isComplete(SERVER_KEYS, server)) return undefined;
    const { minMs, maxMs } = server.penalties;
    const place = entries.find(({ name }) => name === 'penalties')?.at ?? null;
    if (minMs > maxMs) this.#findings.at('penalties.min').error(place, 'is above penalties.max', 'at most that');
    const { webhook } = server.auth;
    if (webhook.url !== null && webhook.timeoutMs > server.timeouts.hookMs)
      this.#findings
        .at('auth.webhook.timeout')
        .warning(
          entries.find(({ name }) => name === 'auth')?.at ?? null,
          'is longer than timeouts.hook, which holds then',
        );
    this.#checkAdmin(server.admin, entries.find(({ name }) => name === 'admin')?.at ?? null);
    if (!isComplete(USER_KEYS, defaults)) return undefined;
    return { ...server, defaults: { ...defaults, ...(unnamed ? { unnamed } : {}) }, users };
  }

  /** Every user of this machine can connect by TCP; a Unix socket has an owner and a mode. */
  #checkAdmin({ enabled, listen, tokenFile }: Config['admin'], place: Place): void {
    const { error, warning } = this.#findings.at('admin.tokenFile');
    if (!enabled) return;
    if (tokenFile !== null && tokenFile.secret.length < MIN_TOKEN_CHARACTERS)
      error(place, `(${tokenFile.path}) has a secret of ${tokenFile.secret.length} characters`, TOKEN_FORM);
    if (listen?.kind === 'tcp' && tokenFile === null)
      error(place, 'is missing, and by TCP every user of this machine could end connections', TOKEN_FORM);
    if (listen?.kind !== 'tcp' && tokenFile !== null)
      warning(place, 'is asked for by TCP alone: on a Unix socket its owner and mode decide');
  }

  /** A webhook section without a url would be one that is never asked. */
  #hasWebhook(entries: readonly Entry[]): boolean {
    const auth = entriesIn(entries.find(({ name }) => name === 'auth')?.value);
    const webhook = auth.find(({ name }) => name === 'webhook');
    const keys = entriesIn(webhook?.value);
    const hasUrl = keys.some(({ name }) => name === 'url');
    if (keys.length > 0 && !hasUrl)
      this.#findings
        .at('auth.webhook.url')
        .error(webhook?.at ?? null, 'is missing, so nobody would be asked', WEBHOOK_URL_FORMS);
    return hasUrl;
  }

  /** `needKeys`: a user with nothing to log in by is none. */
  #users(
    node: Located | undefined,
    defaults: Filled,
    { needKeys, unnamed }: { readonly needKeys: boolean; readonly unnamed: boolean },
  ): readonly UserConfig[] {
    const users: UserConfig[] = [];
    for (const { name, at, value } of this.#entriesOf(node, 'users')) {
      const path = `users.${shownName(name)}`;
      if (!isUserName(name))
        this.#findings.at(path).error(at, 'is no user name', '1 to 255 bytes of printable characters');
      const entries = this.#entriesOf(value, path);
      const filled = this.#section(USER_KEYS, entries, path, [], defaults);
      if (!isComplete(USER_KEYS, filled)) continue;
      if (needKeys && filled.password === null && filled.authorizedKeys.length === 0)
        this.#findings.at(path).warning(at, 'has neither a key nor a password: cannot log in');
      users.push({ name, ...filled, ...(unnamed && !namesCredentials(entries) ? { unnamed } : {}) });
    }
    return users;
  }

  /** Reads one section. Absent keys take their value from `base`, and without one from the table. Keys that are wrong are
   *  left out of the result: their errors are told already. */
  #section(
    table: Table,
    entries: readonly Entry[],
    path: string,
    alsoKnown: readonly string[] = [],
    base?: Filled,
  ): Filled {
    const filled: { [name: string]: unknown } = {};
    for (const entry of entries) if (!Object.hasOwn(table, entry.name)) this.#unknown(entry, path, table, alsoKnown);
    for (const [name, key] of Object.entries(table)) {
      const node = entries.find((entry) => entry.name === name);
      const here = join(path, name);
      if (!isKey(key)) {
        const inner = base?.[name];
        filled[name] = this.#section(
          key,
          this.#entriesOf(node?.value, here, hasSwitch(key)),
          here,
          [],
          isFilled(inner) ? inner : undefined,
        );
      } else {
        const value = this.#value(key, node?.value, here, base?.[nameOf(name, key)]);
        if (value !== undefined) filled[nameOf(name, key)] = value;
      }
    }
    return filled;
  }

  #value(key: Key, node: Located | undefined, path: string, inherited: unknown): unknown {
    const written = node === undefined ? undefined : readValue(key, node, this.#world, this.#findings.at(path));
    if (written !== undefined || (node !== undefined && !this.#patches)) return written;
    if (inherited !== undefined) return inherited;
    if (key.default === null) return null;
    return readValue(key, readObject(key.default), this.#world, this.#findings.at(path));
  }

  #unknown({ name, at }: Entry, path: string, table: Table, alsoKnown: readonly string[]): void {
    const known = [...Object.keys(table), ...alsoKnown];
    const close = nearest(name, known);
    const elsewhere = close === undefined ? placesOf(name) : [];
    const hint =
      close !== undefined
        ? ` (did you mean ${join(path, close)}?)`
        : elsewhere.length > 0
          ? ` (did you mean ${elsewhere.join(' or ')}?)`
          : '';
    this.#findings.at(join(path, shownName(name))).error(at, `unknown key${hint}`, known.join(', '));
  }

  /** An absent or empty section is an empty map. */
  #entriesOf(node: Located | undefined, path: string, switchable = false): readonly Entry[] {
    return node === undefined ? [] : (this.#entries(node, path, switchable) ?? []);
  }

  #entries(node: Located, path: string, switchable = false): readonly Entry[] | undefined {
    if (node.type === 'scalar' && node.value === null) return [];
    if (switchable && node.type === 'scalar' && node.value === false)
      return [{ name: SWITCH, at: node.at, value: node }];
    if (node.type !== 'map') {
      const allowed = `keys and their values${switchable ? ', or false' : ''}`;
      this.#findings.at(path === '' ? 'yaml' : path).error(node.at, describe(node), allowed);
      return undefined;
    }
    const seen = new Set<string>();
    for (const { name, at } of node.entries) {
      if (seen.has(name)) this.#findings.at(join(path, shownName(name))).error(at, 'stands twice', 'once');
      seen.add(name);
    }
    return node.entries;
  }
}

/** Is anything said of who the user is, be it that he has no key? */
function namesCredentials(entries: readonly Entry[]): boolean {
  return entries.some(({ name }) => name === 'authorizedKeys' || name === 'password');
}

function entriesIn(node: Located | undefined): readonly Entry[] {
  return node?.type === 'map' ? node.entries : [];
}

function isEmpty(node: Located): boolean {
  return (node.type === 'scalar' && node.value === null) || (node.type === 'map' && node.entries.length === 0);
}

/** CAs of all users: a certificate is enough then. */
function hasCas(auth: unknown): boolean {
  return isFilled(auth) && Array.isArray(auth.trustedUserCAKeys) && auth.trustedUserCAKeys.length > 0;
}

type Filled = { readonly [name: string]: unknown };

function isFilled(value: unknown): value is Filled {
  return typeof value === 'object' && value !== null;
}

/** True when every key of the table left its value, which is what the table's type promises. The values themselves were
 *  made by `readValue`, kind by kind. */
function isComplete<T extends Table>(table: T, filled: Filled): filled is Values<T> & Filled {
  return Object.entries(table).every(([name, key]) => {
    if (!isKey(key)) {
      const inner = filled[name];
      return isFilled(inner) && isComplete(key, inner);
    }
    return filled[nameOf(name, key)] !== undefined;
  });
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

/** Quoted where it would not read as one word of a path. */
export function shownName(name: string): string {
  return /^[\w@-]+$/.test(name) ? name : show(name);
}

/** Where else a key of this name lives. */
function placesOf(name: string): readonly string[] {
  const found: string[] = [];
  const look = (table: Table, path: string): void => {
    for (const [own, entry] of Object.entries(table)) {
      if (own === name) found.push(join(path, own));
      if (!isKey(entry)) look(entry, join(path, own));
    }
  };
  look(SERVER_KEYS, '');
  look(USER_KEYS, 'users.NAME');
  return found;
}
