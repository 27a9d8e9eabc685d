/** CONFIG SOURCE: a config as a tree of values that know where they stand, whether it came as YAML text, as an object of
 *  a program or as one option of the command line. Owns the YAML reading and its bounds; knows no key. */

import type { Alias, Document, Node, Scalar } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, Parser, parseDocument } from 'yaml';

/** 1-based; null where there is no text to point into. */
export type Place = { readonly line: number; readonly column: number } | null;

/** A value and its place. */
export type Located =
  | { readonly type: 'scalar'; readonly at: Place; readonly value: unknown }
  | { readonly type: 'list'; readonly at: Place; readonly items: readonly Located[] }
  | { readonly type: 'map'; readonly at: Place; readonly entries: readonly Entry[] };

/** Entries stay a list in the order of the file: `__proto__` is a user's name like any other, and a key that stands twice
 *  is seen twice. */
export interface Entry {
  readonly name: string;
  readonly at: Place;
  readonly value: Located;
}

export interface SyntaxProblem {
  readonly at: Place;
  readonly message: string;
}

export type Source =
  | { readonly ok: true; readonly root: Located }
  | { readonly ok: false; readonly problems: readonly SyntaxProblem[] };

/** A config of 10 000 users with their patterns has about as much. */
export const MAX_CONFIG_BYTES = 2 ** 20;

/** The table is four levels deep; whatever is deeper is wrong and is not looked at. */
const MAX_DEPTH = 8;

/** What the YAML library may be given. It calls itself for each level and ends the whole process when the stack is full. */
const MAX_NESTING = 50;

/** Reads YAML 1.2 (core schema: `on` is a text, `010` is ten). An empty text is an empty map. */
export function readYaml(text: string): Source {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) return problem('the file is larger than 1MiB');
  const lines = new LineCounter();
  if (isDeep(text)) return problem(`the file is nested more than ${MAX_NESTING} levels deep`);
  // Our own reader tells double keys, with their path.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error', // 'silent' would also pass over a second document
  });
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  // A warning is a tag or a directive that YAML's core schema does not know: not something to guess about.
  const problems = [...document.errors, ...document.warnings].map((fault) => ({
    at: place(fault.pos[0]),
    message: fault.message.replaceAll(/\s+/g, ' '),
  }));
  if (problems.length > 0) return { ok: false, problems };
  const locator = new Locator(document, place);
  const root = locator.locate(document.contents, 0);
  return locator.problems.length > 0 ? { ok: false, problems: locator.problems } : { ok: true, root };
}

/** A program's own object: plain objects, Maps, arrays and scalars. `undefined` counts as absent. */
export function readObject(value: unknown, depth = 0): Located {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return { type: 'scalar', at: null, value };
  if (Array.isArray(value))
    return { type: 'list', at: null, items: value.map((item: unknown) => readObject(item, depth + 1)) };
  const pairs: [unknown, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  const entries = pairs
    .filter(([, item]) => item !== undefined)
    .map(([name, item]) => ({ name: String(name), at: null, value: readObject(item, depth + 1) }));
  return { type: 'map', at: null, entries };
}

/** The value without its places, as a program would write it. Own keys, so that `__proto__` is one like any other. */
export function plainOf(located: Located): unknown {
  switch (located.type) {
    case 'scalar':
      return located.value;
    case 'list':
      return located.items.map(plainOf);
    case 'map':
      return Object.fromEntries(located.entries.map(({ name, value }) => [name, plainOf(value)]));
  }
}

/** For what is wrong with the text as a whole. */
function problem(message: string): Source {
  return { ok: false, problems: [{ at: { line: 1, column: 1 }, message }] };
}

/** Is the text nested deeper than `MAX_NESTING`? The library's parser, unlike what it does next, goes without recursion. */
function isDeep(text: string): boolean {
  type Nested = { readonly key?: unknown; readonly value?: unknown; readonly items?: unknown };
  const isNested = (part: unknown): part is Nested => typeof part === 'object' && part !== null;
  const documents: unknown[] = [...new Parser().parse(text)];
  let level = documents.filter(isNested);
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_NESTING) return true;
    const items = level.flatMap((token): unknown[] => (Array.isArray(token.items) ? token.items : [])).filter(isNested);
    level = [...level, ...items].flatMap(({ key, value }) => [key, value]).filter(isNested);
  }
  return false;
}

/** Turns YAML nodes into located values. An alias gives the very value of its anchor, so that aliases of aliases cost no
 *  more than they are long. */
class Locator {
  readonly problems: SyntaxProblem[] = [];
  readonly #document: Document;
  readonly #place: (offset: number) => Place;
  /** `null` while a node is under way. */
  readonly #seen = new Map<Node, Located | null>();

  constructor(document: Document, place: (offset: number) => Place) {
    this.#document = document;
    this.#place = place;
  }

  locate(node: Node | null, depth: number): Located {
    const at = this.#at(node);
    if (node === null) return { type: 'scalar', at, value: null };
    const seen = this.#seen.get(node);
    if (seen) return seen;
    if (seen === null) return this.#fault(at, 'an alias names what it stands in');
    this.#seen.set(node, null);
    const located = this.#locateNew(node, at, depth);
    this.#seen.set(node, located);
    return located;
  }

  #locateNew(node: Node, at: Place, depth: number): Located {
    if (isAlias(node)) return this.#locateAlias(node, depth);
    if (isScalar(node)) return { type: 'scalar', at, value: node.value };
    if (depth <= MAX_DEPTH && isSeq<Node | null>(node))
      return { type: 'list', at, items: node.items.map((item) => this.locate(item, depth + 1)) };
    if (depth <= MAX_DEPTH && isMap<Node | null, Node | null>(node)) {
      const entries = node.items.map(({ key, value }) => ({
        name: nameOfKey(key),
        at: this.#at(key),
        value:
          value === null ? { type: 'scalar' as const, at: this.#at(key), value: null } : this.locate(value, depth + 1),
      }));
      return { type: 'map', at, entries };
    }
    return { type: 'scalar', at, value: undefined };
  }

  #locateAlias(alias: Alias, depth: number): Located {
    const anchor = alias.resolve(this.#document);
    return anchor === undefined
      ? this.#fault(this.#at(alias), `a value that begins with * stands in quotes: "*${alias.source}"`)
      : this.locate(anchor, depth);
  }

  #fault(at: Place, message: string): Located {
    this.problems.push({ at, message });
    return { type: 'scalar', at, value: undefined };
  }

  #at(node: Node | null): Place {
    return this.#place(node?.range?.[0] ?? 0);
  }
}

/** As it is written: a user may be called `007` or `null`. */
function nameOfKey(key: Node | null): string {
  if (isScalar(key)) return scalarText(key);
  return key === null ? '' : key.toString();
}

function scalarText(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}
