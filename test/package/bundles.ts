import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type BuildFailure } from 'esbuild';
import webpack, { type Stats } from 'webpack';
import { run } from './programs.js';

/** A package that a bundler did not find. */
export interface MissingPackage {
  readonly name: string;
  /** The module that imports it, relative to the folder of the application. */
  readonly importer: string;
}

/** Bundles a program for Node. Returns the missing packages; the bundle is written only if there are none. */
export type Bundler = (
  application: string,
  entry: string,
  output: string,
  absent: readonly string[],
) => Promise<readonly MissingPackage[]>;

export const bundlers: Readonly<Record<'esbuild' | 'webpack', Bundler>> = {
  async esbuild(application, entry, output, absent) {
    try {
      await build({
        absWorkingDir: application,
        entryPoints: [entry],
        outfile: output,
        bundle: true,
        platform: 'node',
        external: [...absent],
        logLevel: 'silent',
      });
      return [];
    } catch (error) {
      return (error as BuildFailure).errors.map(({ text, location }) => ({
        name: /^Could not resolve "(.*)"$/.exec(text)?.[1] ?? text,
        importer: location?.file ?? '',
      }));
    }
  },

  async webpack(application, entry, output, absent) {
    const stats = await new Promise<Stats>((resolve, reject) => {
      const compiler = webpack({
        context: application,
        entry: `./${entry}`,
        target: 'node',
        mode: 'production',
        output: { path: join(output, '..'), filename: output.slice(output.lastIndexOf('/') + 1) },
        optimization: { minimize: false },
        plugins: [new webpack.IgnorePlugin({ checkResource: (resource) => absent.includes(resource) })],
      });
      compiler.run((error, result) => {
        compiler.close(() => undefined);
        if (result === undefined) reject(error ?? new Error('webpack returned nothing.'));
        else resolve(result);
      });
    });
    return (stats.toJson({ all: false, errors: true, moduleTrace: true }).errors ?? []).map((problem) => ({
      name: /Can't resolve '(.*)' in/.exec(problem.message)?.[1] ?? problem.message,
      importer: problem.moduleName ?? '',
    }));
  },
};

/** Runs a bundle in a folder of its own, where no package can be found. Returns its output. */
export async function runBundle(bundle: (path: string) => Promise<void>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-limits-bundle-'));
  try {
    const path = join(folder, 'bundle.cjs');
    await bundle(path);
    return await run(folder, process.execPath, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
