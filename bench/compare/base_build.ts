/** BASE BUILD: a build of another state of this repository, to compare with. Owns a temporary git worktree. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { reasonOf } from '../../src/shared/errors.js';
import { git } from '../metadata.js';

const ENTRY = 'build/src/cli/main.js';

export interface BaseBuild {
  /** With `build/src` and `node_modules`. */
  readonly root: string;
  /** For the tables. */
  readonly title: string;
  remove(): void;
}

/** @param base a folder with a build, or a git ref of `repository`, which is then built
 *  @throws when it is neither, or does not build; nothing is left then */
export function baseBuild(base: string, repository: string, say: (text: string) => void): BaseBuild {
  const folder = resolve(base);
  if (existsSync(join(folder, ENTRY))) return { root: folder, title: base, remove() {} };
  const commit = commitOf(base, repository, existsSync(folder));
  const root = mkdtempSync(join(tmpdir(), 'sallyport-base-'));
  const remove = (): void => {
    try {
      git(repository, ['worktree', 'remove', '--force', root]);
    } catch {
      rmSync(root, { recursive: true, force: true }); // git knew nothing of it yet
    }
  };
  try {
    git(repository, ['worktree', 'add', '--quiet', '--detach', root, commit]);
    const program = (name: string, args: readonly string[]): void => {
      execFileSync(name, [...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
    };
    if (sameText(join(root, 'package-lock.json'), join(repository, 'package-lock.json')))
      symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
    else {
      say(`installing the packages of ${base}: its package-lock.json differs`);
      program('npm', ['ci', '--no-audit', '--no-fund']);
    }
    say(`building ${base}`);
    // Only what is measured: bench and tests of that time may need packages that are not there.
    program(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json', '--noCheck']);
    return { root, title: `${base} (${commit.slice(0, 10)})`, remove };
  } catch (error) {
    remove();
    throw new Error(`${base} cannot be built: ${outputOf(error)}`);
  }
}

function commitOf(base: string, repository: string, isFolder: boolean): string {
  try {
    return git(repository, ['rev-parse', '--verify', '--quiet', `${base}^{commit}`]);
  } catch {
    const what = isFolder ? `a folder without ${ENTRY} (npm run build makes it)` : 'neither a git ref nor a folder';
    throw new Error(`${base} is ${what}`);
  }
}

function sameText(a: string, b: string): boolean {
  return existsSync(a) && existsSync(b) && readFileSync(a, 'utf8') === readFileSync(b, 'utf8');
}

/** tsc and npm tell what is wrong on stdout or stderr, not in the error's message. */
function outputOf(error: unknown): string {
  const { stdout, stderr } = error as { stdout?: unknown; stderr?: unknown };
  const output = [stdout, stderr].filter((text) => typeof text === 'string' && text.trim() !== '');
  return output.length === 0 ? reasonOf(error) : output.join('\n').trim();
}
