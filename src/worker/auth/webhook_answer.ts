/** WEBHOOK ANSWER: what the login service has said, read strictly: a key that is unknown, stands twice or has a value of
 *  another form makes the whole answer void. To pass over it could grant more than was meant.
 *  Owns nothing. Pure, and total: every text gets an answer. Errors complete the sentence "the webhook …". */
import { USER_KEYS, type UserConfig } from '../../shared/config.js';
import { nameOf } from '../../shared/config_keys.js';
import { readObject } from '../../shared/config_source.js';
import { type ConfigWorld, type Report, readValue } from '../../shared/config_value.js';
import { nearest } from '../../shared/nearest.js';
import { parseListenPattern, parseOpenPattern } from '../../shared/pattern_text.js';
import type { ListenPattern, OpenPattern } from '../../shared/patterns.js';
import { isUserName } from '../../shared/text.js';
import { type Parsed, parseDuration } from '../../shared/units.js';

export type UserLimits = UserConfig['limits'];

export interface WebhookAnswer {
  readonly allow: boolean;
  /** Under whom limits and ports are counted; null: the name that was given at the login. */
  readonly user: string | null;
  /** Null: not spoken of, so not narrowed. */
  readonly permitOpen: readonly OpenPattern[] | null;
  readonly permitListen: readonly ListenPattern[] | null;
  /** Those that were spoken of. */
  readonly limits: Partial<UserLimits>;
  /** Time until the session is ended; null: never. */
  readonly ttlMs: number | null;
  /** For the log. */
  readonly reason: string | null;
}

const KEYS = ['allow', 'user', 'permitOpen', 'permitListen', 'limits', 'ttl', 'reason'] as const;
const LIMITS = USER_KEYS.limits;
const MIN_TTL_MS = 1_000;
const MAX_TTL_MS = 3_650 * 86_400_000;
const TTL_FORMS = 'seconds as a whole number, or a text such as "90s", "30m" or "8h", from 1 s to 3650 d';

type Json = { readonly [name: string]: unknown };

/** @param text as it came */
export function readWebhookAnswer(text: string): Parsed<WebhookAnswer> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return wrong('answered no JSON'); // the engine's own words would repeat some of the text
  }
  if (!isJson(json)) return wrong(`answered JSON that is ${kindOf(json)}; wanted an object such as {"allow": true}`);
  const twice = doubleKey(text);
  if (twice !== null) return wrong(`answered with the key ${shown(twice)} twice in one object`);
  const unknown = Object.keys(json).find((name) => !KEYS.some((key) => key === name));
  if (unknown !== undefined) return wrong(`answered with an unknown key ${shown(unknown)}${hint(unknown, KEYS)}`);
  return readKnown(json);
}

function readKnown(json: Json): Parsed<WebhookAnswer> {
  const { allow } = json;
  if (typeof allow !== 'boolean')
    return wrong(
      `answered with ${allow === undefined ? 'no allow' : `an allow that is ${kindOf(allow)}`}; wanted true or false`,
    );
  const user = optional(json, 'user', readUser);
  const permitOpen = optional(json, 'permitOpen', (value) => readPatterns('permitOpen', value, parseOpenPattern));
  const permitListen = optional(json, 'permitListen', (value) =>
    readPatterns('permitListen', value, parseListenPattern),
  );
  const limits = optional(json, 'limits', readLimits);
  const ttlMs = optional(json, 'ttl', readTtl);
  const reason = optional(json, 'reason', readReason);
  for (const part of [user, permitOpen, permitListen, limits, ttlMs, reason]) if (!part.ok) return part;
  return {
    ok: true,
    value: {
      allow,
      user: orNull(user),
      permitOpen: orNull(permitOpen),
      permitListen: orNull(permitListen),
      limits: orNull(limits) ?? {},
      ttlMs: orNull(ttlMs),
      reason: orNull(reason),
    },
  };
}

/** Own keys alone: `{}` has a `constructor`. */
function optional<T>(json: Json, name: string, read: (value: unknown) => Parsed<T>): Parsed<T | null> {
  if (!Object.hasOwn(json, name)) return { ok: true, value: null };
  // Some languages write it for what they do not have; here it could as well mean "nothing is allowed".
  if (json[name] === null) return wrong(`answered with a ${name} that is null; leave it out where it says nothing`);
  return read(json[name]);
}

function readUser(value: unknown): Parsed<string> {
  if (typeof value === 'string' && isUserName(value)) return { ok: true, value };
  return wrong('answered with a user that is no text of 1 to 255 bytes of printable characters');
}

