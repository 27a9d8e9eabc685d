/** ASSETS: the last step of `npm run build`: puts beside the compiled page what tsc does not: markup, style, icon, and uPlot's own
 *  files. So a running server serves one folder and needs no build, no bundle and no internet. */
import { copyFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('.', import.meta.url));
const target = fileURLToPath(new URL('../../build/src/dashboard/', import.meta.url));
const uplot = dirname(createRequire(import.meta.url).resolve('uplot/package.json'));

for (const file of ['index.html', 'style.css', 'icon.svg']) copyFileSync(join(source, file), join(target, file));
copyFileSync(join(uplot, 'dist/uPlot.esm.js'), join(target, 'uplot.js'));
copyFileSync(join(uplot, 'dist/uPlot.min.css'), join(target, 'uplot.css'));
