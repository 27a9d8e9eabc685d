/** NO ADDONS: loaded before anything loads ssh2, it makes its C++ addons unloadable: missing, as after `npm install
 *  --ignore-scripts`, or with TEST_ADDONS=broken not what the system can load (another architecture, half a file). */
import Module from 'node:module';
import { fileURLToPath } from 'node:url';

const load: unknown = Reflect.get(Module, '_load');
if (typeof load !== 'function') throw new Error('node:module has no loader that we know');
Reflect.set(Module, '_load', (request: string, ...rest: unknown[]) => {
  if (!/(sshcrypto|cpufeatures)\.node$/.test(request)) return load(request, ...rest);
  if (process.env.TEST_ADDONS === 'broken') process.dlopen({ exports: {} }, fileURLToPath(import.meta.url)); // throws
  throw Object.assign(new Error(`Cannot find module '${request}'`), { code: 'MODULE_NOT_FOUND' });
});
