/** CONFIG SOURCE: a config as a tree of values that know where they stand, whether it came as YAML text (config_yaml.ts), as
 *  an object of a program or as one option of the command line. Knows no key. */

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

/** The table is four levels deep; whatever is deeper is wrong and is not looked at. */
export const MAX_DEPTH = 8;

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
