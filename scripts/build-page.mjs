/** Builds the page of the console from `console/`: its script and its style, each in one file, and its HTML. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const file = (path) => fileURLToPath(new URL(`../console/${path}`, import.meta.url));

/** The licence of what the script and the style contain of uPlot. */
const LICENCE = '/*! Contains uPlot, (c) Leon Sorokin, MIT: https://github.com/leeoniya/uPlot */\n';

/** The files of the page, as `lib/nest/console/page.ts` declares them. */
export const PAGE = {
  html: await readFile(file('index.html'), 'utf8'),
  script: await bundle('main.ts'),
  style: await bundle('style.css'),
};

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [file(entry)],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  return LICENCE + outputFiles[0].text;
}
