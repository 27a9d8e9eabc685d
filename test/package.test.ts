/** PACKAGE: what npm publishes, as somebody gets it who installs it in an empty project: it runs, its types compile, and the
 *  linters of packages have nothing to say. Dependencies come from the registry, without their install scripts, so this is
 *  also a server without ssh2's native binding. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { logins } from './support/library.js';
import { projectRoot } from './support/paths.js';
import { mustRun, run, type StartOptions, start } from './support/process.js';
import { need } from './support/programs.js';
import { endpointOf } from './support/server.js';
import { tunnel } from './support/ssh.js';
import { connect, freePort, startEcho } from './support/targets.js';
import { tempDir } from './support/temp.js';
import { compile } from './support/typescript.js';

/** npm wants its user's settings: on some machines they name the registry. */
function npmEnv(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(HOME|npm_config_.*|https?_proxy|no_proxy)$/i.test(name),
  );
  return Object.fromEntries(kept.filter((pair): pair is [string, string] => pair[1] !== undefined));
}

async function npm(t: Test, cwd: string, args: readonly string[]): Promise<string> {
  const options: StartOptions = { cwd, env: npmEnv() };
  const program = start(
    t,
    'npm',
    [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'],
    options,
  );
  const exit = await program.exited;
  if (exit.code !== 0) throw new Error(program.describe());
  return program.stdout;
}

const SERVER = `
import http from 'node:http';
import { TunnelServer } from 'sallyport';
const page = http.createServer((request, response) => response.end('from within\\n'));
export default class Server extends TunnelServer {
  checkAuthPublicKey() { return true; }
  checkDirect(origin, destination) { return destination.host === 'page' ? page : true; }
}
`;
const SINGLE = `
import Server from './server.mjs';
const [address] = await new Server({ listen: ['127.0.0.1:0'], log: { level: 'error' } }).listen();
console.log('at ' + address.address + ':' + address.port);
`;
const CLUSTER = `
import { startCluster } from 'sallyport';
const handler = new URL('./server.mjs', import.meta.url);
const cluster = await startCluster({ handler, workers: 2, listen: ['127.0.0.1:0'], log: { level: 'error' } });
const [address] = cluster.addresses;
console.log('at ' + address.address + ':' + address.port);
`;
/** Touches what a typed program touches; strict, and without skipLibCheck. */
const TYPED = `
import { createServer } from 'node:http';
import {
  type ClusterOptions, ConfiguredServer, type DirectAnswer, type Identity, PatternServer, type PublicKeyInfo, refuse, Rules,
  type Session, startCluster, TunnelError, TunnelServer, tunnelOf,
} from 'sallyport';

interface Member extends Identity { readonly team: string }
const page = createServer((request, response) => {
  response.end(tunnelOf(request.socket)?.identity.user);
});
export default class Typed extends TunnelServer {
  override getAllowedAuths() { return ['publickey,password'] as const; }
  override async checkAuthPublicKey(username: string, key: PublicKeyInfo): Promise<Member | false> {
    return key.line.startsWith('ssh-') && { user: username, team: 'red' };
  }
  override checkDirect(): DirectAnswer { return Math.random() > 0.5 ? page : refuse('POLICY_DENIED', 'unlucky'); }
  override onSession(session: Session): void { session.end(session.request.kind); session.exit(0); }
}
class Patterns extends PatternServer {
  readonly #rules = new Rules({ permitOpen: ['*.internal:443'] });
  override rules(): Rules { return this.#rules; }
}
const options: ClusterOptions = { listen: ['127.0.0.1:0'], timeouts: { hook: '5s' }, workers: 'auto' };
try {
  const cluster = await startCluster(options);
  cluster.on('channel', (event) => {
    if (event.event === 'channel.closed') console.log(event.user, event.bytesIn + event.bytesOut, event.reason, event.time);
  });
  for await (const event of new Patterns().events()) if (event.event === 'auth.failed') console.log(event.reason);
  await new ConfiguredServer({ users: { alice: { password: '$argon2id$…' } } }).listen();
} catch (error) {
  if (error instanceof TunnelError && error.code === 'CONFIG_INVALID') console.error(error.message);
}
// @ts-expect-error a duration has a unit
new TunnelServer({ timeouts: { keepalive: '60' } });
`;

const NOBODY = 10_001;
/** $0 is the one place that can be written to, $1 a file of which is asked whether it can, and the rest the program. The shell
 *  becomes it, so that signals are its own. Without NODE_OPTIONS: tap's hooks in it write a file at every process's exit, and on a
 *  disk that is read-only make the exit a failure that is not ours. */
const CONTAINER = `mount --bind "$0" "$0" && mount -o remount,bind,ro / || exit 9
touch "$1.x" 2>/dev/null || echo read-only
shift
unset NODE_OPTIONS
exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups --no-new-privs --bounding-set=-all "$@"`;

/** The files of the page go along as they are. */
function isServed(file: string): boolean {
  return /^build\/src\/.*\.(html|css|svg)$/.test(file);
}

t.test('the Dockerfile copies what is there, and what it starts is nobody in particular', async (t) => {
  const dockerfile = readFileSync(join(projectRoot, 'Dockerfile'), 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+)$/gm)].flatMap(([, words = '']) =>
    words.split(' ').slice(0, -1),
  );
  for (const path of copied) t.ok(existsSync(join(projectRoot, path)), path);
  const taken = readFileSync(join(projectRoot, '.dockerignore'), 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  for (const path of copied)
    t.ok(
      taken.some((kept) => path === kept || path.startsWith(`${kept}/`)),
      `${path} is not ignored`,
    );
  const [, last = ''] = /\nFROM (?:(?!\nFROM )[\s\S])*-slim\n([\s\S]*)$/.exec(dockerfile) ?? [];
  t.match(last, /^USER 10001:10001$/m);
  t.match(last, /^HEALTHCHECK /m);
  t.notMatch(last, /npm/, 'nothing is built in what is shipped');
});

