/** HASH PASSWORD: a password in, an argon2id PHC string out. Never echoes, never takes the password as an argument: those
 *  are seen by everybody in `ps` and stay in the shell's history. */

import type { ReadStream } from 'node:tty';
import { hash } from '@node-rs/argon2';
import { HASH_KIB, HASH_LANES, HASH_PASSES } from '../shared/password_hash.js';
import { MAX_PASSWORD_BYTES } from '../worker/auth/hooks.js';
import { askHidden, firstLine } from './hidden_input.js';

const COST = { memoryCost: HASH_KIB, timeCost: HASH_PASSES, parallelism: HASH_LANES };

/** @returns the exit code */
export async function hashPassword(): Promise<number> {
  const read = process.stdin.isTTY
    ? await askTwice(process.stdin)
    : { password: await firstLine(process.stdin, MAX_PASSWORD_BYTES) };
  if ('error' in read) return fail(read.error);
  if (read.password === '') return fail('the password is empty');
  if (Buffer.byteLength(read.password) > MAX_PASSWORD_BYTES)
    return fail(`the password is longer than ${MAX_PASSWORD_BYTES} bytes`);
  process.stdout.write(`${await makeHash(read.password)}\n`);
  return 0;
}

/** argon2id, version 19, salt of its own. @returns a PHC string */
export async function makeHash(password: string): Promise<string> {
  return hash(password, COST);
}

function fail(message: string): number {
  process.stderr.write(`error: ${message}\n`);
  return 2;
}

type Typed = { readonly password: string } | { readonly error: string };

async function askTwice(terminal: ReadStream): Promise<Typed> {
  const password = await askHidden(terminal, 'Password: ');
  if (password === null) return { error: 'no password' };
  const again = await askHidden(terminal, 'Once more: ');
  return again === password ? { password } : { error: 'the two are not the same' };
}
