/** CONFIG VALUE: reads one value of the table, by its kind. Owns what each kind accepts and how a refusal is worded:
 *  what is wrong, then what is allowed. Pure: files and paths are looked up through `ConfigWorld`. */

import { parseCidr } from './address.js';
import { ADMIN_LISTEN_FORMS, parseAdminListen } from './admin_listen.js';
import {
  authorizedKeyLines,
  canonicalListener,
  carriesKey,
  checkBlock,
  checkKeyLine,
  checkListener,
  checkPasswordHash,
  checkText,
  ok,
  oneOf,
  pathOf,
  unchanged,
  wrong,
} from './config_checks.js';
import {
  type AuthorizedKeyLine,
  type Key,
  type ListenEntry,
  type RevokedKeysFile,
  type SecretFile,
  type TotpFile,
  wordsOf,
} from './config_keys.js';
import type { Located, Place } from './config_source.js';
import { assertNever } from './errors.js';
import { otpauthIn } from './otpauth.js';
import { parseListenPattern, parseOpenPattern } from './pattern_text.js';
import { isBindable } from './patterns.js';
import { BYTES_FORMS, DURATION_FORMS, type Parsed, parseBytes, parseDuration, parseStartups } from './units.js';
import { goesInClear, parseWebhookUrl, WEBHOOK_URL_FORMS } from './webhook_url.js';

/** `isPassing`: it is the disk or the network that failed, and the file may be what it was. */
export type FileRead =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly error: string; readonly isPassing?: boolean };

/** What a config means depends on the machine; the reader asks here and nowhere else. */
export interface ConfigWorld {
  /** Cores that `workers: auto` stands for. */
  readonly parallelism: number;
  /** Makes a path of the config absolute; relative ones start at the config file's folder. */
  resolvePath(path: string): string;
  /** True: a program's own hooks say who may log in, so a config without users is a whole one. */
  readonly hooksDecide?: boolean;
  /** A server runs, and has read this file of a user's keys before: where it cannot be used any more it opens nothing, with a warning,
   *  and is no error. Whoever may write it could else hold up what is taken from anybody. Default: none. */
  readonly passesOver?: (path: string) => boolean;
  /** A whole text file; `error` completes the sentence "FILE …". A secret one is refused where others may read it. */
  readFile(path: string, options?: { readonly isSecret: boolean }): FileRead;
  /** The same for a file that may be binary. */
  readBytes(path: string): Parsed<Buffer>;
}

/** Where findings about one key go. */
export interface Report {
  /** `index` is the place in a list. Both sentences are short and without a full stop. */
  error(at: Place, wrong: string, allowed: string, index?: number): void;
  warning(at: Place, message: string, index?: number): void;
  /** File name for lines that stand in the config itself. */
  readonly file: string;
}

/** @returns the value for the Config, or undefined after at least one error was reported */
export function readValue(key: Key, node: Located, world: ConfigWorld, report: Report): unknown {
  const allowed =
    key.kind === 'duration' || key.kind === 'bytes' ? `${allowedFor(key)} (${formsOf(key)})` : allowedFor(key);
  const one = <T>(parse: (text: string) => Parsed<T>): T | undefined => readText(node, allowed, report, parse);
  const list = (parse: (text: string) => Parsed<string>): readonly string[] | undefined =>
    readList(node, allowed, report, parse);
  switch (key.kind) {
    case 'duration':
      return one((text) => (key.off !== undefined && text === 'off' ? ok(0) : parseWithin(text, key, parseDuration)));
    case 'bytes':
      return one((text) => (wordsOf(key).includes(text) ? ok(0) : parseWithin(text, key, parseBytes)));
    case 'count':
      return readCount(node, key.min, key.max, allowed, report);
    case 'workers':
      if (node.type === 'scalar' && node.value === 'auto') return world.parallelism;
      return readCount(node, 1, key.max, allowed, report);
    case 'switch':
      return readSwitch(node, allowed, report);
    case 'startups':
      return one(parseStartups);
    case 'text':
      return one((text) => checkText(text, key.maxCharacters));
    case 'choice':
      return one((text) => oneOf(text, key.values));
    case 'choices':
      return distinct(
        list((text) => oneOf(text, key.values)),
        node,
        allowed,
        report,
        String,
      );
    case 'path':
    case 'module':
    case 'appendedFile':
      return one((text) => pathOf(text, world.resolvePath));
    case 'paths':
      return list((text) => pathOf(text, world.resolvePath));
    case 'certificates':
      return readCertificates(node, allowed, world, report);
    case 'listeners':
      return readListeners(node, allowed, report);
    case 'blocks':
      return list(checkBlock);
    case 'openPatterns':
      // The patterns' own errors say what is allowed.
      return readList(node, allowed, report, (text) => unchanged(text, parseOpenPattern(text)), { ownWords: true });
    case 'listenPatterns':
      return readListenPatterns(node, allowed, report);
    case 'authorizedKeys':
      return readAuthorizedKeys(node, allowed, world, report);
    case 'passwordHash':
      return readText(node, allowed, report, checkPasswordHash, { secret: true });
    case 'webhookUrl':
      return readWebhookUrl(node, allowed, report);
    case 'adminListener':
      return one((text) => (text === 'auto' ? ok(null) : parseAdminListen(text, world.resolvePath)));
    case 'secretFile':
      return one((text) => secretIn(text, world));
    case 'revokedKeys':
      return readText(node, allowed, report, (text) => revokedKeysFile(text, world));
    case 'totpFile':
      return readTotp(node, allowed, world, report);
    default:
      return assertNever(key);
  }
}

