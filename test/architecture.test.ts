/** ARCHITECTURE: the source keeps to its floors: imports run downwards, in no circle, and each outside package has one
 *  door. The rules stand in support/architecture.ts; each is first shown to bite. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { importsOf, rowFaults, type SourceFile, violations } from './support/architecture.js';
import { projectRoot } from './support/paths.js';

interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** Text of the one violation, or none. */
  readonly broken?: RegExp;
}

const CASES: readonly Case[] = [
  {
    name: 'downwards is fine',
    files: { 'src/worker/connection/connection.ts': "import { may } from '../policy.js';", 'src/worker/policy.ts': '' },
  },
  {
    name: 'upwards is not',
    files: { 'src/worker/policy.ts': "import { x } from './server.js';", 'src/worker/server.ts': '' },
    broken: /policy\.ts imports src\/worker\/server\.ts: not downwards/,
  },
  {
    name: 'nor for a type',
    files: { 'src/shared/log.ts': "import type { X } from '../master/ledger.js';", 'src/master/ledger.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'nor by a re-export over two lines',
    files: { 'src/shared/log.ts': "export {\n  x,\n} from '../master/ledger.js';", 'src/master/ledger.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'nor by a dynamic import',
    files: { 'src/shared/log.ts': "await import('../master/ledger.js');", 'src/master/ledger.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'neighbours on one floor keep apart',
    files: { 'src/worker/auth/a.ts': "import '../forward/f.js';", 'src/worker/forward/f.ts': '' },
    broken: /auth\/a\.ts imports src\/worker\/forward\/f\.ts/,
  },
  {
    name: 'master never imports worker',
    files: { 'src/master/main.ts': "import { x } from '../worker/policy.js';", 'src/worker/policy.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'worker never imports master',
    files: { 'src/worker/run.ts': "import { x } from '../master/ledger.js';", 'src/master/ledger.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'the library stands on both processes',
    files: {
      'src/library/l.ts': "import '../master/main.js';\nimport '../worker/server.js';",
      'src/master/main.ts': '',
      'src/worker/server.ts': '',
    },
  },
  {
    name: 'the entry of a worker stands on the library',
    files: {
      'src/worker/main.ts': "import '../library/l.js';\nimport './run.js';",
      'src/library/l.ts': '',
      'src/worker/run.ts': '',
    },
  },
  {
    name: 'and nobody on the entry of a worker',
    files: { 'src/cli/main.ts': "import '../worker/main.js';", 'src/worker/main.ts': '' },
    broken: /cli\/main\.ts imports src\/worker\/main\.ts: not downwards/,
  },
  {
    name: 'what a program imports stands on the library',
    files: { 'src/index.ts': "export * from './library/l.js';", 'src/library/l.ts': '' },
  },
  {
    name: 'and nobody on that',
    files: { 'src/library/l.ts': "import '../index.js';", 'src/index.ts': '' },
    broken: /library\/l\.ts imports src\/index\.ts: not downwards/,
  },
  {
    name: 'and knows no command line',
    files: { 'src/library/l.ts': "import '../cli/options.js';", 'src/cli/options.ts': '' },
    broken: /library\/l\.ts imports src\/cli\/options\.ts: not downwards/,
  },
  {
    name: 'a circle inside a room is a circle',
    files: { 'src/shared/a.ts': "import './b.js';", 'src/shared/b.ts': "import './a.js';" },
    broken: /^a circle: src\/shared\/a\.ts -> src\/shared\/b\.ts -> src\/shared\/a\.ts$/,
  },
  { name: 'ssh2 in the transport', files: { 'src/worker/transport/t.ts': "import ssh2 from 'ssh2';" } },
  {
    name: 'ssh2 elsewhere, by a deep require',
    files: { 'src/worker/server.ts': "require('ssh2/lib/protocol/Protocol.js');" },
    broken: /imports ssh2: not its room/,
  },
  { name: 'ssh2 in the load client', files: { 'src/load/ssh2_client.ts': "require('ssh2/lib/client.js');" } },
  {
    name: 'ssh2 beside the load client',
    files: { 'src/load/login.ts': "require('ssh2/lib/client.js');" },
    broken: /imports ssh2: not its room/,
  },
  {
    name: 'the load client for its command',
    files: {
      'src/cli/bench.ts': "import '../load/client.js';",
      'src/load/client.ts': "import '../shared/errors.js';",
      'src/shared/errors.ts': '',
    },
  },
  {
    name: 'the load client in a server',
    files: { 'src/library/l.ts': "import '../load/client.js';", 'src/load/client.ts': '' },
    broken: /library\/l\.ts imports src\/load\/client\.ts: not downwards/,
  },
  {
    name: 'the load client in another command',
    files: { 'src/cli/serve.ts': "await import('../load/client.js');", 'src/load/client.ts': '' },
    broken: /cli\/serve\.ts imports src\/load\/client\.ts: not downwards/,
  },
  {
    name: 'a load client that knows the server',
    files: { 'src/load/client.ts': "import '../worker/policy.js';", 'src/worker/policy.ts': '' },
    broken: /load\/client\.ts imports src\/worker\/policy\.ts: not downwards/,
  },
  {
    name: 'the page on types of the ground floor',
    files: { 'src/dashboard/state.ts': "import type { A } from '../shared/admin.js';", 'src/shared/admin.ts': '' },
  },
  {
    name: 'the page on code of it, which no browser is served',
    files: { 'src/dashboard/words.ts': "import { REFUSALS } from '../shared/errors.js';", 'src/shared/errors.ts': '' },
    broken: /words\.ts loads \.\.\/shared\/errors\.js: a browser cannot/,
  },
  {
    name: 'the page on Node',
    files: { 'src/dashboard/api.ts': 'Buffer.from(token)' },
    broken: /uses what only Node has/,
  },
  {
    name: 'a server on the page',
    files: { 'src/master/page.ts': "import { bytes } from '../dashboard/format.js';", 'src/dashboard/format.ts': '' },
    broken: /not downwards/,
  },
  {
    name: 'uplot elsewhere',
    files: { 'src/dashboard/chart.ts': "import uPlot from 'uplot';" },
    broken: /imports uplot: not its room/,
  },
  { name: 'piscina in the pool', files: { 'src/worker/pool/p.ts': "import { Piscina } from 'piscina';" } },
  {
    name: 'piscina elsewhere',
    files: { 'src/worker/auth/a.ts': "import { Piscina } from 'piscina';" },
    broken: /imports piscina: not its room/,
  },
  {
    name: 'shared on a leaf package',
    files: { 'src/shared/c.ts': "import { parse } from 'yaml';\nimport 'node:net';" },
  },
  {
    name: 'shared on anything else',
    files: { 'src/shared/c.ts': "import pino from 'pino';" },
    broken: /shared stands on leaf packages only/,
  },
  { name: 'the environment read in the cli', files: { 'src/cli/main.ts': 'process.argv' } },
  {
    name: 'the environment read elsewhere',
    files: { 'src/master/ledger.ts': 'const { PORT } = process.env;' },
    broken: /reads process\.env or process\.argv/,
  },
  { name: 'the environment named in a comment', files: { 'src/master/ledger.ts': '// process.env is not read here' } },
  {
    name: 'tests in the program',
    files: { 'src/cli/main.ts': "import '../../test/support/ssh.js';" },
    broken: /not a part of the program/,
  },
  {
    name: 'the benchmark suite in the program',
    files: { 'src/load/l.ts': "import { run } from '../../bench/run.js';" },
    broken: /not a part of the program/,
  },
  {
    name: 'chaos in the program',
    files: { 'src/master/ledger.ts': "import { Ledger } from '../../chaos/ledger.js';" },
    broken: /not a part of the program/,
  },
  { name: 'a file without a room', files: { 'src/worker/attic.ts': '' }, broken: /belongs to no room/ },
];

for (const { name, files, broken } of CASES) {
  t.test(`rule: ${name}`, async (t) => {
    const found = violations(Object.entries(files).map(([path, text]) => ({ path, text })));
    t.equal(found.length, broken === undefined ? 0 : 1, found.join('\n'));
    if (broken !== undefined) t.match(found[0], broken);
  });
}

function sourceFiles(): SourceFile[] {
  return readdirSync(join(projectRoot, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `src/${name}`)
    .map((path) => ({ path, text: readFileSync(join(projectRoot, path), 'utf8') }));
}

t.test('the source keeps to every rule', async (t) => {
  const files = sourceFiles();
  t.ok(files.length > 10 && files.some(({ text }) => importsOf(text).length > 0), `${files.length} files were read`);
  const found = violations(files);
  t.equal(found.length, 0, found.length === 0 ? 'no violation' : found.join('\n'));
});

t.test('ARCHITECTURE.md has a row for each room, and for none that is gone', async (t) => {
  const paths = sourceFiles().map(({ path }) => path);
  t.same(rowFaults(readFileSync(join(projectRoot, 'ARCHITECTURE.md'), 'utf8'), paths), []);
  t.same(
    rowFaults('| `master/ledger.ts`, `old*.ts` | … |\n| `cli/` | … |', [
      'src/master/ledger.ts',
      'src/cli/a.ts',
      'src/b.ts',
    ]),
    ['src/b.ts has no row', 'src/master/old*.ts is gone'],
  );
});
