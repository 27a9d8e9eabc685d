/** PROGRAM: what an installed program says when it is asked something short. Owns the process while it runs. */
import { execFile } from 'node:child_process';

/** Both outputs, trimmed, whatever the exit code: versions are told on either, and by some only in an error.
 *  @returns null when it cannot be run at all */
export function answerOf(command: string, args: readonly string[]): Promise<string | null> {
  return new Promise((resolve) =>
    execFile(command, args, (error, stdout, stderr) => {
      const notRun = error !== null && typeof error.code === 'string';
      resolve(notRun ? null : `${stdout}${stderr}`.trim());
    }),
  );
}

/** The same of a program that must do what it is told. @throws with its last words when it fails */
export function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  return new Promise((resolve, reject) =>
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`${command} failed: ${`${stdout}${stderr}`.trim() || error.message}`));
    }),
  );
}
