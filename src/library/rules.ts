/** RULES: the patterns of `permitOpen` and `permitListen`, parsed once, for programs that decide by them.
 *  Owns nothing but the parsed patterns, which are nobody else's business. */
import { TunnelError } from '../shared/errors.js';
import { nearest } from '../shared/nearest.js';
import { parseListenPattern, parseOpenPattern } from '../shared/pattern_text.js';
import { kindOf } from '../worker/auth/hooks.js';
import type { Rights } from '../worker/policy.js';

export interface RulesOptions {
  /** `HOST:PORTS` or absolute socket paths that may be opened. `*` never covers protected addresses. Default: none. */
  readonly permitOpen?: readonly string[] | undefined;
  /** `HOST:PORTS` or absolute socket paths that may be bound. Default: none. */
  readonly permitListen?: readonly string[] | undefined;
}

/** What an identity may open and bind, in the config's patterns (docs/config.md, permitOpen and permitListen). */
export class Rules {
  readonly #rights: Rights;

  /** @throws TunnelError CONFIG_INVALID that names the pattern and what would be right */
  constructor(options: RulesOptions = {}) {
    refuseMisspelt(options);
    const { permitOpen, permitListen }: RulesOptions = Object(options);
    this.#rights = {
      permitOpen: textsOf('permitOpen', permitOpen).map((text) => patternOf(parseOpenPattern(text))),
      permitListen: textsOf('permitListen', permitListen).map((text) => patternOf(parseListenPattern(text))),
    };
  }

  /** @internal @throws TunnelError HOOK_FAILED where a hook answered something else */
  static rightsOf(rules: unknown): Rights {
    if (typeof rules === 'object' && rules !== null && #rights in rules) return rules.#rights;
    throw new TunnelError('HOOK_FAILED', `rules: answered ${kindOf(rules)}; wanted Rules`);
  }
}

export function rightsOf(rules: unknown): Rights {
  return Rules.rightsOf(rules);
}

const KEYS = ['permitOpen', 'permitListen'];

/** A misspelt list would be an empty one, and everything refused with nothing said. Other keys are passed over: a whole user of a config
 *  may come in here. */
function refuseMisspelt(options: object): void {
  for (const name of Object.keys(Object(options))) {
    const meant = KEYS.includes(name) ? undefined : nearest(name, KEYS);
    if (meant !== undefined)
      throw new TunnelError(
        'CONFIG_INVALID',
        `${name}: unknown key (did you mean ${meant}?), allowed: ${KEYS.join(', ')}`,
      );
  }
}

/** JavaScript lets anything in here. */
function textsOf(name: string, value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((text) => typeof text === 'string')) return value;
  throw new TunnelError('CONFIG_INVALID', `${name}: is no list of texts, allowed: such as ["localhost:80"]`);
}

function patternOf<P>(
  parsed: { readonly ok: true; readonly pattern: P } | { readonly ok: false; readonly error: string },
): P {
  if (parsed.ok) return parsed.pattern;
  throw new TunnelError('CONFIG_INVALID', parsed.error);
}