t.test('an installed package', { timeout: 400_000 }, async (t) => {
  const dir = tempDir(t);
  const packed = JSON.parse(await npm(t, projectRoot, ['pack', '--json', '--pack-destination', dir]));
  const tarball = join(dir, String(packed[0].filename));
  const app = join(dir, 'app');
  await mustRun(t, 'mkdir', [app]);
  writeFileSync(join(app, 'package.json'), '{"name":"app","private":true,"type":"module"}');

  await t.test('holds what it should and nothing else', async (t) => {
    const files: string[] = packed[0].files.map(({ path }: { path: string }) => path);
    for (const wanted of [
      'build/src/index.js',
      'build/src/index.d.ts',
      'docs/library.md',
      'RELIABILITY.md',
      'docs/proxy.md',
      'examples/haproxy/haproxy.cfg',
      'contrib/systemd/sallyport.service',
      'contrib/docker/healthcheck.mjs',
      'examples/demo.ts',
      'LICENSE',
    ])
      t.ok(files.includes(wanted), wanted);
    t.same(
      files.filter((file) => /test|node_modules|state\/|\.log$/.test(file)),
      [],
    );
    const known = /^(build\/src\/.*\.(js|d\.ts|js\.map)|(docs|examples|contrib)\/.*|[A-Z]+\.md|LICENSE|package\.json)$/;
    t.same(
      files.filter((file) => !known.test(file) && !isServed(file)),
      [],
      'of a known kind',
    );
    const keys = files.filter((file) => /\.(pub|key|pem|krl)$|id_ed25519/.test(file));
    t.same(keys, [], 'no key of anybody');
  });

  await t.test('publint and are-the-types-wrong are content', async (t) => {
    await mustRun(t, process.execPath, [join(projectRoot, 'node_modules/.bin/publint'), '--strict', tarball]);
    const attw = join(projectRoot, 'node_modules/.bin/attw');
    await mustRun(t, process.execPath, [attw, tarball, '--profile', 'esm-only']);
    t.pass('both end with 0');
  });

  await t.test('runs, in one process and in a cluster', async (t) => {
    await npm(t, app, ['install', tarball]);
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    writeFileSync(join(app, 'server.mjs'), SERVER);
    const { alice } = await logins(t, 'alice');
    const echo = await startEcho(t);
    for (const [name, text] of [
      ['single', SINGLE],
      ['cluster', CLUSTER],
    ] as const) {
      writeFileSync(join(app, `${name}.mjs`), text);
      const program = start(t, process.execPath, [`${name}.mjs`], { cwd: app });
      const [, address = ''] = await program.waitFor(/at (\S+)/);
      const [near, page] = [await freePort(), await freePort()];
      const specs = ['-L', `${near}:localhost:${echo.port}`, '-L', `${page}:page:80`];
      await tunnel(t, endpointOf(address), alice, specs);
      const socket = await connect(t, near);
      socket.end('through a package');
      t.equal(Buffer.concat(await socket.toArray()).toString(), 'through a package', name);
      t.equal(await (await fetch(`http://127.0.0.1:${page}/`)).text(), 'from within\n', name);
      await program.stop();
    }
    const command = join(app, 'node_modules/.bin/sallyport');
    t.match(await mustRun(t, command, ['--version']), /^\d+\.\d+\.\d+/, 'and its command');
  });

  await t.test('runs as in a container: nobody, on a read-only disk, with a folder for its state', async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen', 'unshare', 'setpriv'])) return;
    const { alice } = await logins(t, 'alice');
    const state = join(dir, 'state');
    const config = join(dir, 'sallyport.yaml');
    const users = {
      alice: { authorizedKeys: [readFileSync(`${alice.keyFile}.pub`, 'utf8').trim()], permitOpen: ['localhost:*'] },
    };
    writeFileSync(config, JSON.stringify({ listen: ['127.0.0.1:0'], stateDir: state, workers: 2, users }));
    await mustRun(t, 'mkdir', [state]);
    await mustRun(t, 'chown', [String(NOBODY), state]);
    await mustRun(t, 'chmod', ['755', dir]);
    const main = join(app, 'node_modules/sallyport/build/src/cli/main.js');
    const program = start(t, 'unshare', [
      '--mount',
      '--propagation=private',
      ...['sh', '-c', CONTAINER, state, config],
      ...[process.execPath, main, 'serve', '--config', config],
    ]);
    const [, address = ''] = await program.waitFor(/"server.listening","address":"([^"]+)"/);
    t.match(program.stdout, /read-only$/m, 'it could not write beside its config');
    const echo = await startEcho(t);
    const near = await freePort();
    await tunnel(t, endpointOf(address), alice, ['-L', `${near}:localhost:${echo.port}`]);
    const socket = await connect(t, near);
    socket.end('through a container');
    t.equal(Buffer.concat(await socket.toArray()).toString(), 'through a container');
    const check = join(app, 'node_modules/sallyport/contrib/docker/healthcheck.mjs');
    t.match(await run(t, process.execPath, [check, address]), { code: 0, stderr: '' }, 'healthy');
    t.match(await program.stop('SIGTERM'), { code: 0 }, program.describe());
    t.match(await run(t, process.execPath, [check, address]), { code: 1, stderr: /ECONNREFUSED/ }, 'not any more');
    t.match(await run(t, process.execPath, [check, `127.0.0.1:${echo.port}`]), { code: 1 }, 'an echo is no SSH server');
  });

  await t.test('its types compile in a strict project', async (t) => {
    writeFileSync(join(app, 'typed.ts'), TYPED);
    const compilerOptions = {
      target: 'es2023',
      module: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(projectRoot, 'node_modules/@types')],
    };
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typed.ts'] }));
    t.match(await compile(t, app), { code: 0, stdout: '', stderr: '' });
  });
});
