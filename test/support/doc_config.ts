/** DOC CONFIG: whether a config of the docs, whole or in part, is one that `sallyport check` calls good. The files that it
 *  names are made beside it, each of the kind that its key wants. Owns nothing. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Stage } from './doc_stage.js';
import type { Outcome } from './process.js';

/** Keys of the config whose value is a path, and what makes such a file at `$FILE`. */
const MAKERS: Readonly<Record<string, string>> = {
  authorizedKeys: 'cp some_key.pub "$FILE"',
  trustedUserCAKeys: 'cp some_key.pub "$FILE"',
  revokedKeys: 'ssh-keygen -q -k -f "$FILE" other_key.pub',
  totp: 'echo "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" > "$FILE"',
  tokenFile: 'echo some-token-of-the-docs > "$FILE"',
  audit: 'true', // its folder is enough
  hostKeys: 'cp some_key "$FILE"',
  hostCertificates: 'ssh-keygen -q -s other_key -h -I a -n a some_key.pub && mv some_key-cert.pub "$FILE"',
};

/** What the docs leave out for the reader's eyes, and stands for a whole one. */
const ELIDED = /\$argon2id\$\S*…|(?:AAAA\S*|ssh-ed25519 )…/;

interface Named {
  readonly key: string;
  readonly path: string;
}

/** Every path below a key of MAKERS. */
function filesIn(value: unknown, key = ''): readonly Named[] {
  if (typeof value === 'string') return key in MAKERS && /^\.{0,2}\//.test(value) ? [{ key, path: value }] : [];
  if (Array.isArray(value)) return value.flatMap((one) => filesIn(one, key));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, below]) => filesIn(below, name));
}

/** @returns what `check` says */
export async function checked(stage: Stage, yaml: string): Promise<Outcome> {
  await stage.must("ssh-keygen -q -t ed25519 -N '' -f some_key; ssh-keygen -q -t ed25519 -N '' -f other_key");
  const elided = ELIDED.exec(yaml)?.[0];
  if (elided !== undefined) throw new Error(`${elided}: a scene is to put something in its place`);
  const config: unknown = parse(yaml);
  for (const { key, path } of filesIn(config)) {
    // Absolute ones are of the reader's machine.
    const file = stage.path(path.replace(/^\//, './'));
    mkdirSync(dirname(file), { recursive: true });
    await stage.must(`umask 077; FILE="${file}"; ${MAKERS[key]}`);
  }
  const paths = filesIn(config).map(({ path }) => path);
  const near = paths
    .filter((path) => path.startsWith('/'))
    .reduce((text, path) => text.replaceAll(path, `.${path}`), yaml);
  const whole: unknown = parse(near);
  const isWhole = typeof whole === 'object' && whole !== null && 'listen' in whole;
  stage.write('sallyport.yaml', isWhole ? near : `${near}\n${stringify({ listen: ['127.0.0.1:2222'] })}`);
  return await stage.run('sallyport check --config sallyport.yaml');
}
