/** PATHS: where the built program and the test fixtures lie, seen from build/test/support. Owns nothing. */
import { fileURLToPath } from 'node:url';

export const projectRoot: string = fileURLToPath(new URL('../../../', import.meta.url));

/** The command that users call as `sallyport`. */
export const cliEntry: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A file of test/support that the compiler does not copy, such as a Python script. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../../test/support/${name}`, import.meta.url));
}
