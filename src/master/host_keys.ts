/** HOST KEYS: finds the server's private keys, or makes them where they are missing.
 *  Owns the two files under stateDir. Promises files 0600 that are whole or not there, also after a power cut, and never writes over a
 *  key: two servers that start at once end up with the same one. A key that others can read stops the start. Workers parse the
 *  keys; here it is seen only that each looks like one. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { errnoOf, reasonOf, TunnelError } from '../shared/errors.js';
import type { HostKeyFile } from '../shared/ipc.js';
import { type HostKeyType, newKeyPair } from './openssh_key.js';

/** ed25519 for everybody, ecdsa for clients that are older. No RSA: its SHA-1 signatures would come with it. */
const DEFAULT_KEYS: ReadonlyArray<readonly [HostKeyType, string]> = [
  ['ed25519', 'ssh_host_ed25519_key'],
  ['ecdsa', 'ssh_host_ecdsa_key'],
];

/** What a key file of this server's own user may not let others do, and what one of another user's may not: there its owner has
 *  chosen the group, as with sshd (sshkey_perm_ok). Secrets of systemd and Kubernetes are root's, and for a group to read. */
const OTHERS_MAY = { own: 0o077, foreign: 0o027 } as const;
const OTHERS_MAY_WRITE = 0o002;
/** What a start that was cut off has left, once no start that runs can be at it. */
const LEFT_OVER = /^ssh_host_(?:ed25519|ecdsa)_key\.[0-9a-f]{12}\.new(?:\.pub)?$/;
const LEFT_OVER_MS = 60 * 60_000;
/** An RSA key of 16,384 bits is 13 KB; what is larger is no key. */
const MAX_KEY_BYTES = 64 * 1024;

/** @param files from the config; when there are none, the two of stateDir, made where missing
 *  @throws TunnelError HOST_KEY_INVALID that names the file and what to do */
export async function loadHostKeys(files: readonly string[], stateDir: string): Promise<HostKeyFile[]> {
  if (files.length > 0) return Promise.all(files.map((file) => readKey(path.resolve(file))));
  const directory = path.resolve(stateDir);
  await makeDirectory(directory);
  await clear(directory);
  const keys: HostKeyFile[] = [];
  for (const [type, name] of DEFAULT_KEYS) {
    const file = path.join(directory, name);
    if (!(await exists(file))) await makeKey(type, file);
    keys.push(await readKey(file));
  }
  return keys;
}

/** Those of stateDir that are there already, for who wants to look at them without making any. */
export async function existingHostKeys(stateDir: string): Promise<string[]> {
  const files = DEFAULT_KEYS.map(([, name]) => path.join(path.resolve(stateDir), name));
  const there = await Promise.all(files.map(exists));
  return files.filter((_, index) => there[index]);
}

/** Why a stateDir that is there is none for host keys, nor for the sockets by which workers and a next server find this one: who may
 *  write there puts his own in their place. Null: it is sound, or will be made. Changes nothing. */
export async function whyUnsafe(stateDir: string): Promise<string | null> {
  const directory = path.resolve(stateDir);
  try {
    if (await exists(directory)) await refuseOpen(directory);
    return null;
  } catch (error) {
    return asInvalid(directory, error).message;
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await refuseOpen(directory);
  } catch (error) {
    throw asInvalid(directory, error);
  }
}

async function refuseOpen(directory: string): Promise<void> {
  const { mode } = await stat(directory);
  if ((mode & OTHERS_MAY_WRITE) !== 0)
    throw invalid(directory, 'others may write in it, so they could change its host keys and sockets: chmod o-w it');
}

/** Private keys that nobody uses. One that cannot be taken away is no reason not to start. */
async function clear(directory: string): Promise<void> {
  // The start says what is wrong with a folder that cannot be read, if anything that matters is.
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    if (!LEFT_OVER.test(name)) continue;
    const file = path.join(directory, name);
    try {
      if ((await lstat(file)).mtimeMs < Date.now() - LEFT_OVER_MS) await unlink(file);
    } catch {
      // another start was faster, or it stays
    }
  }
}

