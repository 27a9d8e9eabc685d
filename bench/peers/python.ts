/** PYTHON: which interpreter has a module. One of pyenv or a virtual environment may come first in PATH and not see
 *  Debian's packages, so Debian's own is asked too. Owns nothing. */
import { answerOf } from '../support/program.js';
import type { Found, RunningServer, StartOptions } from '../types.js';
import { besideSource, startOwn } from './own_server.js';

const INTERPRETERS = ['python3', '/usr/bin/python3'];

/** @param name of a module and, behind `python3-`, of its Debian package */
export async function probePython(name: string): Promise<Found> {
  const python = await pythonWith(name);
  if (python === null) return { found: false, why: `no python3 that imports ${name} (Debian: python3-${name})` };
  return { found: true, version: python.version };
}

export async function startPython(name: string, server: string, options: StartOptions): Promise<RunningServer> {
  const python = await pythonWith(name);
  if (python === null) throw new Error(`no python3 that imports ${name}`);
  return await startOwn(python.command, [besideSource(server)], options);
}

async function pythonWith(name: string): Promise<{ command: string; version: string } | null> {
  const words = `"${name}", ${name}.__version__ + ", Python", platform.python_version()`;
  const program = `import platform, ${name}; print(${words})`;
  for (const command of INTERPRETERS) {
    const answer = await answerOf(command, ['-W', 'ignore', '-c', program]);
    if (answer?.startsWith(`${name} `)) return { command, version: answer };
  }
  return null;
}
