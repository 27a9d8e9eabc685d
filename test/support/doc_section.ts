/** DOC SECTION: the blocks below one heading, taken one after the other by whoever plays them. Owns which are left. */
import type { DocBlock } from './doc_blocks.js';
import { commandsOf } from './doc_blocks.js';

export class DocSection {
  /** Without the blocks: what stands in it as `code` is found by `inline`. */
  readonly #prose: string;
  readonly #left: DocBlock[];
  readonly #commands: string[] = [];

  constructor(prose: string, blocks: readonly DocBlock[]) {
    this.#prose = prose;
    this.#left = [...blocks];
  }

  /** The next block of this language. */
  take(language: string): string {
    const index = this.#left.findIndex((block) => block.language === language);
    const [block] = index < 0 ? [] : this.#left.splice(index, 1);
    if (block === undefined) throw new Error(`no more blocks of ${language === '' ? 'no language' : language}`);
    return block.text;
  }

  /** The next command of the shell blocks. @param begins so that nobody plays another one than he thinks */
  command(begins: string): string {
    if (this.#commands.length === 0) this.#commands.push(...commandsOf(this.take('sh')));
    const command = this.#commands.shift() ?? '';
    if (!command.startsWith(begins)) throw new Error(`the next command is not "${begins}…" but\n${command}`);
    return command;
  }

  /** A command that is not played, with the reason why. */
  skip(begins: string, _reason: string): void {
    this.command(begins);
  }

  /** The code span in the prose that begins so. */
  inline(begins: string): string {
    const spans = [...this.#prose.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replaceAll(/\s+/g, ' '));
    const found = spans.find((span) => span.startsWith(begins));
    if (found === undefined) throw new Error(`no \`${begins}…\` in the text`);
    return found;
  }

  /** Commands of blocks that were begun and not played to the end. */
  get unplayed(): readonly string[] {
    return this.#commands;
  }
  get left(): readonly DocBlock[] {
    return this.#left;
  }
}
