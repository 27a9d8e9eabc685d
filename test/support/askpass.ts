/** ASKPASS: answers what OpenSSH's client asks, by the words of the question, and writes down what it asked.
 *  Owns the script. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { tempDir } from './temp.js';

export interface Askpass {
  /** For the client's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What it was asked so far. */
  prompts(): string[];
}

/** The client asks its terminal otherwise, and tests have none. One prompt for each try. */
export const ASK_BY_PROGRAM = ['-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1'];

/** @param answers by a word of the prompt */
export function askpass(t: Test, answers: Readonly<Record<string, string>>): Askpass {
  const dir = tempDir(t);
  const [script, log] = [join(dir, 'askpass'), join(dir, 'prompts')];
  const cases = Object.entries(answers).map(
    ([word, answer]) => `  *${quoted(word)}*) printf '%s\\n' ${quoted(answer)} ;;`,
  );
  const lines = [
    '#!/bin/sh',
    `printf '%s\\n' "$1" >> ${quoted(log)}`,
    'case "$1" in',
    ...cases,
    '  *) exit 1 ;;',
    'esac',
  ];
  writeFileSync(script, `${lines.join('\n')}\n`, { mode: 0o700 });
  return {
    env: { SSH_ASKPASS: script, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
    prompts: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []),
  };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
