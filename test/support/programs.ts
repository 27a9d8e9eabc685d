/** PROGRAMS: which foreign programs a flow needs, and which Debian package brings each.
 *  A developer without one gets a skipped test that says what to install; under CI a missing program fails. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';

const PACKAGES = {
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  'ssh-keyscan': 'openssh-client',
  'ssh-agent': 'openssh-client',
  'ssh-add': 'openssh-client',
  sftp: 'openssh-client',
  scp: 'openssh-client',
  curl: 'curl',
  sshd: 'openssh-server',
  dbclient: 'dropbear-bin',
  dropbearconvert: 'dropbear-bin',
  plink: 'putty-tools',
  puttygen: 'putty-tools',
  autossh: 'autossh',
  sshpass: 'sshpass',
  prlimit: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  pgrep: 'procps',
  openssl: 'openssl',
  haproxy: 'haproxy',
  'systemd-notify': 'systemd',
  'systemd-analyze': 'systemd',
  python3: 'python3',
  chromium: 'chromium',
  tmux: 'tmux',
} as const;
const MODULES = { paramiko: 'python3-paramiko', asyncssh: 'python3-asyncssh' } as const;

/** What `.ci/run` has to install, so that under CI no test fails for want of a program. */
export const DEBIAN_PACKAGES: readonly string[] = [...Object.values(PACKAGES), ...Object.values(MODULES)];

export type Program = keyof typeof PACKAGES | keyof typeof MODULES;

/** Debian's own interpreter first: another python3 earlier in PATH does not see Debian's modules. */
const PYTHONS = ['/usr/bin/python3', 'python3'];

/** True when all `programs` are here. Otherwise ends the test: skipped, or failed where CI is set. */
export function need(t: Test, programs: readonly Program[]): boolean {
  const missing = programs.filter((program) => !isHere(program));
  if (missing.length === 0) return true;
  const packages = [...new Set(missing.map(packageOf))].join(' ');
  const reason = `needs ${missing.join(', ')} (apt-get install ${packages})`;
  if (process.env.CI) t.fail(reason);
  else t.plan(0, reason);
  return false;
}

/** Suites of Debian whose programs are newer than this machine's: `test/support/debian_suite.sh SUITE $DEBIAN_SUITES/SUITE PACKAGE…`
 *  fetches them without installing anything. */
const { DEBIAN_SUITES } = process.env;

/** @returns the path of a program of another suite. Otherwise ends the test: skipped, or failed where CI is set. */
export function programOfSuite(t: Test, suite: 'trixie' | 'forky', program: 'ssh' | 'ssh-audit'): string | undefined {
  const path = join(DEBIAN_SUITES ?? '', suite, 'bin', program);
  if (DEBIAN_SUITES !== undefined && existsSync(path)) return path;
  const reason = `needs ${program} of Debian ${suite} in DEBIAN_SUITES (test/support/debian_suite.sh)`;
  if (process.env.CI) t.fail(reason);
  else t.plan(0, reason);
  return undefined;
}

/** Absolute path of a program. sshd wants to be called by it, and /usr/sbin is in no ordinary user's PATH. */
export function pathOf(program: string): string | undefined {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin']) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** The interpreter that has `module`. */
export function pythonWith(module: keyof typeof MODULES): string | undefined {
  return PYTHONS.find((python) => spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0);
}

function isHere(program: Program): boolean {
  return isModule(program) ? pythonWith(program) !== undefined : pathOf(program) !== undefined;
}

function packageOf(program: Program): string {
  return isModule(program) ? MODULES[program] : PACKAGES[program];
}

function isModule(program: Program): program is keyof typeof MODULES {
  return program in MODULES;
}