/** What a key takes, in words; the second half of every error and a column of docs/config.md. */
export function allowedFor(key: Key): string {
  switch (key.kind) {
    case 'duration':
    case 'bytes':
      return [`${key.min} to ${key.max}`, ...wordsOf(key)].join(' or ');
    case 'count':
      return `a whole number from ${key.min} to ${key.max}`;
    case 'workers':
      return `auto or a whole number from 1 to ${key.max}`;
    case 'switch':
      return 'true or false';
    case 'startups':
      return '"BEGIN:RATE:FULL" with BEGIN up to FULL and RATE from 1 to 100, such as "10:30:100"';
    case 'text':
      return `a text of at most ${key.maxCharacters} characters without control characters`;
    case 'choice':
      return key.values.join(', ');
    case 'choices':
      return `a list of at least one of ${key.values.join(', ')}`;
    case 'path':
      return 'a path';
    case 'module':
      return 'a path of a JavaScript module';
    case 'appendedFile':
      return 'a path of a file in a folder that exists';
    case 'paths':
      return 'a list of paths';
    case 'certificates':
      return 'a list of paths of host certificates, as `ssh-keygen -s CA -h` makes them';
    case 'listeners':
      return `a list of at least one "HOST:PORT" or "[IPV6]:PORT", each once, or of ${LISTEN_MAP}`;
    case 'blocks':
      return 'a list of addresses and CIDR blocks, such as "10.0.0.0/8" or "2001:db8::/32"';
    case 'openPatterns':
      return 'a list of "HOST:PORTS" or absolute socket paths, such as "10.0.0.0/8:*" or "*.internal:443,8000-8999"';
    case 'listenPatterns':
      return 'a list of "HOST:PORTS" or absolute socket paths, such as "localhost:1024-65535"';
    case 'authorizedKeys':
      return 'a path or a list of authorized_keys lines';
    case 'passwordHash':
      return 'an argon2id, scrypt or bcrypt hash in quotes; make one with `sallyport hash-password`';
    case 'webhookUrl':
      return WEBHOOK_URL_FORMS;
    case 'adminListener':
      return `${ADMIN_LISTEN_FORMS}, or auto`;
    case 'secretFile':
      return `a path of a file with one line of at most ${MAX_SECRET_CHARACTERS} visible ASCII characters, which nobody else may read`;
    case 'revokedKeys':
      return 'a path of an OpenSSH KRL or of a file of public keys';
    case 'totpFile':
      return 'a path of a file with an otpauth://totp/… URI, which nobody else may read';
    default:
      return assertNever(key);
  }
}

/** A value as an error names it: one line, and short. Hashes and keys are never shown. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** For a value of the wrong shape. */
export function describe(node: Located): string {
  if (node.type !== 'scalar') return `is a ${node.type}`;
  if (node.value === null || node.value === undefined) return 'has no value';
  return typeof node.value === 'string' ? `${show(node.value)} is a text` : `is ${show(node.value)}`;
}

