/** NOTIFY SOCKET: systemd's end of sd_notify(3), by Python, since Node has no datagram sockets of this kind.
 *  Owns the process that listens. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { projectRoot } from './paths.js';
import { start } from './process.js';
import { tempDir } from './temp.js';

export interface NotifySocket {
  readonly path: string;
  /** Words said so far, a datagram each, `NAME=value` by name. Those that only systemd-notify itself says are left out. */
  said(): ReadonlyArray<ReadonlyMap<string, string>>;
  /** The first that has this word, past or to come, from the one at `from` on. */
  wait(word: string, from?: number): Promise<ReadonlyMap<string, string>>;
}

export async function notifySocket(t: Test): Promise<NotifySocket> {
  const path = join(tempDir(t), 'notify');
  const program = start(t, 'python3', [join(projectRoot, 'test/support/notify_socket.py'), path]);
  await program.waitFor(/bound/);
  const said = (): ReadonlyMap<string, string>[] =>
    program.stdout
      .split('\n')
      .filter((line) => line.startsWith('"') && line.endsWith('"'))
      .map((line) => String(JSON.parse(line)))
      .filter((text) => !text.startsWith('BARRIER='))
      .map((text) => new Map(text.split('\n').map((word) => pairOf(word))));
  return {
    path,
    said,
    wait: (word, from = 0) => {
      const [name, value] = pairOf(word);
      const find = (): ReadonlyMap<string, string> | undefined =>
        said()
          .slice(from)
          .find((words) => words.get(name) === value);
      return program.waitUntil(find, word);
    },
  };
}

function pairOf(word: string): [string, string] {
  const at = word.indexOf('=');
  return [word.slice(0, at), word.slice(at + 1)];
}
