/** CONFIG PLACES: where a value of the config stands: FILE:LINE and the name of its key.
 *  Owns the config's text as a tree. The Config itself has no places, and a server needs none. */
import { shownName } from '../shared/config_file.js';
import type { Located, Place } from '../shared/config_source.js';
import { readYaml } from '../shared/config_yaml.js';

/** `FILE:LINE`, or null for a default that is written down nowhere. */
export interface Named {
  readonly where: string | null;
  /** `users.alice.permitOpen[1]` */
  readonly name: string;
}

/** Names of keys, and places in lists. */
type Path = readonly (string | number)[];

export class ConfigPlaces {
  readonly #file: string;
  readonly #root: Located | null;

  /** @param text of the config, which has been read without an error; null where there is no file */
  constructor(file: string, text: string | null) {
    this.#file = file;
    const source = text === null ? null : readYaml(text);
    this.#root = source?.ok === true ? source.root : null;
  }

  /** Of a key of the file itself. */
  of(...path: Path): Named {
    return { name: nameOf(path), where: this.#where(path) };
  }

  /** Of a key of a user: his own, that of `defaults`, or the table's own default. A list is inherited whole.
   *  @param user null for somebody whom the config does not know */
  ofUser(user: string | null, ...path: Path): Named {
    const [key] = path;
    const owners: readonly Path[] = [...(user === null ? [] : [['users', user]]), ['defaults']];
    const owner = key === undefined ? owners[0] : owners.find((own) => this.#find([...own, key]) !== undefined);
    if (owner === undefined) return { name: `${nameOf(path)} (default)`, where: null };
    const own = [...owner, ...path];
    // Of a section some keys may be inherited: what stands deeper is looked for, and else its section is the place.
    return { name: nameOf(own), where: this.#where(own) ?? this.#where([...owner, ...path.slice(0, 1)]) };
  }

  #where(path: Path): string | null {
    const at = this.#find(path);
    return at === undefined || at === null ? null : `${this.#file}:${at.line}`;
  }

  /** Of a key its own place and not that of its value, which may be a line further. */
  #find(path: Path): Place | undefined {
    let node = this.#root ?? undefined;
    let at = node?.at;
    for (const step of path) {
      if (typeof step === 'number') {
        node = node?.type === 'list' ? node.items[step] : undefined;
        at = node?.at;
      } else {
        const entry = node?.type === 'map' ? node.entries.find(({ name }) => name === step) : undefined;
        node = entry?.value;
        at = entry?.at;
      }
      if (node === undefined) return undefined;
    }
    return at;
  }
}

function nameOf(path: Path): string {
  return path.reduce<string>((name, step) => {
    if (typeof step === 'number') return `${name}[${step}]`;
    return name === '' ? step : `${name}.${shownName(step)}`;
  }, '');
}