function formsOf(key: { readonly kind: 'duration' | 'bytes' }): string {
  return key.kind === 'duration' ? DURATION_FORMS : BYTES_FORMS;
}

function parseWithin(
  text: string,
  range: { readonly min: string; readonly max: string },
  parse: (text: string) => Parsed<number>,
): Parsed<number> {
  const bound = (written: string): number => {
    const parsed = parse(written);
    return parsed.ok ? parsed.value : Number.NaN; // never so: a test reads all bounds of the table
  };
  const parsed = parse(text);
  if (!parsed.ok) return parsed;
  if (parsed.value < bound(range.min)) return wrong('is too small');
  if (parsed.value > bound(range.max)) return wrong('is too large');
  return parsed;
}

interface About {
  /** The value is never shown. */
  readonly secret?: boolean;
  /** The parser's error names the value and what is allowed. */
  readonly ownWords?: boolean;
  /** Place in a list. */
  readonly index?: number;
}

function readText<T>(
  node: Located,
  allowed: string,
  report: Report,
  parse: (text: string) => Parsed<T>,
  about: About = {},
): T | undefined {
  const value = node.type === 'scalar' ? node.value : undefined;
  if (typeof value !== 'string' && typeof value !== 'number') {
    report.error(node.at, describe(node), allowed, about.index);
    return undefined;
  }
  const parsed = parse(String(value));
  if (parsed.ok && typeof value === 'string') return parsed.value;
  // A number that would do as a text is refused all the same: YAML has already made 1.1 of 1.10.
  const fault = parsed.ok ? 'is a number and not a text: put it in quotes' : parsed.error;
  if (about.ownWords && !parsed.ok) report.error(node.at, fault, '', about.index);
  else report.error(node.at, about.secret ? fault : `${show(value)} ${fault}`, allowed, about.index);
  return undefined;
}

function readCount(node: Located, min: number, max: number, allowed: string, report: Report): number | undefined {
  const value = node.type === 'scalar' ? node.value : undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  const shown = typeof value === 'number' ? `${value} is out of range` : describe(node);
  report.error(node.at, shown, allowed);
  return undefined;
}

function readSwitch(node: Located, allowed: string, report: Report): boolean | undefined {
  if (node.type === 'scalar' && typeof node.value === 'boolean') return node.value;
  report.error(node.at, describe(node), allowed);
  return undefined;
}

/** All items are read, so that all errors are told. */
function readList(
  node: Located,
  allowed: string,
  report: Report,
  parse: (text: string) => Parsed<string>,
  about: About = {},
): readonly string[] | undefined {
  if (node.type !== 'list') {
    report.error(node.at, `${describe(node)} and not a list`, allowed);
    return undefined;
  }
  const values = node.items.map((item, index) => readText(item, allowed, report, parse, { ...about, index }));
  return values.some((value) => value === undefined) ? undefined : values.filter((value) => value !== undefined);
}

/** A pattern that grants nothing is no error: a later version may bind what it names. */
function readListenPatterns(node: Located, allowed: string, report: Report): readonly string[] | undefined {
  const texts = readList(node, allowed, report, (text) => unchanged(text, parseListenPattern(text)), {
    ownWords: true,
  });
  for (const [index, text] of texts?.entries() ?? []) {
    const parsed = parseListenPattern(text);
    if (!parsed.ok || isBindable(parsed.pattern)) continue;
    const at = node.type === 'list' ? (node.items[index]?.at ?? null) : node.at;
    const what = 'a name cannot be bound in this version; allowed are *, localhost and addresses';
    report.warning(at, `${show(text)}: ${what}`, index);
  }
  return texts;
}

const LISTEN_MAP = '{ address: "HOST:PORT", proxyProtocol: { from: [ADDRESS or CIDR block, …] } }';

/** Texts, and maps that say more of an address. */
function readListeners(node: Located, allowed: string, report: Report): readonly ListenEntry[] | undefined {
  const items = node.type === 'list' ? node.items : [];
  const proxies = items.map((item, index) => readProxies(item, report, index));
  // What is the same whichever way it is written: the addresses.
  const texts: Located =
    node.type === 'list' ? { ...node, items: items.map((item) => inMap(item, 'address') ?? item) } : node;
  const addresses = distinct(
    readList(texts, allowed, report, checkListener),
    texts,
    allowed,
    report,
    canonicalListener,
  );
  if (addresses === undefined || proxies.includes(undefined)) return undefined;
  return addresses.map((address, index) => ({ address, proxyFrom: proxies[index] ?? [] }));
}

