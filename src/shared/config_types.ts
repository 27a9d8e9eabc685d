/** CONFIG TYPES: the table as TypeScript interfaces, for programs that write a config as an object. Makes the text of
 *  config_options.ts: a mapped type would have the same keys, but an editor that points at one could not say what it does.
 *  Pure. The build that makes the text also compiles it, so `npm run docs` builds, writes and builds again. */

import { SERVER_KEYS, USER_KEYS } from './config.js';
import { hasSwitch, isKey, type Key, type Table, wordsOf } from './config_keys.js';
import { capital, specialValues, withoutLinks } from './config_schema.js';
import { allowedFor } from './config_value.js';
import { assertNever } from './errors.js';

/** Room for the text of a comment within the 120 columns of a line. */
const COMMENT_COLUMNS = 110;
const LINE_COLUMNS = 120;

/** The text of src/shared/config_options.ts, as Biome would format it. */
export function configTypes(): string {
  const head = [
    '/** CONFIG OPTIONS: the keys of the config file as types, for programs that write a config as an object.',
    ' *  Made by `npm run docs` from src/shared/config.ts; a test holds it to that. Do not edit. */',
    '',
    "import type { ListenOptions } from './config_keys.js';",
    "import type { Bytes, Duration, StartupsText } from './units.js';",
  ].join('\n');
  const server = section(SERVER_KEYS, { name: 'Config', inner: '', path: '', about: ABOUT_CONFIG }, [
    member('defaults', 'UserOptions', ['What every user gets unless it says otherwise.']),
    member('users', 'Readonly<Record<string, UserOptions>> | ReadonlyMap<string, UserOptions>', [
      'Who may log in, by login name.',
      '',
      ...wrap('A Map takes every name; an object literal takes `__proto__` for something else.'),
    ]),
  ]);
  const user = section(USER_KEYS, { name: 'User', inner: 'User', path: 'users.NAME.', about: ABOUT_USER });
  return `${[head, ...server, ...user].join('\n\n')}\n`;
}

const ABOUT_CONFIG =
  'The config file as an object: the same keys, with units written as texts. What is left out has its default. ' +
  'Paths start at the working folder.';
const ABOUT_USER = 'A user, or what `defaults` give to every user.';

/** What the text says of one section. */
interface Section {
  /** Its interface is called so, with `Options` behind it. */
  readonly name: string;
  /** How the names of the sections in it begin. */
  readonly inner: string;
  /** How the paths of its keys begin. */
  readonly path: string;
  readonly about: string;
}

/** One interface for this section, then those of the sections in it. */
function section(table: Table, of: Section, more: readonly string[] = []): readonly string[] {
  const members: string[] = [];
  const below: string[] = [];
  for (const [key, entry] of Object.entries(table)) {
    if (!isKey(entry)) {
      const name = `${of.inner}${capital(key)}`;
      const path = `${of.path}${key}`;
      members.push(member(key, hasSwitch(entry) ? `${name}Options | false` : `${name}Options`, []));
      below.push(...section(entry, { name, inner: name, path: `${path}.`, about: `Keys of \`${path}\`.` }));
    } else members.push(member(key, typeOf(entry), aboutKey(entry)));
  }
  const opening = `${comment(wrap(of.about), '')}export interface ${of.name}Options {`;
  return [[opening, ...members, ...more, '}'].join('\n'), ...below];
}

/** `undefined` counts as left out, so that a program may pass on what it does not have. */
function member(name: string, type: string, about: readonly string[]): string {
  const line = `  readonly ${name}?: ${type} | undefined;`;
  const fitting = line.length <= LINE_COLUMNS ? line : `  readonly ${name}?:\n    | ${broken(type)}\n    | undefined;`;
  return `${comment(about, '  ')}${fitting}`;
}

/** A list of one of many texts, over as many lines as Biome would take. */
function broken(type: string): string {
  const list = /^readonly \((.*)\)\[\]$/.exec(type)?.[1];
  if (list === undefined || `    | ${type}`.length <= LINE_COLUMNS) return type;
  const texts = list.split(' | ').map((text) => `        | ${text}\n`);
  return `readonly (\n${texts.join('')}      )[]`;
}

function typeOf(key: Key): string {
  switch (key.kind) {
    case 'duration':
      return key.off === undefined ? 'Duration' : "Duration | 'off'";
    case 'bytes':
      return ['Bytes', ...wordsOf(key).map(quoted)].join(' | ');
    case 'count':
      return 'number';
    case 'switch':
      return 'boolean';
    case 'workers':
      return "number | 'auto'";
    case 'startups':
      return 'StartupsText';
    case 'choice':
      return union(key.values);
    case 'choices':
      return `readonly (${union(key.values)})[]`;
    case 'text':
    case 'path':
    case 'module':
    case 'appendedFile':
    case 'passwordHash':
    case 'webhookUrl':
    case 'adminListener':
    case 'secretFile':
    case 'revokedKeys':
    case 'totpFile':
      return 'string';
    case 'paths':
    case 'certificates':
    case 'blocks':
    case 'openPatterns':
    case 'listenPatterns':
      return 'readonly string[]';
    case 'listeners':
      return 'readonly (string | ListenOptions)[]';
    case 'authorizedKeys':
      return 'string | readonly string[]';
    default:
      return assertNever(key);
  }
}

function union(values: readonly string[]): string {
  return values.map(quoted).join(' | ');
}

function aboutKey(key: Key): readonly string[] {
  const special = specialValues(key);
  return [
    ...wrap(`${withoutLinks(key.does)}.`),
    '',
    ...wrap(`Allowed: ${allowedFor(key)}${special === '' ? '' : ` (${special})`}.`),
    ...wrap(`Why: ${withoutLinks(key.why)}.`),
    ...wrap(`Source: ${key.source}.`),
    `@default ${shownDefault(key)}`,
  ];
}

function shownDefault(key: Key): string {
  if (key.default === null) return 'none';
  if (typeof key.default === 'object') return `[${key.default.map(quoted).join(', ')}]`;
  return typeof key.default === 'string' ? quoted(key.default) : String(key.default);
}

function quoted(text: string): string {
  return `'${text}'`;
}

/** No comment for no lines. */
function comment(lines: readonly string[], indent: string): string {
  if (lines.length === 0) return '';
  const [first = '', ...more] = lines.map((line) => line.replaceAll('*/', '*\\/'));
  const rest = more.map((line) => `\n${indent} *${line === '' ? '' : `  ${line}`}`);
  return `${indent}/** ${[first, ...rest].join('')} */\n`;
}

function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COMMENT_COLUMNS) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