/** Written aside, synced, and linked into place: `link` fails where a key has appeared meanwhile, and that one is used. */
async function makeKey(type: HostKeyType, file: string): Promise<void> {
  const { privateKey, publicKey } = newKeyPair(type, `sallyport@${hostname()}`);
  const aside = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    await writeSynced(aside, privateKey, 0o600);
    try {
      await link(aside, file);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return;
      throw error;
    } finally {
      await unlink(aside);
    }
    const publicAside = `${aside}.pub`;
    await writeSynced(publicAside, publicKey, 0o644);
    await rename(publicAside, `${file}.pub`);
    // Clients learn the key soon: it must not be another one after a power cut.
    await syncDirectory(path.dirname(file));
  } catch (error) {
    throw asInvalid(file, error);
  }
}

async function writeSynced(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Not every file system can. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // the keys are there all the same
  }
}

async function readKey(file: string): Promise<HostKeyFile> {
  try {
    // Without waiting: a pipe to which nobody writes would hold up the start.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return { path: file, pem: await readFrom(handle, file) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asInvalid(file, error);
  }
}

async function readFrom(handle: FileHandle, file: string): Promise<string> {
  const status = await handle.stat();
  if (status.isDirectory()) throw invalid(file, 'this is a folder, not a file');
  if (!status.isFile()) throw invalid(file, 'this is no regular file');
  if (status.size > MAX_KEY_BYTES) throw invalid(file, 'too large for a private key');
  const pem = await handle.readFile('latin1');
  // Before the mode: a public key, which everybody may read, is not mended by chmod.
  const wrong = whatIsWrong(pem);
  if (wrong !== undefined) throw invalid(file, wrong);
  const isOwn = status.uid === process.geteuid?.();
  const tooOpen = whatOthersMay(status.mode, isOwn);
  if (tooOpen !== null) throw invalid(file, tooOpen);
  return pem;
}

/** With the way out. Another user's key with 600 could not be read here any more. */
function whatOthersMay(mode: number, isOwn: boolean): string | null {
  const shown = `mode ${(mode & 0o777).toString(8)}`;
  if (isOwn) return (mode & OTHERS_MAY.own) === 0 ? null : `others may read this private key (${shown}): chmod 600 it`;
  if ((mode & OTHERS_MAY.foreign) === 0) return null;
  const who = (mode & 0o007) !== 0 ? 'others may read' : 'its group may write';
  return `${who} this private key of another user (${shown}): chmod 640 it`;
}

/** A first look at the text. Never repeats any of it: it may be a secret. */
function whatIsWrong(pem: string): string | undefined {
  if (/^(ssh-|ecdsa-|sk-)/.test(pem)) return 'this is a public key; the private one is wanted';
  const body = /-----BEGIN ((?:[A-Z]+ )*)PRIVATE KEY-----([\s\S]+?)-----END \1PRIVATE KEY-----/.exec(pem);
  if (body === null) return pem.includes('PRIVATE KEY-----') ? CUT_SHORT : 'this is no private key';
  if (body[1]?.includes('ENCRYPTED') || body[2]?.includes('ENCRYPTED')) return ENCRYPTED;
  if (body[1] === '') return PKCS8;
  if (body[1] !== 'OPENSSH ') return undefined;
  const bytes = Buffer.from(body[2] ?? '', 'base64').toString('latin1');
  if (!bytes.startsWith('openssh-key-v1\0')) return 'this private key is damaged';
  return bytes.startsWith('openssh-key-v1\0\0\0\0\x04none') ? undefined : ENCRYPTED;
}

const CUT_SHORT = 'this private key is cut short: its END line is missing';
/** What openssl writes. ssh2 reads none of it, and ssh-keygen no Ed25519 in it. */
const PKCS8 =
  "this private key is in PKCS#8 form, which is not read: `ssh-keygen -p -N '' -f FILE` rewrites an RSA or ECDSA key; else make another";
const ENCRYPTED = 'this private key has a passphrase, which a server cannot type: take it off with ssh-keygen -p';

/** A link is something too, wherever it leads: no key is made in its place. */
async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw asInvalid(file, error);
  }
}

function invalid(file: string, what: string, cause?: unknown): TunnelError {
  return new TunnelError('HOST_KEY_INVALID', `${file}: ${what}`, { cause });
}

function asInvalid(file: string, error: unknown): TunnelError {
  if (error instanceof TunnelError) return error;
  return invalid(file, WHY.get(errnoOf(error) ?? '') ?? reasonOf(error), error);
}

const WHY: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file'],
  ['EEXIST', 'a file, where a folder for host keys is needed'],
  ['ENOTDIR', 'lies below a file, not below a folder'],
  ['EACCES', 'this user may not go there'],
]);
