/** CREDENTIALS: which keys are there to log in with. Reads key files; writes nothing, asks nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, reasonOf } from '../shared/errors.js';
import { fingerprint } from './known_hosts.js';
import { lookAtKey } from './ssh2_client.js';

export interface KeyFile {
  readonly file: string;
  readonly text: string;
  readonly fingerprint: string;
}

export interface Credentials {
  readonly keys: readonly KeyFile[];
  readonly agent: string | undefined;
  readonly password: string | undefined;
  /** Files that are there and that cannot be used, and why. */
  readonly skipped: readonly { readonly file: string; readonly why: string }[];
}

export interface Where {
  /** Named with -i. Where there is one, nothing else is tried but the password. */
  readonly identities: readonly string[];
  readonly password: string | undefined;
  readonly sshDir: string;
  /** SSH_AUTH_SOCK. */
  readonly agent: string | undefined;
}

/** As ssh has them, the fastest first. */
const DEFAULT_NAMES = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

export function findCredentials({ identities, password, sshDir, agent }: Where): Credentials {
  // A password that was given is what is meant: keys tried before it would use up the server's tries.
  const looksAround = identities.length === 0 && password === undefined;
  const files = looksAround ? DEFAULT_NAMES.map((name) => join(sshDir, name)) : identities;
  const keys: KeyFile[] = [];
  const skipped: { file: string; why: string }[] = [];
  for (const file of files) {
    const text = read(file);
    if ('why' in text) {
      if (!looksAround || text.errno !== 'ENOENT') skipped.push({ file, why: text.why });
      continue;
    }
    const look = lookAtKey(text.text);
    if (look.usable) keys.push({ file, text: text.text, fingerprint: fingerprint(look.publicBlob) });
    else skipped.push({ file, why: look.why });
  }
  return { keys, skipped, password, agent: looksAround ? agent : undefined };
}

/** What was tried, for a person, one line each. */
export function triedLines({ keys, agent, password, skipped }: Credentials): readonly string[] {
  return [
    ...keys.map(({ file, fingerprint }) => `tried ${file} (${fingerprint})`),
    ...(agent === undefined ? [] : [`tried the keys of the agent at ${agent}`]),
    ...(password === undefined ? [] : ['tried the password']),
    ...skipped.map(({ file, why }) => `did not try ${file}: ${why}`),
  ];
}

type Text = { readonly text: string } | { readonly why: string; readonly errno: string | undefined };

function read(file: string): Text {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (thrown) {
    return { why: reasonOf(thrown), errno: errnoOf(thrown) };
  }
}
