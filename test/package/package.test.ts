import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

/** What `npm publish` would publish, taken apart and installed in real applications. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const consumers = join(root, 'test/package/consumers');

jest.setTimeout(180_000);

let workshop: string;
let tarball: string;
let files: string[];

beforeAll(async () => {
  workshop = await mkdtemp(join(tmpdir(), 'nestjs-limits-package-'));
  await run(root, 'npm', 'run', 'build');
  const report = await run(root, 'npm', 'pack', '--json', '--pack-destination', workshop);
  const [pack] = JSON.parse(report) as [{ filename: string; files: { path: string }[] }];
  tarball = join(workshop, pack.filename);
  files = pack.files.map((file) => file.path);
});

afterAll(() => rm(workshop, { recursive: true, force: true }));

describe('the tarball', () => {
  it('holds the build, the documents and nothing else', async () => {
    const sources = await readdir(join(root, 'lib'), { recursive: true });
    const modules = sources
      .filter((path) => path.endsWith('.ts'))
      .map((path) => path.slice(0, -'.ts'.length));
    const built = ['esm', 'cjs'].flatMap((form) =>
      modules.flatMap((module) => [`dist/${form}/${module}.js`, `dist/${form}/${module}.d.ts`]),
    );
    const documents = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    expect(files.toSorted()).toEqual([...built, 'dist/cjs/package.json', ...documents].sort());
  });

  it('has nothing that publint would mend', async () => {
    await run(workshop, 'tar', '-xzf', tarball);
    const { messages, pkg } = await publint({ pkgDir: join(workshop, 'package'), pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  // Node 10's resolution too: TypeScript had it for `"module": "commonjs"`, and so had Nest applications for long.
  it('has types that every module resolution finds and that say what the code is', async () => {
    const report = await run(workshop, join(root, 'node_modules/.bin/attw'), '--format', 'json', tarball);
    const { problems, analysis } = JSON.parse(report) as AttwReport;
    const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports: object };
    expect(problems ?? {}).toEqual({});
    expect(Object.keys(analysis.entrypoints)).toEqual(Object.keys(exports));
  });
  it('names terminus, which not everybody has, in its own entry only', async () => {
    const dist = join(workshop, 'package/dist');
    const paths = await readdir(dist, { recursive: true });
    const naming: string[] = [];
    for (const path of paths.filter((each) => /\.(js|d\.ts)$/.test(each)))
      if (/['"]@nestjs\/terminus['"]|['"]\.[^'"]*terminus\//.test(await codeOf(join(dist, path))))
        naming.push(path);
    const indicator = 'nest/terminus/rate-limit.health';
    expect(naming.sort()).toEqual(
      ['cjs', 'esm'].flatMap((form) => [`${form}/${indicator}.d.ts`, `${form}/${indicator}.js`]),
    );
  });
});

describe.each([
  ['an ES module application of NestJS 12', 'nest-12-esm'],
  ['a CommonJS application of NestJS 11 with plain Jest', 'nest-11-commonjs'],
])('%s', (_title, name) => {
  let application: string;

  beforeAll(async () => {
    application = join(workshop, name);
    await cp(join(consumers, name), application, { recursive: true });
    await cp(join(consumers, 'both-copies.mjs'), join(application, 'both-copies.mjs'));
    await cp(tarball, join(application, 'nestjs-limits.tgz'));
    await run(application, 'npm', 'install', '--no-audit', '--no-fund', '--no-package-lock');
  });

  it('compiles, with the declarations of this package checked', async () => {
    expect(await typeErrors(application)).toEqual([]);
  });

  it('passes its own tests against a running server', async () => {
    await run(application, 'npm', 'test');
  });

  it('loads both copies of every entry, and they get along', async () => {
    await run(application, process.execPath, 'both-copies.mjs');
  });
});

/** A file without its doc comments. */
async function codeOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/\/\*\*.*?\*\//gs, '');
}

interface AttwReport {
  readonly problems?: Readonly<Record<string, unknown>>;
  readonly analysis: { readonly entrypoints: Readonly<Record<string, unknown>> };
}

/** Compiles an application and returns the errors that are its or ours; what other packages declare is theirs to mend. */
async function typeErrors(application: string): Promise<string[]> {
  const output = await run(application, join(application, 'node_modules/.bin/tsc')).catch(
    (error: unknown) => {
      if (error instanceof ProgramError && error.stdout !== '') return error.stdout;
      throw error;
    },
  );
  return output
    .split('\n')
    .filter((line) => /^\S/.test(line) && !/^node_modules\/(?!nestjs-limits\/)/.test(line));
}

class ProgramError extends Error {
  constructor(
    command: string,
    readonly stdout: string,
    stderr: string,
    cause: unknown,
  ) {
    super(`${command} failed:\n${stdout}\n${stderr}`, { cause });
  }
}

/** Runs a program and returns what it writes; a failure says all that it wrote. */
async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { cwd, maxBuffer: 2 ** 26 });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new ProgramError([program, ...args].join(' '), stdout, stderr, error);
  }
}
