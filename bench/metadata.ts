/** METADATA: what a run has to say of itself: the code, the machine. Owns nothing. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { OWN_ROOT } from './peers/sallyport.js';
import type { Run } from './report/schema.js';

/** Changes outside these do not change what is measured. */
const MEASURED = ['src', 'bench', 'package-lock.json', ':!bench/*.md', ':!bench/*.svg', ':!bench/*.json'];

export function commitOf(root = OWN_ROOT): { commit: string; dirty: boolean } {
  try {
    const commit = git(root, ['rev-parse', 'HEAD']);
    return { commit, dirty: git(root, ['status', '--porcelain', '--', ...MEASURED]) !== '' };
  } catch {
    return { commit: 'unknown', dirty: false }; // a packed copy, or no git
  }
}

export function machine(): Run['machine'] {
  return {
    node: process.version,
    os: osName(),
    kernel: `${type()} ${release()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
  };
}

export function git(cwd: string, args: readonly string[]): string {
  return execFileSync('git', [...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? type();
  } catch {
    return type();
  }
}
