import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runWith } from './programs.js';

/** A module that a program has loaded. */
export interface LoadedModule {
  readonly path: string;
  /** Its package; `undefined` outside `node_modules`. */
  readonly package: string | undefined;
}

/**
 * Runs statements as an ES module in a folder, and returns the modules that they load by import or
 * require.
 */
export async function modulesLoadedBy(statements: string, folder: string): Promise<LoadedModule[]> {
  const reports = await mkdtemp(join(tmpdir(), 'nestjs-limits-loaded-'));
  try {
    // The coverage report names every loaded module, of either kind, on every version of Node.
    const environment = { NODE_V8_COVERAGE: reports };
    await runWith(environment, folder, process.execPath, '--input-type=module', '--eval', statements);
    const texts = (await readdir(reports)).map((name) => readFile(join(reports, name), 'utf8'));
    const results = (await Promise.all(texts)).flatMap((text) => (JSON.parse(text) as Coverage).result);
    const urls = new Set(results.map(({ url }) => url).filter((url) => url.startsWith('file:')));
    const paths = [...urls].map((url) => fileURLToPath(url)).filter((path) => !path.endsWith(']')); // "[eval1]", the statements
    return paths.map((path) => ({ path, package: packageOf(path) }));
  } finally {
    await rm(reports, { recursive: true, force: true });
  }
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

function packageOf(path: string): string | undefined {
  return /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(path)?.[1]?.replace('\\', '/');
}
