/** HANDLER: a module of the user's whose default export is a TunnelServer subclass, loaded and made.
 *  Owns nothing. Whatever is wrong with the module is told with its stack. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errnoOf, reasonOf, TunnelError } from '../shared/errors.js';
import { SERVED, SERVED_VERSION, type Served } from './served.js';

/** @param url file: URL of the module
 *  @param options for the constructor
 *  @throws TunnelError HANDLER_INVALID: does not load, exports something else, or its constructor throws */
export async function loadHandler(url: string, options: object): Promise<Served> {
  const file = fileURLToPath(url);
  let loaded: object;
  try {
    loaded = await import(url);
  } catch (thrown) {
    throw invalid(
      file,
      `does not load${hintFor(thrown)}: ${whyNotThere(file) ?? placeOf(file, thrown) ?? stackOf(thrown)}`,
      thrown,
    );
  }
  const found = defaultOf(loaded);
  if (!isServerClass(found)) throw invalid(file, whyNoServerClass(found));
  try {
    return new found(options);
  } catch (thrown) {
    throw invalid(file, `its constructor throws: ${stackOf(thrown)}`, thrown);
  }
}

/** A module that was compiled to CommonJS carries its default export one level deeper. */
function defaultOf(loaded: object): unknown {
  const found: unknown = 'default' in loaded ? loaded.default : undefined;
  return typeof found === 'object' && found !== null && 'default' in found ? found.default : found;
}

function isServerClass(value: unknown): value is new (options: object) => Served {
  return typeof value === 'function' && Reflect.get(value, SERVED) === SERVED_VERSION;
}

function whyNoServerClass(found: unknown): string {
  const wanted = 'wanted: export default class extends TunnelServer { … }';
  if (found === undefined) return `has no default export; ${wanted}`;
  if (typeof found === 'object' && found !== null && SERVED in found)
    return `exports a server that is made already, not its class; ${wanted}`;
  if (typeof found !== 'function') return `its default export is no class; ${wanted}`;
  if (Reflect.get(found, SERVED) === undefined) return `its default export does not extend TunnelServer; ${wanted}`;
  return 'its default export extends the TunnelServer of another version of sallyport than the one that runs it';
}

function hintFor(thrown: unknown): string {
  if (errnoOf(thrown) !== 'ERR_UNKNOWN_FILE_EXTENSION') return '';
  return (
    ` (Node ${process.versions.node} reads no TypeScript by itself: from 22.18 on it does; before, compile the module, ` +
    "or set NODE_OPTIONS='--import tsx' with the package tsx installed)"
  );
}

/** Node would tell it with a stack of its own insides, in which the path is lost. */
function whyNotThere(file: string): string | undefined {
  return existsSync(file) ? undefined : 'there is no such file';
}

/** Where the text of the module is no JavaScript: Node tells it only to the terminal that an error ends on, not in the stack.
 *  `--check` reads and does not run. It knows nothing of the modules that this one imports: then the stack has to do. */
function placeOf(file: string, thrown: unknown): string | undefined {
  if (!(thrown instanceof SyntaxError)) return undefined;
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: PLACE_MS });
  const [place] = stderr.split('\n    at ');
  return place?.includes('SyntaxError') ? place.trim() : undefined;
}

const PLACE_MS = 2_000;

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : reasonOf(thrown);
}

function invalid(file: string, what: string, cause?: unknown): TunnelError {
  return new TunnelError('HANDLER_INVALID', `${file}: ${what}`, { cause });
}
