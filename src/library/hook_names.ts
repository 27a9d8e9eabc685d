/** HOOK NAMES: mistakes in a server that JavaScript lets pass: a hook under a name that nobody asks for decides nothing, and a
 *  default decides in its place.
 *  Owns nothing. Looks at names alone. */
import type { Config } from '../shared/config.js';
import { nearest } from '../shared/nearest.js';
import { kindOf } from '../worker/auth/hooks.js';
import type { ServerHooks } from '../worker/server.js';

const HOOKS: { readonly [hook in keyof ServerHooks]: true } = {
  getAllowedAuths: true,
  checkAuthPassword: true,
  checkAuthPublicKey: true,
  checkAuthInteractive: true,
  checkSecondFactor: true,
  checkDirect: true,
  checkDial: true,
  checkDialPath: true,
  checkForwardAddress: true,
  portRanges: true,
  limits: true,
  onSession: true,
};
const NAMES = Object.keys(HOOKS);

export interface HookMistakes {
  /** Hooks that are no methods: the server must not start. */
  readonly errors: readonly string[];
  /** What may be a mistake. */
  readonly warnings: readonly string[];
}

export function hookMistakes(server: ServerHooks): HookMistakes {
  const errors = NAMES.flatMap((name) => {
    const hook: unknown = Reflect.get(server, name);
    return typeof hook === 'function' ? [] : [`${name}: is ${kindOf(hook)}, allowed: a method`];
  });
  const warnings = namesIn(server).flatMap((name) => {
    const meant = Object.hasOwn(HOOKS, name) ? undefined : meantBy(name);
    return meant === undefined ? [] : [`${name} is no hook and is never asked (did you mean ${meant}?)`];
  });
  return { errors, warnings };
}

/** Keys of a config that say who may log in, and that a server whose hooks alone decide would never look at. */
export function unheardKeys(hooksDecide: boolean, { auth }: Config): readonly string[] {
  if (!hooksDecide || auth.webhook.url === null) return [];
  return ['auth.webhook: here the hooks decide, and nobody would ask it; ConfiguredServer does'];
}

/** Names of the object itself and of every class that it is of. */
function namesIn(server: object): readonly string[] {
  const names = new Set<string>();
  for (let at: unknown = server; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  return [...names];
}

/** The Python original's spelling (`check_auth_password`), other capitals, a letter too many. */
function meantBy(name: string): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll('_', '');
  return NAMES.find((hook) => plain(hook) === plain(name)) ?? nearest(name, NAMES);
}
