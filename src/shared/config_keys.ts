/** CONFIG KEYS: what a key of the config can be, what it becomes when it is read, and under which name. Owns the kinds;
 *  the keys themselves stand in config.ts. */

import type { TotpKey } from './otpauth.js';
import type { Startups } from './units.js';

/** What every key tells its reader. */
interface About {
  /** What it does; one short sentence without a full stop. */
  readonly does: string;
  /** Why the default and the bounds are what they are, and what another value costs. */
  readonly why: string;
  /** Where the number or the form comes from. */
  readonly source: string;
}

/** One key. Numbers with a unit stand as they are written in the file; lists and texts likewise. */
export type Key =
  | (About & Ranged<string> & { readonly kind: 'duration'; readonly off?: string })
  | (About & Ranged<string> & { readonly kind: 'bytes'; readonly off?: string; readonly auto?: string })
  | (About & Ranged<number> & { readonly kind: 'count' })
  | (About & { readonly kind: 'switch'; readonly default: boolean })
  | (About & { readonly kind: 'workers'; readonly default: 'auto'; readonly max: number })
  | (About & { readonly kind: 'startups'; readonly default: string })
  | (About & { readonly kind: 'text'; readonly default: string; readonly maxCharacters: number })
  | (About & { readonly kind: 'choice'; readonly default: string; readonly values: readonly string[] })
  | (About & { readonly kind: 'choices'; readonly default: readonly string[]; readonly values: readonly string[] })
  | (About & { readonly kind: 'path'; readonly default: string })
  | (About & { readonly kind: 'module'; readonly default: null })
  | (About & { readonly kind: 'appendedFile'; readonly default: null })
  | (About & { readonly kind: 'paths'; readonly default: readonly string[] })
  | (About & { readonly kind: 'certificates'; readonly default: readonly string[] })
  | (About & { readonly kind: 'listeners'; readonly default: readonly string[] })
  | (About & { readonly kind: 'blocks'; readonly default: readonly string[] })
  | (About & { readonly kind: 'openPatterns'; readonly default: readonly string[] })
  | (About & { readonly kind: 'listenPatterns'; readonly default: readonly string[] })
  | (About & { readonly kind: 'authorizedKeys'; readonly default: readonly string[] })
  | (About & { readonly kind: 'passwordHash'; readonly default: null })
  | (About & { readonly kind: 'webhookUrl'; readonly default: null })
  | (About & { readonly kind: 'adminListener'; readonly default: 'auto'; readonly auto: string })
  | (About & { readonly kind: 'secretFile'; readonly default: null })
  | (About & { readonly kind: 'revokedKeys'; readonly default: null })
  | (About & { readonly kind: 'totpFile'; readonly default: null });

/** Inclusive. `zero` says what 0 means where 0 is allowed; for a duration and a size `off`, for a size also `auto`, say what that
 *  word means (it is 0 in the Config). */
interface Ranged<T> {
  readonly default: T;
  readonly min: T;
  readonly max: T;
  readonly zero?: string;
}

export interface Table {
  readonly [name: string]: Key | Table;
}

/** The key by which a whole section is switched off: where a section has it, `SECTION: false` is short for
 *  `SECTION: { enabled: false }`. */
export const SWITCH = 'enabled';

export function hasSwitch(section: Table): boolean {
  return Object.hasOwn(section, SWITCH);
}

/** A line of an authorized_keys file, already read by the primary, with the file and line that it came from. */
export interface AuthorizedKeyLine {
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

/** One of `listen`, be it written as a text or as a map. */
export interface ListenEntry {
  /** `HOST:PORT`. */
  readonly address: string;
  /** Addresses and CIDR blocks of the proxies whose connections begin with a PROXY header. */
  readonly proxyFrom: readonly string[];
}

/** The same as a program or a config writes it. */
export interface ListenOptions {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly proxyProtocol?: { readonly from: readonly string[] } | undefined;
}

/** A secret of one line, already read by the primary. */
export interface SecretFile {
  readonly path: string;
  /** Never to be shown. */
  readonly secret: string;
}

/** The file of revoked keys as the primary has read it: it may be binary, and the Config travels as JSON. */
export interface RevokedKeysFile {
  readonly file: string;
  readonly base64: string;
}

/** Where the admin API is. */
export type AdminListen =
  | { readonly kind: 'unix'; readonly path: string }
  /** `host` is a loopback address. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** A second factor, already read by the primary, with the file that it came from. */
export interface TotpFile extends TotpKey {
  readonly file: string;
}

/** A value in the Config: durations in ms, sizes in bytes, `off` as 0. */
type ValueOf<K> = K extends { readonly kind: 'duration' | 'bytes' | 'count' | 'workers' }
  ? number
  : K extends { readonly kind: 'switch' }
    ? boolean
    : K extends { readonly kind: 'startups' }
      ? Startups
      : K extends { readonly kind: 'text' | 'path' }
        ? string
        : K extends { readonly kind: 'choice'; readonly values: readonly (infer V)[] }
          ? V
          : K extends { readonly kind: 'choices'; readonly values: readonly (infer V)[] }
            ? readonly V[]
            : K extends { readonly kind: 'authorizedKeys' | 'certificates' }
              ? readonly AuthorizedKeyLine[]
              : K extends { readonly kind: 'passwordHash' | 'module' | 'appendedFile' | 'webhookUrl' }
                ? string | null
                : K extends { readonly kind: 'secretFile' }
                  ? SecretFile | null
                  : K extends { readonly kind: 'revokedKeys' }
                    ? RevokedKeysFile | null
                    : K extends { readonly kind: 'totpFile' }
                      ? TotpFile | null
                      : K extends { readonly kind: 'listeners' }
                        ? readonly ListenEntry[]
                        : K extends { readonly kind: 'adminListener' }
                          ? AdminListen | null
                          : readonly string[];

/** The unit becomes part of the name (`connect` -> `connectMs`), unless it stands there already (`bytes`). */
type NameOf<N extends string, K> = K extends { readonly kind: 'duration' }
  ? `${N}Ms`
  : K extends { readonly kind: 'bytes' }
    ? N extends `bytes${string}`
      ? N
      : `${N}Bytes`
    : N;

/** What a table of keys becomes when it is read. */
export type Values<T> = {
  readonly [N in keyof T & string as NameOf<N, T[N]>]: T[N] extends {
    readonly kind: string;
  }
    ? ValueOf<T[N]>
    : Values<T[N]>;
};

/** The name under which a key's value stands in the Config; the same rule as `NameOf`. */
export function nameOf(name: string, key: Key): string {
  if (key.kind === 'duration') return `${name}Ms`;
  if (key.kind === 'bytes' && !name.startsWith('bytes')) return `${name}Bytes`;
  return name;
}

/** The words that a key takes beside its numbers; each is 0 in the Config. */
export function wordsOf(key: { readonly off?: string; readonly auto?: string }): readonly string[] {
  return [...(key.off === undefined ? [] : ['off']), ...(key.auto === undefined ? [] : ['auto'])];
}

export function isKey(entry: Key | Table): entry is Key {
  return typeof entry.kind === 'string';
}
