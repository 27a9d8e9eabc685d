/** CONFIG SCHEMA: the table as a JSON Schema for editors and as the page docs/config.md. Pure. */

import { SERVER_KEYS, USER_KEYS } from './config.js';
import { hasSwitch, isKey, type Key, type Table, wordsOf } from './config_keys.js';
import { allowedFor } from './config_value.js';
import { assertNever } from './errors.js';

export type JsonSchema = { readonly [keyword: string]: unknown };

/** JSON Schema (draft 2020-12) of the config file. It knows forms and bounds of numbers; ranges of durations and sizes,
 *  patterns and files are judged by `sallyport check`. */
export function configSchema(): JsonSchema {
  const user = sectionSchema(USER_KEYS);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Sallyport configuration',
    ...sectionSchema(SERVER_KEYS, {
      defaults: { ...user, description: 'What every user gets unless it says otherwise' },
      users: {
        type: ['object', 'null'],
        description: 'Who may log in, by login name',
        propertyNames: { minLength: 1, maxLength: 255 },
        additionalProperties: user,
      },
    }),
  };
}

/** The page docs/config.md: what a config looks like, and every key of it. */
export function configPage(): string {
  return `${[
    '# Config',
    '',
    '<!-- Made by `npm run docs` from src/shared/config.ts; a test holds it to that. -->',
    '',
    'YAML, looked for at `--config FILE`, `./sallyport.yaml` and `/etc/sallyport/sallyport.yaml`. Unknown keys are errors,',
    'and `sallyport check` prints all of them at once with file, line and column. Units are written: `30s`, `10m`, `64KiB`,',
    '`1GiB`. Paths are relative to the file. `defaults:` takes the keys of a user and holds for every user that does not say',
    'otherwise: a list replaces the default one, `limits` go key by key. `sallyport schema` prints a JSON Schema for editors.',
    '',
    'The last words of each row name where a value comes from.',
    '',
    configMarkdown(),
  ].join('\n')}`;
}

