/** WORKER WEIGHT: what a worker loads. A primary's modules and their packages are megabytes that each worker would carry for
 *  nothing, so they are imported when a primary starts and never before. Read from the compiled files, as Node does. */
import { readFileSync } from 'node:fs';
import t from 'tap';

const BUILT = new URL('../../src/', import.meta.url);

/** Everything that loading a file of ours loads at once: our files by path, packages by name. */
function loadedBy(entry: string): ReadonlySet<string> {
  const loaded = new Set<string>();
  const visit = (url: URL): void => {
    if (loaded.has(url.pathname.slice(BUILT.pathname.length))) return;
    loaded.add(url.pathname.slice(BUILT.pathname.length));
    const code = readFileSync(url, 'utf8');
    for (const [, from] of code.matchAll(/^(?:import|export)\b(?:[^'"();]*?\bfrom)?\s*['"]([^'"]+)['"]/gm)) {
      if (from === undefined || from.startsWith('node:')) continue;
      if (from.startsWith('.')) visit(new URL(from, url));
      else loaded.add(from);
    }
  };
  visit(new URL(entry, BUILT));
  return loaded;
}

for (const entry of ['worker/main.js', 'index.js']) {
  t.test(`${entry} loads nothing of a primary`, async (t) => {
    const loaded = [...loadedBy(entry)];
    t.ok(loaded.includes('worker/endpoint.js') || loaded.includes('library/tunnel_server.js'), 'the walk walks');
    const heavy = loaded.filter((name) => /^(master\/|cli\/|pino|pino-pretty|yaml|commander)/.test(name));
    t.same(heavy, []);
  });
}

t.test('a primary does load them', async (t) => {
  t.ok(loadedBy('library/single.js').has('pino'));
});
