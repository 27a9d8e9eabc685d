/** UNPLAYED: blocks of the docs that no scene plays, and why. Each names itself by how it begins; one that matches nothing
 *  is a mistake, and so is a block that stands nowhere. */

export interface Elsewhere {
  readonly file: string;
  readonly language: string;
  /** The test that compiles or runs all of these. */
  readonly test: string;
}

/** Blocks that another test takes whole. */
export const ELSEWHERE: readonly Elsewhere[] = [
  { file: 'docs/library.md', language: 'ts', test: 'test/docs/library_docs.test.ts' },
  { file: 'docs/from-python.md', language: 'ts', test: 'test/docs/library_docs.test.ts' },
];

export interface Unplayed {
  readonly file: string;
  readonly begins: string;
  readonly why: string;
}

export const UNPLAYED: readonly Unplayed[] = [
  {
    file: 'README.md',
    begins: 'npm ci && npm start',
    why: 'npm ci would replace node_modules under the running tests; that the scripts are there is tested below',
  },
  { file: 'docs/access.md', begins: '// login_service.mjs', why: 'test/docs/webhook_docs.test.ts runs it' },
  {
    file: 'docs/access.md',
    begins: '(umask 077; openssl rand',
    why: 'test/docs/webhook_docs.test.ts does what it does',
  },
  {
    file: 'docs/library.md',
    begins: 'npm pack',
    why: 'asks the npm registry; test/package.test.ts packs, installs and compiles in a strict project',
  },
  { file: 'docs/running.md', begins: 'systemctl kill', why: 'needs systemd as process 1' },
  {
    file: 'docs/running.md',
    begins: '/var/log/sallyport/audit.jsonl {',
    why: 'logrotate is not among the programs; test/hostile/A35 renames the file and sends SIGHUP',
  },
  {
    file: 'docs/crypto.md',
    begins: '(kex) ecdh',
    why: 'what ssh-audit says: no command, and it is not among the programs',
  },
  {
    file: 'docs/admin.md',
    begins: 'sallyport 0.1.0  running',
    why: 'what top draws: test/cli/top/top.test.ts sees it on a terminal',
  },
  { file: 'docs/running.md', begins: 'docker run', why: 'needs a Docker daemon' },
  { file: 'docs/recipes.md', begins: 'preview.example.org {', why: 'Caddy is not among the programs of the tests' },
];