function readPatterns<P>(
  name: string,
  value: unknown,
  parse: (text: string) => { readonly ok: true; readonly pattern: P } | { readonly ok: false; readonly error: string },
): Parsed<readonly P[]> {
  if (!Array.isArray(value))
    return wrong(`answered with a ${name} that is ${kindOf(value)}; wanted a list of patterns`);
  const patterns: P[] = [];
  for (const [index, text] of value.entries()) {
    if (typeof text !== 'string')
      return wrong(`answered with a ${name}[${index}] that is ${kindOf(text)}; wanted a text`);
    const parsed = parse(text);
    if (!parsed.ok) return wrong(`answered with a bad ${name}[${index}]: ${parsed.error}`);
    patterns.push(parsed.pattern);
  }
  return { ok: true, value: patterns };
}

/** The keys, units and bounds of `users.NAME.limits`. */
function readLimits(value: unknown): Parsed<Partial<UserLimits>> {
  if (!isJson(value)) return wrong(`answered with limits that are ${kindOf(value)}; wanted an object`);
  const limits: { [name: string]: number } = {};
  for (const [name, given] of Object.entries(value)) {
    const key = Object.entries(LIMITS).find(([known]) => known === name)?.[1];
    if (key === undefined)
      return wrong(`answered with an unknown limit ${shown(name)}${hint(name, Object.keys(LIMITS))}`);
    let fault = '';
    const report: Report = {
      file: '',
      error: (_at, what, allowed) => {
        fault = `${what}, allowed: ${allowed}`;
      },
      warning: () => {},
    };
    const read = readValue(key, readObject(given), NO_WORLD, report);
    if (typeof read !== 'number') return wrong(`answered with a bad limits.${name}: ${fault}`);
    limits[nameOf(name, key)] = read;
  }
  return { ok: true, value: limits };
}

/** No limit depends on the machine. */
const NO_WORLD: ConfigWorld = {
  parallelism: 1,
  resolvePath: (path) => path,
  readFile: () => wrong('is not read here'),
  readBytes: () => wrong('is not read here'),
};

function readTtl(value: unknown): Parsed<number> {
  const ms = ttlOf(value);
  if (ms !== null && ms >= MIN_TTL_MS && ms <= MAX_TTL_MS) return { ok: true, value: ms };
  return wrong(`answered with a bad ttl; wanted ${TTL_FORMS}`);
}

function ttlOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value * 1000 : null;
  if (typeof value !== 'string') return null;
  const parsed = parseDuration(value);
  return parsed.ok ? parsed.value : null;
}

function readReason(value: unknown): Parsed<string> {
  return typeof value === 'string'
    ? { ok: true, value }
    : wrong(`answered with a reason that is ${kindOf(value)}; wanted a text`);
}

/** What 0 means: nothing at all, or no limit. */
const ZERO: { readonly [limit in keyof UserLimits]: 'nothing' | 'no limit' } = {
  connections: 'nothing',
  channels: 'nothing',
  forwards: 'nothing',
  opensPerSecond: 'no limit',
  failedOpensPerMinute: 'no limit',
  bytesPerSecond: 'no limit',
  memoryBytes: 'no limit',
};

/** Of each limit the smaller of both. */
export function narrowerLimits(limits: UserLimits, more: Partial<UserLimits>): UserLimits {
  const narrower = (name: keyof UserLimits): number => {
    const [a, b = a] = [limits[name], more[name]];
    if (ZERO[name] === 'no limit' && (a === 0 || b === 0)) return Math.max(a, b);
    return Math.min(a, b);
  };
  return {
    connections: narrower('connections'),
    channels: narrower('channels'),
    forwards: narrower('forwards'),
    opensPerSecond: narrower('opensPerSecond'),
    failedOpensPerMinute: narrower('failedOpensPerMinute'),
    bytesPerSecond: narrower('bytesPerSecond'),
    memoryBytes: narrower('memoryBytes'),
  };
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

/** A key that stands twice in one object of a text that is JSON, or null: JSON.parse takes the last, others the first. */
function doubleKey(text: string): string | null {
  const open: (Set<string> | null)[] = [];
  let isKey = false;
  for (const [token] of text.matchAll(TOKENS)) {
    const keys = open.at(-1) ?? null;
    if (token === '{' || token === '[') open.push(token === '{' ? new Set() : null);
    else if (token === '}' || token === ']') open.pop();
    else if (isKey && keys !== null && token.startsWith('"')) {
      const name = String(JSON.parse(token));
      if (keys.has(name)) return name;
      keys.add(name);
    }
    isKey = token === '{' || token === ',';
  }
  return null;
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Never the value itself. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : typeof value === 'string' ? 'a text' : `a ${typeof value}`;
}

function shown(name: string): string {
  const text = JSON.stringify(name);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function hint(name: string, known: readonly string[]): string {
  const close = nearest(name, known);
  return close === undefined ? `; known are ${known.join(', ')}` : ` (did you mean ${close}?)`;
}

function orNull<T>(part: Parsed<T>): T | null {
  return part.ok ? part.value : null;
}

function wrong(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
