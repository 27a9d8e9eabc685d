/** CONFIG YAML: YAML text as a tree of values that know where they stand (config_source.ts). Owns the reading and its bounds.
 *  A room of its own, since workers read objects and never YAML: the parser would weigh on each of them. */

import type { Alias, Document, Node, Scalar } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, Parser, parseDocument } from 'yaml';
import { type Located, MAX_DEPTH, type Place } from './config_source.js';

export interface SyntaxProblem {
  readonly at: Place;
  readonly message: string;
}

export type Source =
  | { readonly ok: true; readonly root: Located }
  | { readonly ok: false; readonly problems: readonly SyntaxProblem[] };

/** A config of 10 000 users with their patterns has about as much. */
export const MAX_CONFIG_BYTES = 2 ** 20;

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
