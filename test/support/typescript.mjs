/**
 * `node --import ./test/support/typescript.mjs script.ts` runs TypeScript from the sources, outside of Jest, compiled as Jest
 * compiles it.
 */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

// This file is its own hooks: Node loads it a second time for them, on another thread.
if (isMainThread) register(import.meta.url);

/** Finds `x.ts` where the sources say `x.js`, as TypeScript does, and the library by the name of its package. */
export async function resolve(specifier, context, next) {
  if (!context.parentURL?.endsWith('.ts')) return next(specifier, context);
  const [, entry] = /^nestjs-limits(?:\/(\w+))?$/.exec(specifier) ?? [];
  if (specifier === 'nestjs-limits' || entry !== undefined) return next(libraryEntry(entry), context);
  return next(specifier.replace(/^(\.{1,2}\/.*)\.js$/, '$1.ts'), context);
}

function libraryEntry(name) {
  const folder =
    { undefined: '', testing: 'testing/', terminus: 'nest/terminus/', console: 'nest/console/' }[name] ??
    `storages/${name}/`;
  return new URL(`../../lib/${folder}index.ts`, import.meta.url).href;
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { transform } = await import('@swc/core');
  const { default: config } = await import('../../jest.config.mjs');
  const { code } = await transform(await readFile(fileURLToPath(url), 'utf8'), {
    ...config.projects[0].transform['^.+\\.ts$'][1],
    swcrc: false,
    sourceMaps: 'inline',
    filename: fileURLToPath(url),
  });
  return { format: 'module', source: code, shortCircuit: true };
}