/** Of one entry: who may speak for others there. */
function readProxies(item: Located, report: Report, index: number): readonly string[] | undefined {
  if (item.type !== 'map') return [];
  let good = true;
  const fault = (at: Place, what: string, allowed: string): undefined => {
    report.error(at, what, allowed, index);
    good = false;
  };
  const onlyOnce = (map: Located, path: string, ...known: readonly string[]): void => {
    const names = map.type === 'map' ? map.entries : [];
    for (const [place, { name, at }] of names.entries()) {
      if (!known.includes(name)) fault(at, `unknown key ${show(`${path}${name}`)}`, LISTEN_MAP);
      else if (names.findIndex((other) => other.name === name) < place)
        fault(at, `${path}${name} stands twice`, 'once');
    }
  };
  onlyOnce(item, '', 'address', 'proxyProtocol');
  const proxy = inMap(item, 'proxyProtocol');
  if (proxy === undefined) return good ? [] : undefined;
  if (proxy.type !== 'map') return fault(proxy.at, `proxyProtocol ${describe(proxy)}`, LISTEN_MAP);
  onlyOnce(proxy, 'proxyProtocol.', 'from');
  const from = inMap(proxy, 'from');
  if (from === undefined) return fault(proxy.at, 'proxyProtocol.from is missing', LISTEN_MAP);
  if (from.type === 'list' && from.items.length === 0)
    return fault(from.at, 'proxyProtocol.from is empty: no address could bring anybody', LISTEN_MAP);
  const blocks = readList(
    from,
    LISTEN_MAP,
    { ...report, error: (at, what, allowed) => report.error(at, what, allowed, index) },
    checkBlock,
  );
  if (blocks?.some((block) => parseCidr(block)?.prefixBits === 0))
    report.warning(from.at, 'everybody may say that he is somebody else: name the proxies', index);
  return good ? blocks : undefined;
}

function inMap(node: Located, name: string): Located | undefined {
  return node.type === 'map' ? node.entries.find((entry) => entry.name === name)?.value : undefined;
}

/** At least one, and none twice; `canonical` says which texts are the same. */
function distinct(
  values: readonly string[] | undefined,
  node: Located,
  allowed: string,
  report: Report,
  canonical: (text: string) => string,
): readonly string[] | undefined {
  if (values === undefined) return undefined;
  if (values.length === 0) report.error(node.at, 'is empty', allowed);
  const seen = new Map<string, number>();
  let good = values.length > 0;
  for (const [index, text] of values.entries()) {
    const first = seen.get(canonical(text));
    if (first === undefined) seen.set(canonical(text), index);
    else {
      const at = node.type === 'list' ? (node.items[index]?.at ?? null) : node.at;
      report.error(at, `${show(text)} is there already, as [${first}]`, allowed, index);
      good = false;
    }
  }
  return good ? values : undefined;
}

/** What stands in it is judged where keys are parsed. */
function revokedKeysFile(text: string, world: ConfigWorld): Parsed<RevokedKeysFile> {
  const path = pathOf(text, world.resolvePath);
  if (!path.ok) return path;
  const bytes = world.readBytes(path.value);
  if (!bytes.ok) return wrong(`(${path.value}) ${bytes.error}`);
  return ok({ file: path.value, base64: bytes.value.toString('base64') });
}

function readTotp(node: Located, allowed: string, world: ConfigWorld, report: Report): TotpFile | undefined {
  // Secret until it is known to be a path: somebody may have put the URI itself there.
  return readText(
    node,
    allowed,
    report,
    (text) => {
      if (text.includes('otpauth:')) return wrong('is the URI and not a path: put it in a file of its own, mode 600');
      const path = pathOf(text, world.resolvePath);
      if (!path.ok) return path;
      const file = path.value;
      const read = world.readFile(file, { isSecret: true });
      if (!read.ok) return wrong(`(${file}) ${read.error}`);
      const key = otpauthIn(read.value);
      return key.ok ? ok({ ...key.value, file }) : wrong(`(${file}) ${key.error}`);
    },
    { secret: true },
  );
}

