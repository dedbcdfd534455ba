/**
 * Builds the ES module and the CommonJS form of the library, with types for each, into `dist`.
 *
 * Both are compiled beside `dist` and moved into its place at the end: a failed build leaves no half of one, and
 * whoever reads `dist` meanwhile finds the whole of the last one.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

async function replaceDist() {
  await rename(dist, join(staging, 'old')).catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(join(staging, 'new'), dist);
}
