/** LINE PARSER: pieces of text, cut anywhere, back into values, one JSON text a line.
 *  Owns the part of a line that has come. */

/** A worker's whole table of connections comes as one line. */
const MAX_LINE_CHARACTERS = 64 * 2 ** 20;

export class LineParser {
  #parts: string[] = [];
  #length = 0;
  #broken = false;

  /** @returns false when a line is no JSON or has no end within the bound; then nothing more is parsed */
  push(text: string, value: (value: unknown) => void): boolean {
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1 && !this.#broken; end = text.indexOf('\n', from)) {
      const line = this.#parts.join('') + text.slice(from, end);
      this.#parts = [];
      this.#length = 0;
      from = end + 1;
      const parsed = parse(line);
      if (parsed === undefined) this.#broken = true;
      else value(parsed);
    }
    if (from < text.length) this.#parts.push(text.slice(from));
    this.#length += text.length - from;
    if (this.#length > MAX_LINE_CHARACTERS) this.#broken = true;
    return !this.#broken;
  }
}

/** JSON knows no undefined. */
function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
