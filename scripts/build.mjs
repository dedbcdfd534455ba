/**
 * Builds the ES module and the CommonJS form of the library, with types for each, into `dist`.
 *
 * Both are compiled in a temporary folder, which replaces `dist` at the end: a failed build changes nothing, and a
 * concurrent reader of `dist` finds a complete build.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PAGE } from './build-page.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const dist = join(root, 'dist');
const workshop = join(root, 'node_modules', '.cache');

await mkdir(workshop, { recursive: true });
const staging = await mkdtemp(join(workshop, 'build-'));
try {
  const exitCodes = await Promise.all([
    compile('tsconfig.build.json', join(staging, 'new', 'esm')),
    compile('tsconfig.build-cjs.json', join(staging, 'new', 'cjs')),
  ]);
  if (exitCodes.some((code) => code !== 0)) throw new Error('The build failed; dist is as it was.');
  await writeFile(join(staging, 'new', 'cjs', 'package.json'), '{ "type": "commonjs" }\n');
  await keepImportsForBundlers(join(staging, 'new', 'cjs'));
  await writePage(join(staging, 'new'));
  await replaceDist();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await rm(staging, { recursive: true, force: true });
}

/** @returns {Promise<number | null>} tsc's exit code; `null` when a signal ended it */
function compile(project, outDir) {
  return new Promise((resolve, reject) => {
    const args = [tsc, '--project', project, '--outDir', outDir, '--noEmitOnError'];
    spawn(process.execPath, args, { cwd: root, stdio: 'inherit' }).on('error', reject).on('exit', resolve);
  });
}

/** Puts the page of the console into the module that is a placeholder in the sources. */
async function writePage(folder) {
  const page = JSON.stringify(PAGE);
  const module = join('nest', 'console', 'page.js');
  await writeFile(join(folder, 'esm', module), `export const PAGE = ${page};\n`);
  await writeFile(join(folder, 'cjs', module), `'use strict';\nexports.PAGE = ${page};\n`);
}

async function replaceDist() {
  await rename(dist, join(staging, 'old')).catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(join(staging, 'new'), dist);
}

/**
 * Restores in CommonJS what bundlers read in the `import()` of the sources: a package in a `try` may be
 * absent, and a specifier in a variable is none to follow. TypeScript compiles both to a `require` in a
 * function of its own.
 */
async function keepImportsForBundlers(folder) {
  const files = await readdir(folder, { recursive: true });
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    const path = join(folder, file);
    const code = await readFile(path, 'utf8');
    const kept = code
      .replaceAll(
        /await Promise\.resolve\(\)\.then\(\(\) => __importStar\((require\('@nestjs\/[^']+'\))\)\)/g,
        '__importStar($1)',
      )
      .replaceAll(
        /\.then\(s => __importStar\(require\(s\)\)\)/g,
        `.then(s => __importStar(require('node:module').createRequire(__filename)(s)))`,
      );
    if (kept !== code) await writeFile(path, kept);
  }
}
