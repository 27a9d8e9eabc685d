/** DOC BLOCKS: every fenced block of the README and of docs/*.md. A scene plays it, or its language says how it is checked, or
 *  it stands in `unplayed.ts` with the reason; anything else fails. So nothing in the docs goes untried unnoticed. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import root, { type Test } from 'tap';
import { blocksOf, blocksOfFile, commandsOf, type DocBlock, docFiles, put } from '../support/doc_blocks.js';
import { checked } from '../support/doc_config.js';
import { DocSection } from '../support/doc_section.js';
import { Stage } from '../support/doc_stage.js';
import { projectRoot } from '../support/paths.js';
import { run } from '../support/process.js';
import { need, pathOf } from '../support/programs.js';
import { compile } from '../support/typescript.js';
import { ACCESS } from './scenes/access.js';
import { ADMIN } from './scenes/admin.js';
import { HARDENING } from './scenes/hardening.js';
import { README } from './scenes/readme.js';
import { RECIPES } from './scenes/recipes.js';
import { RUNNING } from './scenes/running.js';
import { ELSEWHERE, UNPLAYED } from './unplayed.js';

const SCENES = [...README, ...RECIPES, ...ACCESS, ...HARDENING, ...RUNNING, ...ADMIN];

interface Section {
  readonly file: string;
  readonly heading: string;
  readonly prose: string;
  readonly blocks: readonly DocBlock[];
}

/** A file cut at its headings; what stands in a block is no heading. */
function sectionsOf(file: string): readonly Section[] {
  const lines = readFileSync(join(projectRoot, file), 'utf8').split('\n');
  const blocks = blocksOfFile(file);
  const isInside = (line: number): boolean =>
    blocks.some((block) => line >= block.line - 1 && line < block.line + block.text.split('\n').length);
  const starts = lines.flatMap((line, index) => (/^#+ /.test(line) && !isInside(index + 1) ? [index] : []));
  return starts.map((start, nth) => {
    const end = starts[nth + 1] ?? lines.length;
    return {
      file,
      heading: (lines[start] ?? '').replace(/^#+ /, ''),
      prose: lines.filter((_line, index) => index > start && index < end && !isInside(index + 1)).join('\n'),
      blocks: blocks.filter((block) => block.line > start && block.line <= end),
    };
  });
}

function nameOf(block: DocBlock): string {
  return `${block.file}:${block.line} (${block.language}) ${block.text.split('\n', 1)[0]}`;
}

root.test('fences and commands are read as Markdown and a shell do', async (t) => {
  const text = ['a', '```sh', 'x \\', '  y   # why', '# only a comment', 'echo "#1"', '```', '~~~', '```', '~~~'].join(
    '\n',
  );
  const [first, second] = blocksOf('x.md', text);
  t.match(first, { language: 'sh', line: 3 });
  t.same(commandsOf(first?.text ?? ''), ['x y', 'echo "#1"']);
  t.match(second, { language: '', text: '```\n' });
  t.throws(() => blocksOf('x.md', '```sh\n'), /x\.md:1: a fence that is never closed/);
  t.throws(() => put('abc', [['d', 'e']]), /no "d" in/);
});

root.test('the blocks', { timeout: 400_000 }, async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const sections = docFiles().flatMap(sectionsOf);
  const open: DocBlock[] = [];

  for (const scene of SCENES) {
    const found = sections.find(({ file, heading }) => file === scene.file && heading === scene.heading);
    if (found === undefined) t.fail(`${scene.file} has no "${scene.heading}", which a scene plays`);
  }
  for (const { file, heading, prose, blocks } of sections) {
    const scene = SCENES.find((one) => one.file === file && one.heading === heading);
    if (scene === undefined) {
      open.push(...blocks);
      continue;
    }
    await t.test(`${file}: ${heading}`, { timeout: 120_000 }, async (t) => {
      if (!need(t, scene.needs)) return;
      const section = new DocSection(prose, blocks);
      await scene.play(t, new Stage(t), section);
      t.same(section.unplayed, [], 'every command of a block is played');
      open.push(...section.left);
    });
  }

  const unused = new Set<object>([...UNPLAYED, ...ELSEWHERE]);
  const rest = open.filter((block) => {
    const entry =
      UNPLAYED.find(({ file, begins }) => file === block.file && block.text.startsWith(begins)) ??
      ELSEWHERE.find(({ file, language }) => file === block.file && language === block.language);
    if (entry !== undefined) unused.delete(entry);
    return entry === undefined;
  });
  t.same([...unused], [], 'what stands in unplayed.ts is there');
  for (const { test } of ELSEWHERE) t.ok(existsSync(join(projectRoot, test)), test);

  const of = (...languages: string[]): DocBlock[] => rest.filter(({ language }) => languages.includes(language));
  for (const block of of('yaml'))
    await t.test(nameOf(block), async (t) => {
      const { code, stdout } = await checked(new Stage(t), block.text);
      t.equal(code, 0, stdout);
    });
  for (const block of of('json')) t.doesNotThrow(() => JSON.parse(block.text), nameOf(block));
  for (const block of of('ini')) t.same(block.text.split('\n').filter(isNoUnitLine), [], nameOf(block));
  await t.test('TypeScript compiles', async (t) => await typesCheck(t, of('ts')));
  for (const block of of('python')) {
    const program = 'import ast, sys; ast.parse(sys.stdin.read())';
    const outcome = await run(t, pathOf('python3') ?? 'python3', ['-c', program], { input: block.text });
    t.equal(outcome.code, 0, `${nameOf(block)} ${outcome.stderr}`);
  }
  for (const block of rest)
    if (!['yaml', 'json', 'ini', 'ts', 'python'].includes(block.language))
      t.fail(`${nameOf(block)}: no scene plays it, and unplayed.ts does not say why not`);
});

root.test('figures of speed and weight are those of the bench', async (t) => {
  const read = (file: string): string => readFileSync(join(projectRoot, file), 'utf8');
  const inBold = [...read('docs/capacity.md').matchAll(/\*\*([\d.,]+)\*\*/g)];
  const withUnit = [...read('docs/comparison.md').matchAll(/([\d.,]+) (?:KiB|ms|us)\b/g)];
  const results = read('bench/RESULTS.md').replaceAll(/^#+ .*$/gm, '');
  t.ok(inBold.length > 20 && withUnit.length > 4, 'figures are found');
  for (const [, figure = ''] of [...inBold, ...withUnit])
    t.match(
      results,
      new RegExp(`(?<![\\d.,])${figure.replaceAll('.', '\\.')}(?![\\d])`),
      `${figure} is one of RESULTS.md`,
    );
});

root.test('links lead to files and headings that are there', async (t) => {
  for (const file of docFiles()) {
    const text = readFileSync(join(projectRoot, file), 'utf8');
    for (const [, target = '', anchor = ''] of text.matchAll(/\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)/g)) {
      const path = target === '' ? join(projectRoot, file) : join(projectRoot, dirname(file), target);
      if (!existsSync(path)) t.fail(`${file}: ${target} is not there`);
      else if (anchor !== '') t.ok(anchorsOf(path).has(anchor), `${file}: ${target}#${anchor}`);
    }
  }
});

root.test('the npm scripts that the README names are there', async (t) => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(
    readFileSync(join(projectRoot, 'package.json'), 'utf8'),
  );
  const named = docFiles().flatMap((file) => [
    ...readFileSync(join(projectRoot, file), 'utf8').matchAll(/npm run ([\w:-]+)|npm (start|test)\b/g),
  ]);
  t.not(named.length, 0);
  for (const [words, script = '', short = ''] of named) t.ok(scripts[script || short], words);
});

/** As GitHub makes them of headings: small letters, no punctuation, blanks as hyphens. */
function anchorsOf(path: string): ReadonlySet<string> {
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** systemd.syntax(7): a section, a key and its value, a comment, nothing. */
function isNoUnitLine(line: string): boolean {
  return !/^(?:\[\w+\]|[A-Z][A-Za-z0-9]+=.*|[#;].*|)$/.test(line);
}

/** All in one run, below the project's root, from where `import 'sallyport'` finds the build. */
async function typesCheck(t: Test, blocks: readonly DocBlock[]): Promise<void> {
  const folder = mkdtempSync(join(projectRoot, 'build', 'docs-blocks-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const [index, { text }] of blocks.entries())
    writeFileSync(join(folder, `block${index}.ts`), /^(?:import|export) /m.test(text) ? text : `${text}export {};\n`);
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { rootDir: '.', outDir: 'out', noEmit: true, declaration: false, noUnusedLocals: false },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const outcome = await compile(t, folder);
  const names = blocks.map((block, index) => `block${index}.ts is ${nameOf(block)}`).join('\n');
  t.equal(outcome.code, 0, `${outcome.stdout}${outcome.stderr}\n${names}`);
}
