/** ROUTES: the way from a request's method and path to what answers it, and what the OpenAPI document says of both.
 *  Owns nothing. */
import type { AdminErrorCode } from '../../shared/admin.js';
import type { Answer } from './answer.js';
import type { SchemaName } from './schemas.js';

export type Method = 'GET' | 'POST' | 'DELETE';

export interface Ask {
  /** What stood for `:id` in the path; empty where the path has none. */
  readonly id: string;
  readonly query: URLSearchParams;
}

export interface Route {
  readonly method: Method;
  /** One part of it may be `:id`. */
  readonly path: string;
  readonly does: string;
  /** Needs no token. Default: it does. */
  readonly isOpen?: boolean;
  readonly query?: readonly Parameter[];
  /** The answer where nothing is in the way: its status, and what it looks like. */
  readonly good: readonly [status: number, Good];
  readonly refusals?: readonly AdminErrorCode[];
  handle(ask: Ask): Answer | Promise<Answer>;
}

export type Good = { readonly schema: SchemaName } | { readonly type: string } | { readonly nothing: true };

export interface Parameter {
  readonly name: string;
  readonly does: string;
  readonly schema: object;
}

export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly id: string }
  /** The path is there, for these methods. */
  | { readonly kind: 'method'; readonly allow: readonly string[] }
  | { readonly kind: 'nothing' };

/** HEAD is GET without its body (RFC 9110 §9.3.2). */
export function find(routes: readonly Route[], method: string, path: string): Match {
  const fitting = routes.flatMap((route) => {
    const id = matchPath(route.path, path);
    return id === null ? [] : [{ route, id }];
  });
  const wanted = method === 'HEAD' ? 'GET' : method;
  const found = fitting.find(({ route }) => route.method === wanted);
  if (found !== undefined) return { kind: 'route', ...found };
  if (fitting.length === 0) return { kind: 'nothing' };
  const methods = fitting.map(({ route }) => route.method);
  return { kind: 'method', allow: methods.includes('GET') ? ['HEAD', ...methods] : methods };
}

/** @returns what stands for `:id`, or null where the path is another one */
function matchPath(pattern: string, path: string): string | null {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  let id = '';
  for (const [index, part] of wanted.entries()) {
    const here = given[index] ?? '';
    if (part === ':id' && here !== '') id = here;
    else if (part !== here) return null;
  }
  return id;
}