/** One row per key that this version has. */
export function configMarkdown(): string {
  const rows = [...markdownRows(SERVER_KEYS, ''), ...markdownRows(USER_KEYS, 'users.NAME.')];
  return ['| Key | Default | Allowed | What and why |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** A section may stand empty (`timeouts:` with nothing below it). */
function sectionSchema(table: Table, more: JsonSchema = {}): JsonSchema {
  const properties: { [name: string]: unknown } = {};
  for (const [name, entry] of Object.entries(table)) {
    if (!isKey(entry)) properties[name] = sectionSchema(entry);
    else properties[name] = { description: describeKey(entry), ...keySchema(entry) };
  }
  const section = { type: ['object', 'null'], properties: { ...properties, ...more }, additionalProperties: false };
  return hasSwitch(table) ? { anyOf: [section, { const: false }] } : section;
}

/** The limits that a webhook may give: those of a user, without the defaults, which are the user's own. */
export function limitsSchema(): JsonSchema {
  const properties = Object.entries(USER_KEYS.limits).map(([name, key]): [string, JsonSchema] => {
    const { default: _, ...schema } = keySchema(key);
    return [name, { description: `${key.does}. Allowed: ${allowedFor(key)}`, ...schema }];
  });
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false };
}

function keySchema(key: Key): JsonSchema {
  switch (key.kind) {
    case 'duration':
      return text(key.default, `^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$${key.off === undefined ? '' : '|^off$'}`);
    case 'bytes':
      return text(
        key.default,
        `^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$${wordsOf(key)
          .map((word) => `|^${word}$`)
          .join('')}`,
      );
    case 'count':
      return { type: 'integer', minimum: key.min, maximum: key.max, default: key.default };
    case 'switch':
      return { type: 'boolean', default: key.default };
    case 'workers':
      return { anyOf: [{ const: 'auto' }, { type: 'integer', minimum: 1, maximum: key.max }], default: key.default };
    case 'startups':
      return text(key.default, '^[0-9]+:[0-9]+:[0-9]+$');
    case 'text':
      return { type: 'string', maxLength: key.maxCharacters, default: key.default };
    case 'choice':
      return { type: 'string', enum: key.values, default: key.default };
    case 'choices': {
      const items = { type: 'string', enum: key.values };
      return { type: 'array', items, minItems: 1, uniqueItems: true, default: key.default };
    }
    case 'path':
      return { type: 'string', minLength: 1, default: key.default };
    case 'module':
    case 'appendedFile':
    case 'revokedKeys':
    case 'totpFile':
      return { type: 'string', minLength: 1 };
    case 'paths':
    case 'certificates':
      return { type: 'array', items: { type: 'string', minLength: 1 }, default: key.default };
    case 'listeners':
      return { type: 'array', items: { anyOf: [ADDRESS, LISTEN_MAP] }, minItems: 1, default: key.default };
    case 'blocks':
      return { type: 'array', items: BLOCK, default: key.default };
    case 'openPatterns':
    case 'listenPatterns':
      return { type: 'array', items: { type: 'string', pattern: '^/|:' }, default: key.default };
    case 'authorizedKeys':
      return {
        anyOf: [
          { type: 'string', minLength: 1 },
          { type: 'array', items: { type: 'string' } },
        ],
      };
    case 'passwordHash':
      return { type: 'string', pattern: '^\\$(argon2id\\$v=19|scrypt|2[aby])\\$' };
    case 'webhookUrl':
      return { type: 'string', pattern: '^(https?://|unix:/)' };
    case 'adminListener':
      return text(key.default, '^auto$|^unix:.|:[0-9]+$');
    case 'secretFile':
      return { type: 'string', minLength: 1 };
    default:
      return assertNever(key);
  }
}

const ADDRESS: JsonSchema = { type: 'string', pattern: ':[0-9]+$' };
const BLOCK: JsonSchema = { type: 'string', pattern: '^[0-9A-Fa-f:.]+(/[0-9]+)?$' };
const PROXY_PROTOCOL: JsonSchema = {
  type: 'object',
  properties: { from: { type: 'array', items: BLOCK, minItems: 1 } },
  required: ['from'],
  additionalProperties: false,
};
const LISTEN_MAP: JsonSchema = {
  type: 'object',
  properties: { address: ADDRESS, proxyProtocol: PROXY_PROTOCOL },
  required: ['address'],
  additionalProperties: false,
};

function text(value: string, pattern: string): JsonSchema {
  return { type: 'string', pattern, default: value };
}

function describeKey(key: Key): string {
  const special = specialValues(key);
  return `${withoutLinks(key.does)}. Allowed: ${allowedFor(key)}.${special === '' ? '' : ` ${special}.`} Why: ${withoutLinks(key.why)}.`;
}

/** A link of docs/config.md leads nowhere where there is no page beside it: it becomes the name of the page. */
export function withoutLinks(text: string): string {
  return text.replaceAll(/\[([a-z]+\.md)\]\([^)]*\)/g, 'docs/$1');
}

/** What 0, `off` and `auto` mean where they are allowed. */
export function specialValues(key: Key): string {
  const parts: string[] = [];
  if ('zero' in key && key.zero !== undefined) parts.push(`0 means ${key.zero}`);
  if ('off' in key && key.off !== undefined) parts.push(`off means ${key.off}`);
  if ('auto' in key && key.auto !== undefined) parts.push(`auto means ${key.auto}`);
  return parts.join('; ');
}

function markdownRows(table: Table, path: string): readonly string[] {
  return Object.entries(table).flatMap(([name, entry]) => {
    if (!isKey(entry)) return markdownRows(entry, `${path}${name}.`);
    const special = specialValues(entry);
    const what = `${entry.does}${special === '' ? '' : ` (${special})`}. ${capital(entry.why)}. *${entry.source}*`;
    return [`| \`${path}${name}\` | ${shownDefault(entry)} | ${cell(allowedFor(entry))} | ${cell(what)} |`];
  });
}

function shownDefault(key: Key): string {
  if (key.default === null) return 'none';
  return `\`${cell(typeof key.default === 'object' ? JSON.stringify(key.default) : String(key.default))}\``;
}

function cell(value: string): string {
  return value.replaceAll('|', '\\|');
}

export function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
