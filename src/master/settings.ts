/** SETTINGS: what a server runs by, and what of it a running one can change.
 *  Owns nothing. */
import type { Config } from '../shared/config.js';
import type { ErrorCode, TunnelError } from '../shared/errors.js';
import type { WatchedFiles } from '../shared/file_signature.js';
import type { HandlerStart, HostKeyFile } from '../shared/ipc.js';

export interface Settings {
  readonly config: Config;
  readonly hostKeys: readonly HostKeyFile[];
  /** Null: the config-driven server. */
  readonly handler: HandlerStart | null;
  /** The config as it was written, for hooks that want to know what was said; empty where nobody asks. */
  readonly written: object;
}

/** Settings that were read again, or all that is wrong with them. */
export type Reading =
  | {
      readonly ok: true;
      readonly settings: Settings;
      readonly warnings: readonly string[];
      /** The files that were read for it, as they were then. */
      readonly files: WatchedFiles;
      /** Called once these settings are in force. */
      readonly inForce?: () => void;
    }
  | { readonly ok: false; readonly reason: ErrorCode; readonly errors: readonly string[] };

/** What has come of a reload. `changed`: keys of the config, users by name. */
export type ReloadOutcome =
  | { readonly ok: true; readonly changed: readonly string[] }
  | { readonly ok: false; readonly error: TunnelError };

/** Keys that only a start can change: where the state lies is known to more than this process. */
const FIXED = ['stateDir'] as const satisfies readonly (keyof Config)[];

/** @returns what is wrong with going from one config to the other, one line each */
export function cannotChange(before: Config, after: Config): readonly string[] {
  return FIXED.filter((key) => before[key] !== after[key]).map(
    (key) => `${key}: is ${before[key]} in the running server, and only a restart can change it`,
  );
}

/** The keys of the config that are not what they were, users by name. */
export function changedKeys(before: Config, after: Config): readonly string[] {
  const { users: had, ...old } = before;
  const { users: has, ...now } = after;
  const texts = new Map(had.map((user) => [user.name, JSON.stringify(user)]));
  const gone = new Set(texts.keys());
  const users: string[] = [];
  for (const user of has) {
    gone.delete(user.name);
    if (texts.get(user.name) !== JSON.stringify(user)) users.push(user.name);
  }
  const keys = Object.entries(now).filter(
    ([key, value]) => JSON.stringify(Reflect.get(old, key)) !== JSON.stringify(value),
  );
  return [...keys.map(([key]) => key), ...[...users, ...gone].map((name) => `users.${name}`)];
}
