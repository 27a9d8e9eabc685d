/** DOC BLOCKS: the fenced blocks of the README and of docs/*.md, and the shell commands in one. Owns nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './paths.js';

export interface DocBlock {
  /** From the project's root: `docs/access.md`. */
  readonly file: string;
  /** Of its first line of content, from 1. */
  readonly line: number;
  /** The word behind the fence; '' where there is none. */
  readonly language: string;
  /** With the end of its last line. */
  readonly text: string;
}

export function docFiles(): readonly string[] {
  const docs = readdirSync(join(projectRoot, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)];
}

export function blocksOfFile(file: string): readonly DocBlock[] {
  return blocksOf(file, readFileSync(join(projectRoot, file), 'utf8'));
}

/** CommonMark's fences of backticks or tildes, also indented. Throws where one is never closed. */
export function blocksOf(file: string, text: string): readonly DocBlock[] {
  const blocks: DocBlock[] = [];
  let open: { readonly fence: string; readonly language: string; readonly line: number; content: string } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [, fence = '', language = ''] = /^ *(`{3,}|~{3,})\s*([^`\s]*)/.exec(line) ?? [];
    if (open === undefined) {
      if (fence !== '') open = { fence, language, line: index + 2, content: '' };
    } else if (fence.startsWith(open.fence) && line.trim() === fence) {
      blocks.push({ file, line: open.line, language: open.language, text: open.content });
      open = undefined;
    } else {
      open.content += `${line}\n`;
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line - 1}: a fence that is never closed`);
  return blocks;
}

/** What stands in a shell block, one command each: lines that end in a backslash are joined, lines that are only a comment
 *  left out, and so is a comment behind a command (from two blanks and `#` on: a `#` in a command has no two before it). */
export function commandsOf(text: string): readonly string[] {
  return text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s{2,})#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** `text` with every `from` replaced. Throws when one does not occur: a substitution that no longer fits would let
 *  something be tried that is not in the docs. */
export function put(text: string, substitutions: readonly (readonly [from: string, to: string])[]): string {
  return substitutions.reduce((whole, [from, to]) => {
    if (!whole.includes(from)) throw new Error(`no ${JSON.stringify(from)} in\n${whole}`);
    return whole.replaceAll(from, to);
  }, text);
}
