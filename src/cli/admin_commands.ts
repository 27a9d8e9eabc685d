/** ADMIN COMMANDS: `status`, `ps`, `kill`, `drain` and `reload` of a running server. Owns what is printed: results on stdout, what is
 *  in the way on stderr. With --json the answer of the API goes to stdout, one object on one line, be it good or an error.
 *  Exit codes: 0 good, 1 when no server answers or it refuses, 2 bad usage or config. */
import { API, CONNECTIONS_LIMIT } from '../shared/admin.js';
import { safeText } from '../shared/log.js';
import { safeJson } from '../shared/text.js';
import { isConnectionList, isDrainBegun, isForwardList, isReloaded, isServerStatus } from './admin_answers.js';
import { askAdmin } from './admin_client.js';
import { type AdminOptions, findAdmin } from './admin_place.js';
import { connectionLines, forwardLines, MAX_LINE, reloadLine, silentLine, statusLines } from './admin_text.js';

export interface PsOptions extends AdminOptions {
  readonly user?: string;
  readonly search?: string;
  readonly limit?: string;
  readonly channels?: boolean;
  readonly forwards?: boolean;
}

export async function status(options: AdminOptions): Promise<number> {
  return await ask(options, 'GET', '/status', isServerStatus, statusLines);
}

export async function ps(options: PsOptions): Promise<number> {
  const { user, search, limit = String(CONNECTIONS_LIMIT.default), channels = false, forwards = false } = options;
  if (!/^\d{1,5}$/.test(limit) || Number(limit) < 1 || Number(limit) > CONNECTIONS_LIMIT.max)
    return badUsage(`--limit: ${limit}, allowed: a whole number from 1 to ${CONNECTIONS_LIMIT.max}`);
  if (forwards && (user !== undefined || search !== undefined || channels))
    return badUsage('--forwards: shows all of them, and goes with none of --user, --search and --channels');
  if (forwards) return await ask(options, 'GET', '/forwards', isForwardList, forwardLines, silentLine);
  const query = new URLSearchParams({
    limit,
    ...(user === undefined ? {} : { user }),
    ...(search === undefined ? {} : { search }),
  });
  const lines = (list: Parameters<typeof connectionLines>[0]): readonly string[] => connectionLines(list, channels);
  return await ask(options, 'GET', `/connections?${query}`, isConnectionList, lines, silentLine);
}

export async function kill(id: string, options: AdminOptions): Promise<number> {
  if (!/^\d{1,15}$/.test(id))
    return badUsage(`${JSON.stringify(id)} is no number of a connection: see \`sallyport ps\``);
  return await ask(options, 'DELETE', `/connections/${id}`, isNothing, () => [`connection ${id} is ended`]);
}

export async function drain(options: AdminOptions): Promise<number> {
  return await ask(options, 'POST', '/drain', isDrainBegun, ({ connections }) => [
    connections === 0
      ? 'draining: no connections'
      : `draining: ${connections === 1 ? '1 connection goes' : `${connections} connections go`} on until timeouts.drain at most`,
  ]);
}

export async function reload(options: AdminOptions): Promise<number> {
  return await ask(options, 'POST', '/reload', isReloaded, (reloaded) => [reloadLine(reloaded)]);
}

/** @param remark on stderr, beside the lines */
async function ask<T>(
  options: AdminOptions,
  method: string,
  path: string,
  isAnswer: (body: unknown) => body is T,
  lines: (answer: T) => readonly string[],
  remark: (answer: T) => string | null = () => null,
): Promise<number> {
  const found = findAdmin(options);
  if (!found.ok) {
    for (const error of found.errors) tell(`error: ${error}`);
    return EXIT_USAGE;
  }
  const outcome = await askAdmin(found.place, method, `${API}${path}`);
  if (outcome.kind === 'silence') {
    tell(safeText(`error: ${outcome.why}`, MAX_LINE));
    return EXIT_FAILURE;
  }
  const { status, body } = outcome;
  if (options.json === true && body !== undefined && body !== null) process.stdout.write(`${safeJson(body)}\n`);
  if (status < 200 || status > 299) {
    for (const line of errorLines(status, body)) tell(safeText(line, MAX_LINE)); // whoever listens there may have said it
    return EXIT_FAILURE;
  }
  if (!isAnswer(body)) {
    tell('error: what answers there is no admin API of Sallyport, or one of another version');
    return EXIT_FAILURE;
  }
  if (options.json === true) return 0;
  const said = remark(body);
  if (said !== null) tell(said);
  process.stdout.write(
    lines(body)
      .map((line) => `${line}\n`)
      .join(''),
  );
  return 0;
}

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

function errorLines(status: number, body: unknown): readonly string[] {
  const error: unknown = Reflect.get(Object(body), 'error');
  const message: unknown = Reflect.get(Object(error), 'message');
  const errors: unknown = Reflect.get(Object(error), 'errors');
  const first = `error: ${typeof message === 'string' ? message : `the server answered ${status}`}`;
  return Array.isArray(errors)
    ? [...errors.map(String), 'error: the config was rejected, and nothing has changed']
    : [first];
}

function isNothing(body: unknown): body is null {
  return body === null;
}

function badUsage(text: string): number {
  tell(`error: ${text}`);
  return EXIT_USAGE;
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
