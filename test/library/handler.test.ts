/** HANDLER: `check --handler`, `serve --handler`, `handler:` in a config, and startCluster: what loads is served, and what
 *  does not is an error of each of them, with its stack. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startCluster } from '../../src/index.js';
import { EventLog } from '../support/events.js';
import { handlerUrl, logins } from '../support/library.js';
import { cliEntry, projectRoot } from '../support/paths.js';
import { type Outcome, run, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { endpointOf } from '../support/server.js';
import { sshRun } from '../support/ssh.js';
import { tempDir } from '../support/temp.js';

const INDEX = new URL('../../src/index.js', import.meta.url).href;
const recorder = fileURLToPath(handlerUrl('recorder'));

function sallyport(t: Test, cwd: string, args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return run(t, process.execPath, [cliEntry, ...args], { cwd, env: { HOME: cwd, ...env } });
}

interface Broken {
  readonly name: string;
  readonly text: string;
  readonly says: RegExp;
}
const BROKEN: readonly Broken[] = [
  {
    name: 'throws',
    text: 'function deep() { throw new Error("no database"); }\ndeep();',
    says: /does not load: Error: no database\n +at deep \(.*throws\.mjs:1:/,
  },
  {
    name: 'syntax',
    text: '\nexport default class {{\n',
    says: /does not load: .*syntax\.mjs:2\nexport default class \{\{\n[\s\S]*SyntaxError/,
  },
  {
    name: 'misses',
    text: 'import "./nowhere.mjs";',
    says: /does not load: Error.*Cannot find module '.*nowhere\.mjs'/,
  },
  {
    name: 'nothing',
    text: 'export const a = 1;',
    says: /has no default export; wanted: export default class extends TunnelServer/,
  },
  { name: 'object', text: 'export default {};', says: /its default export is no class/ },
  {
    name: 'made',
    text: `import { TunnelServer } from '${INDEX}'; export default new TunnelServer();`,
    says: /a server that is made already/,
  },
  {
    name: 'stranger',
    text: 'export default class TunnelServer {}',
    says: /its default export does not extend TunnelServer; wanted/,
  },
  {
    name: 'constructor',
    text: `import { TunnelServer } from '${INDEX}';\nexport default class extends TunnelServer { constructor() { super(); throw new Error('no licence'); } }`,
    says: /its constructor throws: Error: no licence\n +at new .*constructor\.mjs:2:/,
  },
];

t.test('a handler that does not load is an error of check, of serve and of startCluster, with its stack', async (t) => {
  for (const { name, text, says } of BROKEN) {
    await t.test(name, async (t) => {
      const dir = tempDir(t);
      const file = join(dir, `${name}.mjs`);
      writeFileSync(file, text);
      writeFileSync(join(dir, 'sallyport.yaml'), `listen: ["127.0.0.1:0"]\nworkers: 1\nhandler: ./${name}.mjs\n`, {
        mode: 0o600,
      });
      const [checked, served, error] = await Promise.all([
        sallyport(t, dir, ['check']),
        sallyport(t, dir, ['serve', '--log-level', 'silent']),
        startCluster({
          listen: ['127.0.0.1:0'],
          stateDir: join(dir, 'other'),
          log: { level: 'silent' },
          workers: 1,
          handler: file,
          signals: false,
        }).catch((thrown: unknown) => thrown),
      ]);
      t.match(checked, { code: 2, stdout: says });
      t.match(checked.stdout, new RegExp(`^sallyport\\.yaml:3:10: handler: .*${name}\\.mjs: `));
      t.match(served, { code: 2, stderr: says });
      t.match(error, { code: 'HANDLER_INVALID', message: says });
    });
  }
});

t.test('check takes a good one, from the config or the command line, whatever it leaves running', async (t) => {
  const dir = tempDir(t);
  t.match(await sallyport(t, dir, ['check', '--handler', recorder]), {
    code: 0,
    stdout: `config: good: decides by ${recorder}, `,
  });
  const busy = join(dir, 'busy.mjs');
  writeFileSync(busy, `setInterval(() => {}, 1000);\nexport { default } from '${handlerUrl('recorder').href}';`);
  t.match(await sallyport(t, dir, ['check', '--handler', './busy.mjs']), { code: 0 });
  t.match(await sallyport(t, dir, ['check', '--handler', './missing.mjs']), {
    code: 2,
    stdout: /^command line: handler: .*missing\.mjs: does not load/,
  });
  writeFileSync(join(dir, 'sallyport.yaml'), 'handler: 7\n', { mode: 0o600 });
  t.match(await sallyport(t, dir, ['check']), { code: 2, stdout: /^sallyport\.yaml:1:10: handler: / });
});

t.test('serve --handler serves it in every worker, with the options of the config', async (t) => {
  if (!need(t, ['ssh', 'ssh-keygen'])) return;
  const dir = tempDir(t);
  const text = 'listen: ["127.0.0.1:0"]\nworkers: 2\nnoShell: "as the config says"\nlog: {format: json}\n';
  writeFileSync(join(dir, 'sallyport.yaml'), text, { mode: 0o600 });
  const program = start(t, process.execPath, [cliEntry, 'serve', '--handler', recorder], { cwd: dir });
  const events = new EventLog(program);
  const listening = await events.wait('server.listening');
  const { alice } = await logins(t, 'alice');
  const outcome = await sshRun(t, endpointOf(String(listening.address)), alice, []);
  t.match(outcome, { code: 1, stderr: /as the config says/ });
  t.match(await events.wait('auth.succeeded'), { user: 'alice', method: 'publickey' });
  t.match(await program.stop(), { code: 0 });
});

t.test('a handler in TypeScript', async (t) => {
  const dir = tempDir(t);
  const text = [
    `import { type Identity, TunnelServer } from '${INDEX}';`,
    'export default class Typed extends TunnelServer {',
    '  override checkAuthPassword(username: string, password: string): boolean | Identity {',
    "    return password === 'foo' && { user: username };",
    '  }',
    '}',
  ];
  writeFileSync(join(dir, 'typed.ts'), text.join('\n'));
  const args = ['check', '--handler', './typed.ts'];
  const plain = await sallyport(t, dir, args);
  if (Reflect.get(process.features, 'typescript')) t.match(plain, { code: 0 }, 'this Node reads it');
  else
    t.match(plain, { code: 2, stdout: /reads no TypeScript by itself: from 22\.18 on .*NODE_OPTIONS='--import tsx'/ });
  const tsx = new URL('node_modules/tsx/dist/loader.mjs', `file://${projectRoot}`).href;
  t.match(await sallyport(t, dir, args, { NODE_OPTIONS: `--import ${tsx}` }), { code: 0 }, 'as the message says');
});
