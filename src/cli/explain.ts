/** EXPLAIN: says what the server of this config would decide, and by which line of which file. Changes nothing, contacts nobody.
 *  Owns the reading of the command line; what is said goes to stdout, what is wrong with the question or the config to stderr. */
import { existsSync } from 'node:fs';
import { ConfigPlaces } from '../library/config_places.js';
import { type AskedFor, explain as explainConfig } from '../library/explain.js';
import { readTextFile } from '../library/load_config.js';
import { parseAddress, parseCidr, parseHost } from '../shared/address.js';
import { authorizedKeyLines } from '../shared/config_checks.js';
import { reasonOf } from '../shared/errors.js';
import { parseBindHost } from '../shared/patterns.js';
import { MAX_PORT } from '../shared/port.js';
import { socketPathError } from '../shared/socket_path.js';
import { safeJson } from '../shared/text.js';
import { parseExpiryTime } from '../worker/auth/expiry_time.js';
import { readKeyLine } from '../worker/auth/key_line.js';
import { explainText } from './explain_text.js';
import { CONFIG_PLACES, findConfig, loadWith } from './options.js';

/** As they were typed. */
export interface ExplainOptions {
  readonly config?: string;
  readonly key?: string;
  readonly certificate?: string;
  readonly from?: string;
  readonly at?: string;
  readonly open?: readonly string[];
  readonly listen?: readonly string[];
  readonly resolve?: boolean;
  readonly json?: boolean;
}

const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;

/** Something about the question that cannot be answered. */
class Mistake extends Error {}

/** Where lines go. */
export interface Say {
  out(text: string): void;
  err(line: string): void;
}
const STREAMS: Say = {
  out: (text) => void process.stdout.write(text),
  err: (line) => void process.stderr.write(`${line}\n`),
};

/** @returns the exit code: 0 nothing would be refused, 1 something would be, 2 bad usage or config */
export async function explain(user: string, options: ExplainOptions, say: Say = STREAMS): Promise<number> {
  try {
    const file = findConfig(options.config);
    if (file === null) throw new Mistake(`no config file (${CONFIG_PLACES.join(', ')}): name one by --config`);
    const mistakes: string[] = [];
    const ask = askFrom(user, options, mistakes);
    const { config, errors, warnings, text } = loadWith(file, {});
    for (const line of [...warnings, ...errors]) say.err(line);
    if (config === null) return EXIT_USAGE;
    const explained = await explainConfig(config, new ConfigPlaces(file, text), ask);
    for (const mistake of mistakes) say.err(`error: ${mistake}`);
    const told = mistakes.length === 0 ? explained : { ...explained, errors: mistakes };
    say.out(options.json === true ? `${safeJson(told)}\n` : explainText(explained));
    if (mistakes.length > 0) return EXIT_USAGE;
    return explained.outcome === 'refused' ? EXIT_REFUSED : 0;
  } catch (thrown) {
    if (!(thrown instanceof Mistake)) throw thrown;
    say.err(`error: ${reasonOf(thrown)}`);
    return EXIT_USAGE;
  }
}

/** @param mistakes takes what is said of a target that is none; the others are asked about */
function askFrom(username: string, options: ExplainOptions, mistakes: string[]): Parameters<typeof explainConfig>[2] {
  const { key, certificate, open = [], listen = [], resolve = false } = options;
  // In the order in which ssh offers them.
  const files = [certificate, key].filter((file) => file !== undefined);
  return {
    username,
    blobs: files.map(publicKeyIn),
    address: fromOption(options.from),
    atMs: atOption(options.at),
    resolve,
    requests: [
      ...readEach(open, (text): AskedFor => ({ kind: 'open', target: destinationOf(text) }), mistakes),
      ...readEach(listen, (text): AskedFor => ({ kind: 'listen', target: bindOf(text) }), mistakes),
    ],
  };
}

function readEach<T>(texts: readonly string[], read: (text: string) => T, mistakes: string[]): readonly T[] {
  return texts.flatMap((text) => {
    try {
      return [read(text)];
    } catch (thrown) {
      if (!(thrown instanceof Mistake)) throw thrown;
      mistakes.push(thrown.message);
      return [];
    }
  });
}

/** Of the file that ssh would be told to use: the public one, or the one beside the private key. */
function publicKeyIn(file: string): Buffer {
  const read = readTextFile(file);
  if (!read.ok) throw new Mistake(`${file} ${read.error}`);
  if (read.value.includes('PRIVATE KEY-----')) {
    const beside = `${file}.pub`;
    if (existsSync(beside)) return publicKeyIn(beside);
    throw new Mistake(`${file} is a private key: make the public one by \`ssh-keygen -y -f ${file} > ${beside}\``);
  }
  const [line] = authorizedKeyLines(file, read.value);
  const parsed = line === undefined ? 'no key, expected TYPE BASE64 [comment]' : readKeyLine(line.text);
  if (typeof parsed === 'string') throw new Mistake(`${file}:${line?.line ?? 1}: ${parsed}`);
  return parsed.blob;
}

/** Some address there has to be, for `from=`. */
function fromOption(text = '127.0.0.1'): string {
  const address = parseAddress(text);
  if (address === null) throw new Mistake(`--from ${text}: no IP address`);
  return address.text;
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

function atOption(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const atMs = parseExpiryTime(text) ?? (ISO_TIME.test(text) ? Date.parse(text) : Number.NaN);
  if (Number.isNaN(atMs))
    throw new Mistake(`--at ${text}: no time, write 2027-12-31T23:59:00Z or YYYYMMDD[HHMM[SS]][Z]`);
  return atMs;
}

function destinationOf(text: string): Extract<AskedFor, { kind: 'open' }>['target'] {
  if (text.startsWith('/')) return { kind: 'unix', path: pathOf('--open', text) };
  const { host, port } = hostAndPort('--open', text);
  const parsed = parseHost(host);
  if (parsed.kind === 'invalid') throw new Mistake(`--open ${text}: ${blockHint(host) ?? parsed.why}`);
  if (port === 0) throw new Mistake(`--open ${text}: port 0 cannot be opened`);
  return { kind: 'tcp', host, port };
}

/** Patterns may be blocks and globs; whoever asks for them here wants to know about what is in them. */
function blockHint(host: string): string | null {
  if (parseCidr(host) !== null) return `a client asks for one host: name an address of ${host}`;
  return host.includes('*') ? 'a client asks for one host, not for a pattern' : null;
}

/** `PORT` alone stands for what `ssh -R PORT:…` asks for: localhost. */
function bindOf(text: string): Extract<AskedFor, { kind: 'listen' }>['target'] {
  if (text.startsWith('/')) return { kind: 'unix', path: pathOf('--listen', text) };
  const { host, port } = hostAndPort('--listen', /^\d+$/.test(text) ? `localhost:${text}` : text);
  const parsed = parseBindHost(host);
  if (parsed.kind === 'invalid') throw new Mistake(`--listen ${text}: ${parsed.why}`);
  return { kind: 'tcp', host, port };
}

/** The host as ssh would send it: spelling counts for `permitopen`. */
function hostAndPort(option: string, text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > MAX_PORT)
    throw new Mistake(`${option} ${text}: write HOST:PORT, [IPV6]:PORT or the absolute path of a socket`);
  return { host: bracketed ?? plain, port: Number(port) };
}

function pathOf(option: string, path: string): string {
  const wrong = socketPathError(path);
  if (wrong !== null) throw new Mistake(`${option} ${path}: ${wrong}`);
  return path;
}
