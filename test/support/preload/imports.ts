/** IMPORTS: loaded into a process before its own modules; writes down each package that it imports, by the name that was
 *  asked for, into the file TEST_IMPORTS. */
import { register } from 'node:module';

const { TEST_IMPORTS = '/dev/null' } = process.env;
/** Runs in a thread of the loader's: hence a module of its own. */
const hooks = `
import { appendFileSync } from 'node:fs';
export async function resolve(specifier, context, next) {
  if (!/^(node:|[./]|file:)/.test(specifier)) appendFileSync(${JSON.stringify(TEST_IMPORTS)}, specifier + '\\n');
  return await next(specifier, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
