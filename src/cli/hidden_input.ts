/** HIDDEN INPUT: one line typed on a terminal without an echo, or the first of a pipe. Owns raw mode while it asks, and
 *  gives it back always. */

import type { ReadStream } from 'node:tty';

/** What has been typed so far. `rest` is what came behind the line end: a paste may answer two prompts. */
export type Line =
  | { readonly state: 'typing'; readonly typed: string }
  | { readonly state: 'done'; readonly typed: string; readonly rest: string }
  | { readonly state: 'cancelled' };

/** Adds what a terminal in raw mode sent. Backspace takes one character back and Ctrl-U all; Ctrl-C cancels, as does
 *  Ctrl-D on an empty line; other control keys do nothing. */
export function typeKeys(before: string, chunk: string): Line {
  let typed = [...before];
  const keys = [...chunk];
  for (const [index, key] of keys.entries()) {
    if (key === '\r' || key === '\n')
      return { state: 'done', typed: typed.join(''), rest: keys.slice(index + 1).join('') };
    if (key === '\u0003' || (key === '\u0004' && typed.length === 0)) return { state: 'cancelled' };
    if (key === '\u007f' || key === '\b') typed.pop();
    else if (key === '\u0015') typed = [];
    else if (key >= ' ') typed.push(key);
  }
  return { state: 'typing', typed: typed.join('') };
}

/** Asks on stderr, so that stdout carries the result alone. @returns null when cancelled */
export async function askHidden(terminal: ReadStream, prompt: string): Promise<string | null> {
  // First, so that nothing typed on sight of the prompt is echoed.
  terminal.setRawMode(true);
  process.stderr.write(prompt);
  terminal.setEncoding('utf8');
  try {
    return await readLine(terminal);
  } finally {
    terminal.setRawMode(false);
    process.stderr.write('\n');
  }
}

/** Reads up to the first line end, and not much more than `maxBytes`. @returns the line without its end */
export async function firstLine(input: AsyncIterable<Buffer | string>, maxBytes: number): Promise<string> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of input) {
    bytes = Buffer.concat([bytes, Buffer.from(chunk)]);
    if (bytes.includes('\n') || bytes.length > maxBytes + 2) break;
  }
  const end = bytes.indexOf('\n');
  const line = bytes.subarray(0, end === -1 ? undefined : end).toString();
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

function readLine(terminal: ReadStream): Promise<string | null> {
  return new Promise((resolve) => {
    let typed = '';
    const finish = (answer: string | null): void => {
      terminal.off('data', onData).off('end', onEnd).pause();
      resolve(answer);
    };
    const onEnd = (): void => finish(null);
    const onData = (chunk: string): void => {
      const line = typeKeys(typed, chunk);
      if (line.state === 'typing') {
        typed = line.typed;
        return;
      }
      finish(line.state === 'done' ? line.typed : null);
      if (line.state === 'done' && line.rest !== '') terminal.unshift(line.rest);
    };
    terminal.on('data', onData).on('end', onEnd).resume();
  });
}