function readAuthorizedKeys(
  node: Located,
  allowed: string,
  world: ConfigWorld,
  report: Report,
): readonly AuthorizedKeyLine[] | undefined {
  if (node.type === 'list') {
    const lines = node.items.map((item, index) => {
      const text = readText(item, allowed, report, checkKeyLine, { secret: true, index });
      return text === undefined ? undefined : { text, file: report.file, line: item.at?.line ?? index + 1 };
    });
    return lines.some((line) => line === undefined)
      ? undefined
      : lines.filter((line) => line !== undefined).filter((line) => carriesKey(line.text));
  }
  const found = readText(node, allowed, report, (text) => {
    if (text.includes('\n') || / AAAA/.test(text)) return wrong('is a key and not a path: put it in a list, as ["…"]');
    const path = pathOf(text, world.resolvePath);
    if (!path.ok) return path;
    const file = world.readFile(path.value);
    if (!file.ok && file.isPassing !== true && world.passesOver?.(path.value) === true) {
      report.warning(node.at, `(${path.value}) ${file.error}: its keys open nothing`);
      return ok([]);
    }
    if (!file.ok) return wrong(`(${path.value}) ${file.error}`);
    if (file.value === '' && world.passesOver?.(path.value) !== true)
      return wrong(`(${path.value}) is an empty file; write [] where no key is meant`);
    if (file.value.includes('PRIVATE KEY-----')) return wrong('is a private key file; the public one ends in .pub');
    return ok(authorizedKeyLines(path.value, file.value));
  });
  if (found?.length === 0) report.warning(node.at, 'the file has no key');
  return found;
}

/** One of each file. What it says is judged where keys are parsed. */
function readCertificates(
  node: Located,
  allowed: string,
  world: ConfigWorld,
  report: Report,
): readonly AuthorizedKeyLine[] | undefined {
  if (node.type !== 'list') {
    report.error(node.at, `${describe(node)} and not a list`, allowed);
    return undefined;
  }
  const lines = node.items.map((item, index) =>
    readText(item, allowed, report, (text) => certificateIn(text, world), { index }),
  );
  return lines.some((line) => line === undefined) ? undefined : lines.filter((line) => line !== undefined);
}

function certificateIn(text: string, world: ConfigWorld): Parsed<AuthorizedKeyLine> {
  const path = pathOf(text, world.resolvePath);
  if (!path.ok) return path;
  const file = world.readFile(path.value);
  if (!file.ok) return wrong(`(${path.value}) ${file.error}`);
  if (file.value.includes('PRIVATE KEY-----')) return wrong('is a private key file; a certificate ends in -cert.pub');
  const [line, ...more] = authorizedKeyLines(path.value, file.value);
  if (line === undefined || more.length > 0)
    return wrong(
      `(${path.value}) has ${more.length + (line === undefined ? 0 : 1)} lines with a key in it, and should have one`,
    );
  return ok(line);
}

/** Each worker parses it for itself. Its value is not shown: people put passwords into URLs. */
function readWebhookUrl(node: Located, allowed: string, report: Report): string | undefined {
  const text = readText(node, allowed, report, (written) => unchanged(written, parseWebhookUrl(written)), {
    secret: true,
  });
  const target = text === undefined ? null : parseWebhookUrl(text);
  if (target?.ok && goesInClear(target.value))
    report.warning(node.at, 'logins, and passwords among them, go over the network in clear: use https');
  return text;
}

const MAX_SECRET_CHARACTERS = 4096;

/** What an HTTP header may carry. No error shows any of it. */
function secretIn(text: string, world: ConfigWorld): Parsed<SecretFile> {
  const path = pathOf(text, world.resolvePath);
  if (!path.ok) return path;
  const file = world.readFile(path.value, { isSecret: true });
  if (!file.ok) return wrong(`(${path.value}) ${file.error}`);
  const secret = file.value.trim();
  if (secret === '') return wrong(`(${path.value}) has no secret in it`);
  if (secret.length > MAX_SECRET_CHARACTERS) return wrong(`(${path.value}) has ${secret.length} characters`);
  if (!/^[\x21-\x7e]+$/.test(secret))
    return wrong(`(${path.value}) has more than one line, blanks or characters that no header may have`);
  return ok({ path: path.value, secret });
}
