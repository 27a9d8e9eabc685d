/** LINE MEMORY: what the lines of files came to, from one reading of them to the next, so that a reload pays for new lines alone:
 *  to parse 6,000 keys took 0.4 s in which nothing else moved.
 *  Owns what the last two readings found; what nobody asked for in the last is forgotten with the next. */
export class LineMemory<Found extends object | string> {
  #before: ReadonlyMap<string, Found> = new Map();
  #now = new Map<string, Found>();

  /** Another reading begins. */
  turn(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** @param find depends on the line alone */
  recall(line: string, find: (line: string) => Found): Found {
    const found = this.#now.get(line) ?? this.#before.get(line) ?? find(line);
    this.#now.set(line, found);
    return found;
  }
}
