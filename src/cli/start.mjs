/** START: what `npm start` does: builds, and serves in this process. A server that runs here already is told of before anything is built;
 *  with arguments it is always built, since `npm start -- --takeover` is how a new version takes an old one's place.
 *  Plain JavaScript: it is there before there is a build. Owns nothing. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ENTRY = new URL('../../build/src/cli/main.js', import.meta.url);

const isPlain = process.argv.length === 3;
// Asked of another process: a module of the old build that is loaded here would stay beside those of the new one.
if (isPlain && existsSync(ENTRY) && runs()) {
  process.stderr.write(
    'Sallyport runs already, with the config and the stateDir of this folder. In its place, and its tunnels go on: npm start -- --takeover\n',
  );
  process.exit(1);
}
const { status } = spawnSync('npm', ['run', 'build'], { cwd: ROOT, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
await import(ENTRY.href);

function runs() {
  return spawnSync(process.execPath, [fileURLToPath(ENTRY), 'status'], { stdio: 'ignore' }).status === 0;
}
