import { existsSync } from 'node:fs';
import {
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { bundlers, runBundle } from './bundles.js';
import { modulesLoadedBy } from './loaded-modules.js';
import { ProgramError, run } from './programs.js';

/** Tests of the published package: its contents, and its installation in real applications. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const consumers = join(root, 'test/package/consumers');

jest.setTimeout(180_000);

/** A module for the codemod. */
const THROTTLED_MODULE = `import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';

@Module({
  imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 10 }])],
  providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
})
export class AppModule {}
`;

/** Maximum size in bytes, slightly above the current size. Raise it on purpose only. */
const budget = {
  packed: 960_000,
  unpacked: 4_600_000,
  importedByRoot: 670_000,
  requiredByRoot: 745_000,
  page: 150_000,
};

/** Packages that an application has only if it needs them. */
const optionalPackages = [
  '@nestjs/microservices',
  '@nestjs/terminus',
  '@nestjs/websockets',
  '@opentelemetry/api',
  'etcd3',
  'ioredis',
  'mongodb',
  'pg',
];

/** What NestJS imports on demand, and an application may lack. `docs/bundling.md` lists them. */
const absentFromNest = [
  '@nestjs/microservices',
  '@nestjs/microservices/microservices-module.js',
  '@nestjs/websockets/socket-module.js',
  'class-transformer',
  'class-validator',
];

let workshop: string;
/** A separate folder, so that applications resolve only the packages that they install. */
let applications: string;
let tarball: string;
/** The unpacked tarball, next to all packages that this repository has installed. */
let unpacked: string;
let pack: Pack;
let manifest: Manifest;

beforeAll(async () => {
  workshop = await mkdtemp(join(tmpdir(), 'nestjs-limits-package-'));
  applications = await mkdtemp(join(tmpdir(), 'nestjs-limits-applications-'));
  await run(root, 'npm', 'run', 'build');
  const report = await run(root, 'npm', 'pack', '--json', '--pack-destination', workshop);
  [pack] = JSON.parse(report) as [Pack];
  tarball = join(workshop, pack.filename);
  await run(workshop, 'tar', '-xzf', tarball);
  unpacked = join(workshop, 'package');
  await symlink(join(root, 'node_modules'), join(workshop, 'node_modules'));
  manifest = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as Manifest;
});

afterAll(async () => {
  for (const folder of [workshop, applications]) await rm(folder, { recursive: true, force: true });
});

describe('the tarball', () => {
  it('contains the build, the documents, which errors and the README refer to, and nothing else', async () => {
    const sources = await readdir(join(root, 'lib'), { recursive: true });
    const modules = sources
      .filter((path) => path.endsWith('.ts'))
      .map((path) => path.slice(0, -'.ts'.length));
    const built = ['esm', 'cjs'].flatMap((form) =>
      modules
        // The executable exists as ES modules only.
        .filter((module) => form === 'esm' || !/^(cli|migrate|replay)[\\/]/.test(module))
        .flatMap((module) => [`dist/${form}/${module}.js`, `dist/${form}/${module}.d.ts`]),
    );
    const pages = (await readdir(join(root, 'docs'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)));
    expect(new Set(pages.map(extname))).toEqual(new Set(['.json', '.md', '.svg', '.webp']));
    const documents = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', ...pages];
    expect(pack.files.map(({ path }) => path).sort()).toEqual(
      [...built, 'dist/cjs/package.json', ...documents].sort(),
    );
  });

  it('names no source map, since it has none', async () => {
    const naming: string[] = [];
    for (const path of await codeFiles())
      if ((await readFile(path, 'utf8')).includes('sourceMappingURL')) naming.push(path);
    expect(naming).toEqual([]);
  });

  it('is not larger than its maximum', () => {
    expect(pack.size).toBeLessThan(budget.packed);
    expect(pack.unpackedSize).toBeLessThan(budget.unpacked);
  });

  it('has the page of the console, of 150 kB at most, in both forms', async () => {
    for (const form of ['esm', 'cjs']) {
      const { PAGE } = (await import(join(unpacked, 'dist', form, 'nest/console/page.js'))) as {
        PAGE: Record<string, string>;
      };
      const { html = '', script = '', style = '' } = PAGE;
      expect([html, script, style].map((text) => text.length > 1000)).toEqual([true, true, true]);
      expect(Buffer.byteLength(html + script + style)).toBeLessThan(budget.page);
    }
  });

  it('has three dependencies, and declares the optional peers', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['ipaddr.js', 'picomatch', 'temporal-polyfill']);
    const optional = Object.entries(manifest.peerDependenciesMeta).filter(([, meta]) => meta.optional);
    expect(optional.map(([name]) => name).sort()).toEqual(optionalPackages);
    const needed = Object.keys(manifest.peerDependencies).filter((name) => !optionalPackages.includes(name));
    expect(needed).toEqual(['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs']);
  });

  it('is published publicly with provenance, and has no side effects', () => {
    expect(manifest.publishConfig).toEqual({ access: 'public', provenance: true });
    expect(manifest.sideEffects).toBe(false);
  });

  it('has the public API of the reports in api/', async () => {
    await run(root, process.execPath, 'scripts/api-report.mjs', '--check', '--package', unpacked);
  });

  it('passes publint without a complaint', async () => {
    const { messages, pkg } = await publint({ pkgDir: unpacked, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  // Includes the resolution of Node 10, which TypeScript uses for `"module": "commonjs"`, a default
  // of Nest for a long time.
  it('has types for every module resolution that match the code', async () => {
    const report = await run(workshop, join(root, 'node_modules/.bin/attw'), '--format', 'json', tarball);
    const { problems, analysis } = JSON.parse(report) as AttwReport;
    expect(problems ?? {}).toEqual({});
    expect(Object.keys(analysis.entrypoints)).toEqual(Object.keys(manifest.exports));
  });

  it('has declarations of every entry that an application can check', async () => {
    const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json');
    const code = entries.map(
      (entry, index) => `export * as e${index} from 'nestjs-limits${entry.slice(1)}';`,
    );
    for (const file of ['entries.mts', 'entries.cts']) await writeFile(join(unpacked, file), code.join('\n'));
    const compilerOptions = {
      target: 'es2023',
      module: 'nodenext',
      types: ['node'],
      noEmit: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      experimentalDecorators: true,
      skipLibCheck: false,
    };
    const project = { compilerOptions, include: ['entries.*'] };
    await writeFile(join(unpacked, 'tsconfig.json'), JSON.stringify(project));
    expect(await typeErrors(unpacked, join(root, 'node_modules/.bin/tsc'))).toEqual([]);
  });

  it('names terminus, which is optional, in its own entry only', async () => {
    const naming: string[] = [];
    for (const path of await codeFiles())
      if (/['"]@nestjs\/terminus['"]|['"]\.[^'"]*terminus\//.test(await codeOf(path)))
        naming.push(path.slice(join(unpacked, 'dist/').length));
    const indicator = 'nest/terminus/rate-limit.health';
    expect(naming.sort()).toEqual(
      ['cjs', 'esm'].flatMap((form) => [`${form}/${indicator}.d.ts`, `${form}/${indicator}.js`]),
    );
  });
});

describe('the entry for metrics', () => {
  it('alone names OpenTelemetry, which is optional', async () => {
    const naming: string[] = [];
    for (const path of await codeFiles())
      if (/['"]@opentelemetry\//.test(await codeOf(path)))
        naming.push(path.slice(join(unpacked, 'dist/').length));
    expect(
      naming.filter((path) => !path.slice('esm/'.length).startsWith('observability/opentelemetry/')),
    ).toEqual([]);
    expect(naming).toContain('esm/observability/opentelemetry/rate-limit-metrics.js');
  });
});

describe('loading the root entry, with all packages installed,', () => {
  const nest = `await Promise.all(['@nestjs/common', '@nestjs/core', 'rxjs'].map((name) => import(name)));`;

  it.each([
    ['imported', `await import('nestjs-limits');`, 'dist/esm', budget.importedByRoot],
    [
      'required',
      `process.getBuiltinModule('module').createRequire(process.cwd() + '/here.js')('nestjs-limits');`,
      'dist/cjs',
      budget.requiredByRoot,
    ],
  ])(
    'loads its dependencies and Nest, and no more bytes than the maximum: %s',
    async (_how, code, folder, most) => {
      const loaded = await modulesLoadedBy(`${nest} ${code}`, unpacked);
      const withNest = new Set((await modulesLoadedBy(nest, unpacked)).map((module) => module.package));
      const more = new Set(loaded.map((module) => module.package).filter((name) => !withNest.has(name)));
      // Modules without a package are those of the tarball, since it is not in node_modules.
      expect([...more].sort()).toEqual(['ipaddr.js', 'picomatch', undefined]);

      const ours = loaded.filter((module) => module.package === undefined).map(({ path }) => path);
      const dist = await realpath(join(unpacked, folder));
      expect(ours.filter((path) => !path.startsWith(dist))).toEqual([]);
      expect(
        ours.filter((path) =>
          /[\\/](redis|memcached|mongodb|etcd|postgresql|terminus|opentelemetry|swagger|console|testing)[\\/]/.test(
            path,
          ),
        ),
      ).toEqual([]);
      const sizes = await Promise.all(ours.map(async (path) => (await stat(path)).size));
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(most);
    },
  );
});

describe('the executable', () => {
  let application: string;
  const nestjsLimits = (...args: string[]) =>
    run(application, join(application, 'node_modules/.bin/nestjs-limits'), ...args);

  beforeAll(async () => {
    application = await installed('without-optional-packages');
  });

  it('prints its version and its commands', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(await nestjsLimits('--version')).toBe(`${version}\n`);
    expect(await nestjsLimits('--help')).toMatch(/^Usage: nestjs-limits <command> \[options\]\n/);
  });

  it('replays files and the standard input, and fails as a gate with exit code 1', async () => {
    const line = '192.0.2.1 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5\n';
    await writeFile(join(application, 'access.log'), line.repeat(3));
    await writeFile(join(application, 'access.log.1.gz'), gzipSync(line));
    const replay = ['replay', 'access.log', 'access.log.1.gz', '--limit', '3/minute'];
    expect(JSON.parse(await nestjsLimits(...replay, '--json'))).toMatchObject({
      requests: 4,
      limit: { refused: 1 },
    });
    await expect(nestjsLimits(...replay, '--max-newly-refused', '24%')).rejects.toMatchObject({
      cause: { code: 1 },
    });
    const pipe = 'cat access.log | node_modules/.bin/nestjs-limits replay - --limit 1/minute | head -n 1';
    expect(await run(application, 'sh', '-c', pipe)).toMatch(/^3 requests of 1 identity, /);
  });

  it('loads no package of NestJS for a replay', async () => {
    await writeFile(join(unpacked, 'empty.log'), '');
    const loaded = await modulesLoadedBy(
      `process.argv.push('bin', 'replay', 'empty.log', '--limit', '1/minute');
      await import('./dist/esm/cli/bin.js');
      process.exitCode = 0;`,
      unpacked,
    );
    const packages = new Set(loaded.map((module) => module.package).filter((name) => name !== undefined));
    expect([...packages].sort()).toEqual(['ipaddr.js', 'picomatch']);
  });

  it("migrates from @nestjs/throttler with the application's own TypeScript", async () => {
    const path = join(application, 'throttled', 'app.module.ts');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, THROTTLED_MODULE);
    expect(await nestjsLimits('migrate', 'throttled')).toContain(
      "+import { RateLimitModule, throttlerCompatible } from 'nestjs-limits';\n",
    );
    expect(await nestjsLimits('migrate', 'throttled', '--write')).toMatch(
      /^1 files use @nestjs\/throttler: 1 are migrated whole, 0 have something left by hand\.$/m,
    );
    expect(await readFile(path, 'utf8')).toContain("limits: [{ limits: '10/minute', scope: 'route' }]");
  });

  it('loads no package but TypeScript for a migration', async () => {
    await mkdir(join(unpacked, 'throttled'), { recursive: true });
    await writeFile(join(unpacked, 'throttled', 'app.module.ts'), THROTTLED_MODULE);
    const loaded = await modulesLoadedBy(
      `process.argv.push('bin', 'migrate', 'throttled');
      process.stdout.write = () => true;
      await import('./dist/esm/cli/bin.js');`,
      unpacked,
    );
    const packages = new Set(loaded.map((module) => module.package).filter((name) => name !== undefined));
    expect([...packages].sort()).toEqual(['typescript']);
  });

  it('ends with exit code 2 for an unknown command, and names it', async () => {
    await expect(nestjsLimits('reply')).rejects.toMatchObject({
      cause: { code: 2, stderr: expect.stringContaining('Unknown command "reply"') },
    });
  });
});

describe('an application without optional packages', () => {
  let application: string;

  beforeAll(async () => {
    application = await installed('without-optional-packages');
  });

  it.each(optionalPackages)('does not get %s', (name) => {
    expect(existsSync(join(application, 'node_modules', name))).toBe(false);
  });

  it('compiles, with the declarations of this package checked, imported and required', async () => {
    expect(await typeErrors(application)).toEqual([]);
  });

  it.each(['dist/imported.mjs', 'dist/required.cjs'])(
    'limits, and reports the missing package of a storage: %s',
    async (program) => {
      await run(application, process.execPath, program);
    },
  );
});

describe.each([
  ['esbuild', 'dist/bundled.mjs'],
  ['esbuild', 'dist/bundled.cjs'],
  ['webpack', 'dist/bundled.mjs'],
  ['webpack', 'dist/bundled.cjs'],
] as const)('an application bundled by %s without optional packages: %s', (bundler, entry) => {
  it('lacks only packages of NestJS itself, and answers 200 and then 429 where no package is installed', async () => {
    const application = await installed('without-optional-packages');
    const bundle = bundlers[bundler];
    const output = await runBundle(async (path) => {
      const missing = await bundle(application, entry, path, []);
      expect(
        missing.filter(({ importer }) => !/node_modules\/@nestjs\/(common|core)\//.test(importer)),
      ).toEqual([]);
      const names = [...new Set(missing.map(({ name }) => name))].sort();
      expect(names).toEqual(absentFromNest);
      expect(await bundle(application, entry, path, names)).toEqual([]);
    });
    expect(output).toBe('200 200 429\n');
  });
});

describe('a bundle with the storage of a store', () => {
  it.each([
    ['nestjs-limits/redis', 'RedisStorage', 'redis'],
    ['nestjs-limits/mongodb', 'MongoDBStorage', 'mongodb'],
    ['nestjs-limits/postgresql', 'PostgreSQLStorage', 'postgres'],
  ])('contains its driver: %s', async (entry, storage, scheme) => {
    const program = `
      import { ${storage} } from '${entry}';
      const storage = new ${storage}('${scheme}://127.0.0.1:1');
      storage.incr('anyone', 60).catch(({ message }) => console.log(message)).then(() => storage.close());`;
    await writeFile(join(unpacked, `${scheme}.mjs`), program);
    const output = await runBundle(async (path) => {
      expect(await bundlers.esbuild(unpacked, `${scheme}.mjs`, path, [])).toEqual([]);
    });
    expect(output).toMatch(new RegExp(`^${storage} .*connect ECONNREFUSED 127\\.0\\.0\\.1:1\n$`));
  });
});

describe.each([
  ['an ES module application of NestJS 12', 'nest-12-esm'],
  ['a CommonJS application of NestJS 10 with plain Jest', 'nest-10-commonjs'],
  ['a CommonJS application of NestJS 11 with plain Jest', 'nest-11-commonjs'],
])('%s', (_title, name) => {
  let application: string;

  beforeAll(async () => {
    application = await install(name);
    await cp(join(consumers, 'both-copies.mjs'), join(application, 'both-copies.mjs'));
  });

  it('compiles, and type-checks the declarations of this package', async () => {
    expect(await typeErrors(application)).toEqual([]);
  });

  it('passes its own tests against a running server', async () => {
    await run(application, 'npm', 'test');
  });

  it('loads both copies of every entry, which work together', async () => {
    await run(application, process.execPath, 'both-copies.mjs');
  });
});

const installations = new Map<string, Promise<string>>();

/** Returns the folder of an application, installed and compiled once. */
function installed(name: string): Promise<string> {
  const known = installations.get(name);
  if (known !== undefined) return known;
  const installation = install(name).then(async (application) => {
    await typeErrors(application);
    return application;
  });
  installations.set(name, installation);
  return installation;
}

/** Copies an application to a separate folder and installs it with the tarball. */
async function install(name: string): Promise<string> {
  const application = join(applications, name);
  await cp(join(consumers, name), application, { recursive: true });
  await cp(tarball, join(application, 'nestjs-limits.tgz'));
  await run(
    application,
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
  );
  return application;
}

/** The modules of the tarball and their declarations. */
async function codeFiles(): Promise<string[]> {
  const dist = join(unpacked, 'dist');
  const paths = await readdir(dist, { recursive: true });
  return paths.filter((path) => /\.(js|d\.ts)$/.test(path)).map((path) => join(dist, path));
}

/** A file without its doc comments. */
async function codeOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/\/\*\*.*?\*\//gs, '');
}

interface Pack {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

interface Manifest {
  readonly exports: object;
  readonly dependencies: object;
  readonly peerDependencies: object;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly publishConfig: object;
  readonly sideEffects: boolean;
}

interface AttwReport {
  readonly problems?: Readonly<Record<string, unknown>>;
  readonly analysis: { readonly entrypoints: Readonly<Record<string, unknown>> };
}

/**
 * Compiles an application and returns the errors in it or in this package. Errors in declarations
 * of other packages are ignored.
 */
async function typeErrors(
  application: string,
  compiler = join(application, 'node_modules/.bin/tsc'),
): Promise<string[]> {
  const output = await run(application, compiler).catch((error: unknown) => {
    if (error instanceof ProgramError && error.stdout !== '') return error.stdout;
    throw error;
  });
  return output
    .split('\n')
    .filter((line) => /^\S/.test(line) && !/^(\.\.\/.*)?node_modules\/(?!nestjs-limits\/)/.test(line));
}
