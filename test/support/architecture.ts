/** ARCHITECTURE: the rules of the house, read from import lines. Pure: files in, violations out, so that the rules can
 *  be tried on files that break them. Knows nothing of the disk. */

/** Path below the project, such as `src/worker/policy.ts`, and the text of the file. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Rooms by floor, the ground first. A file may import its own room and the floors below; another room of the same
 *  floor is out of reach, so that two neighbours never grow into one. */
const FLOORS: ReadonlyArray<ReadonlyArray<{ readonly room: string; readonly holds: RegExp }>> = [
  [{ room: 'shared', holds: /^src\/shared\// }],
  [
    { room: 'memory', holds: /^src\/worker\/(memory|lingering)\.ts$/ },
    { room: 'tally', holds: /^src\/worker\/tally\.ts$/ },
    { room: 'user buckets', holds: /^src\/worker\/user_buckets\.ts$/ },
  ],
  [{ room: 'dashboard', holds: /^src\/dashboard\// }],
  [
    { room: 'transport', holds: /^src\/worker\/transport\// },
    { room: 'load', holds: /^src\/load\// },
  ],
  [
    { room: 'channel', holds: /^src\/worker\/channel\// },
    { room: 'policy', holds: /^src\/worker\/policy\.ts$/ },
    { room: 'pool', holds: /^src\/worker\/pool\// },
    { room: 'primary link', holds: /^src\/worker\/(primary_link|event_queue|questions|held)\.ts$/ },
  ],
  [
    { room: 'auth', holds: /^src\/worker\/auth\// },
    { room: 'forward', holds: /^src\/worker\/forward\// },
    { room: 'intake', holds: /^src\/worker\/(opening|intake|proxy_intake|proxy_header)\.ts$/ },
  ],
  [{ room: 'connection', holds: /^src\/worker\/connection\// }],
  [{ room: 'server', holds: /^src\/worker\/(server|guarded|life|story|survey|expiry|endpoint|bandwidth)\.ts$/ }],
  [
    { room: 'worker run', holds: /^src\/worker\/(run|process_side|orphan|next_primary)\.ts$/ },
    { room: 'master', holds: /^src\/master\// },
  ],
  [{ room: 'library', holds: /^src\/library\// }],
  [
    { room: 'index', holds: /^src\/index\.ts$/ },
    { room: 'cli', holds: /^src\/cli\// },
    { room: 'worker main', holds: /^src\/worker\/main\.ts$/ },
  ],
];

/** Packages with one door each: whoever needs them goes through that room. */
const DOORS: ReadonlyArray<{ readonly name: string; readonly only: RegExp }> = [
  { name: 'ssh2', only: /^src\/(worker\/transport\/|load\/ssh2_client\.ts$)/ },
  { name: 'piscina', only: /^src\/worker\/pool\// },
  { name: '@noble/post-quantum', only: /^src\/worker\/transport\/ml_kem\.ts$/ },
  { name: 'prom-client', only: /^src\/master\/exposition\.ts$/ },
  { name: 'uplot', only: /^src\/dashboard\/uplot\.d\.ts$/ },
];
/** Who may ask for the load client: it is no part of a server, and a server must not carry it. */
const LOADS = /^src\/(load\/|cli\/bench)/;
/** What the ground floor may stand on. */
const SHARED_PACKAGES = new Set(['yaml']);
/** Who may read the environment and the command line. */
const READS_PROCESS = /^src\/(cli\/.*|master\/main|worker\/main)\.ts$/;

/** Every broken rule, one line each; empty when the house is in order. */
export function violations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  const edges = new Map<string, string[]>();
  for (const { path, text } of files) {
    const code = withoutComments(text);
    const imports = importsOf(code).map((specifier) => resolve(path, specifier));
    edges.set(path, imports);
    if (placeOf(path) === undefined) found.push(`${path} belongs to no room`);
    for (const target of imports) found.push(...brokenBy(path, target));
    if (path.startsWith('src/dashboard/')) found.push(...notForBrowsers(path, code));
    if (/\bprocess\s*\.\s*(env|argv)\b|['"](?:node:)?process['"]/.test(code) && !READS_PROCESS.test(path)) {
      found.push(`${path} reads process.env or process.argv`);
    }
  }
  return [...found, ...cyclesOf(edges)];
}

/** What ARCHITECTURE.md lacks or has too much: files without a row of their own or of their folder, and rows of files that are gone.
 *  @param markdown rows begin with names in code, the folder said once: `| `master/ledger.ts`, `lease_desk.ts` | …` */
export function rowFaults(markdown: string, paths: readonly string[]): string[] {
  const rooms = markdown.split('\n').flatMap((line) => {
    if (!line.startsWith('| `')) return [];
    let folder = '';
    return [...(line.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => {
      const isWhole = name.includes('/') || name === 'index.ts';
      if (isWhole) folder = name.slice(0, name.lastIndexOf('/') + 1);
      return `src/${isWhole ? name : folder + name}`;
    });
  });
  const covers = (room: string, path: string): boolean =>
    room.endsWith('/') ? path.startsWith(room) : matchesGlob(path, room);
  return [
    ...paths.filter((path) => !rooms.some((room) => covers(room, path))).map((path) => `${path} has no row`),
    ...rooms.filter((room) => !paths.some((path) => covers(room, path))).map((room) => `${room} is gone`),
  ];
}

function matchesGlob(path: string, glob: string): boolean {
  const parts = glob.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`).test(path);
}

function brokenBy(path: string, target: string): string[] {
  if (/^(test|bench|chaos)\//.test(target)) return [`${path} imports ${target}: not a part of the program`];
  if (target.startsWith('src/')) return mayImport(path, target) ? [] : [`${path} imports ${target}: not downwards`];
  const name = packageOf(target);
  const broken = DOORS.filter((door) => door.name === name && !door.only.test(path));
  if (broken.length > 0) return [`${path} imports ${name}: not its room`];
  if (path.startsWith('src/shared/') && !name.startsWith('node:') && !SHARED_PACKAGES.has(name)) {
    return [`${path} imports ${name}: shared stands on leaf packages only`];
  }
  return [];
}

/** What runs in a browser has its own files, and nothing of Node. Types leave no import behind. */
function notForBrowsers(path: string, code: string): string[] {
  const loaded = importsOf(code.replaceAll(/\bimport type\b[^;]*;/g, ''));
  const foreign = loaded.filter(
    (specifier) =>
      specifier.startsWith('../shared/') || specifier.startsWith('../../shared/') || specifier.startsWith('node:'),
  );
  const globals = /\b(Buffer|setImmediate|require)\b/.test(code) ? [`${path} uses what only Node has`] : [];
  return [...foreign.map((specifier) => `${path} loads ${specifier}: a browser cannot`), ...globals];
}

function mayImport(path: string, target: string): boolean {
  const [from, to] = [placeOf(path), placeOf(target)];
  if (from === undefined || to === undefined) return false;
  if (to.room === 'load' && !LOADS.test(path)) return false;
  if (to.room === 'dashboard' && from.room !== 'dashboard') return false;
  if (/^src\/master\//.test(path) && /^src\/worker\//.test(target)) return false;
  if (/^src\/worker\//.test(path) && /^src\/master\//.test(target)) return false;
  return from.room === to.room || to.floor < from.floor;
}

function placeOf(path: string): { readonly room: string; readonly floor: number } | undefined {
  for (const [floor, rooms] of FLOORS.entries()) {
    const match = rooms.find(({ holds }) => holds.test(path));
    if (match !== undefined) return { room: match.room, floor };
  }
  return undefined;
}

/** Specifiers of static, type-only, re-exporting and dynamic imports and of require(). */
export function importsOf(code: string): string[] {
  const pattern = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire(?:\.resolve)?\s*\()\s*(['"])([^'"\n]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => match[2] ?? '');
}

/** Comments may quote an import. Strings with `//` in them lose their end, which is no import either. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$|\s\/\/ .*$/gm, '');
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

/** `../shared/x.js` seen from `src/master/y.ts` is `src/shared/x.ts`; a package stays as it is. */
function resolve(path: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  const parts = path.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/').replace(/\.js$/, '.ts');
}

/** One line per circle, wherever one enters it. */
function cyclesOf(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const circle = trail.slice(start);
      found.set([...circle].sort().join(), `a circle: ${[...circle, path].join(' -> ')}`);
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return [...found.values()];
}
