/** OPENAPI: the document that describes the API, made from the very table that answers.
 *  Owns nothing. OpenAPI 3.1.0. */
import { ADMIN_ERRORS, type AdminErrorCode } from '../../shared/admin.js';
import type { Route } from './routes.js';
import { ref, SCHEMAS } from './schemas.js';

export function openapi(routes: readonly Route[], version: string): object {
  const paths: { [path: string]: { [method: string]: object } } = {};
  for (const route of routes) {
    const path = route.path.replace(':id', '{id}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sallyport admin API',
      version,
      description: 'Times are ISO 8601 in UTC, durations ms, sizes bytes. Fields may be added later.',
    },
    paths,
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'By TCP; a Unix socket asks for none' },
      },
    },
    security: [{ token: [] }, {}],
  };
}

function operation({ path, does, isOpen = false, query = [], good, refusals = [] }: Route): object {
  const [status, what] = good;
  const content =
    'schema' in what
      ? { content: { 'application/json': { schema: ref(what.schema) } } }
      : 'type' in what
        ? { content: { [what.type]: { schema: { type: 'string' } } } }
        : {};
  const codes: readonly AdminErrorCode[] = [...refusals, ...(isOpen ? [] : (['UNAUTHORIZED'] as const)), 'FORBIDDEN'];
  const parameters = [
    ...(path.includes(':id') ? [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }] : []),
    ...query.map(({ name, does, schema }) => ({ name, in: 'query', description: does, schema })),
  ];
  return {
    summary: does,
    ...(parameters.length === 0 ? {} : { parameters }),
    responses: {
      [status]: { description: does, ...content },
      ...Object.fromEntries(codes.map((code) => [ADMIN_ERRORS[code], refusal(code)])),
      ...(path === '/readyz' ? { 503: { description: 'not now', ...content } } : {}),
    },
    ...(isOpen ? { security: [] } : {}),
  };
}

function refusal(code: AdminErrorCode): object {
  return { description: code, content: { 'application/json': { schema: ref('Error') } } };
}
