import { execFile } from 'node:child_process';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { unifiedDiff } from '../migrate/diff.js';
import { migrate, type Migration } from '../migrate/migrate.js';
import type { SourceText } from '../migrate/source.js';
import type { TypeScript } from '../migrate/typescript.js';
import { type Command, CommandError, EXIT, UsageError } from './command.js';

const USAGE = `Usage: nestjs-limits migrate [folder] [--write] [--force]

Moves an application from @nestjs/throttler to nestjs-limits: module, guards, decorators, tests. It parses the
TypeScript files of the folder (default: the current one) with the application's own TypeScript. What it cannot
translate stays, below a comment "TODO(nestjs-limits)" that says why.

  --write   writes the files; without it, prints what would change
  --force   writes although the git working tree has changes that are not committed
`;

/** Folders that hold no sources of the application. */
const OTHER_FOLDERS = new Set(['node_modules', 'dist', 'build', 'coverage', 'out']);

export const migrateCommand: Command = {
  summary: 'Moves an application from @nestjs/throttler to this package.',
  usage: USAGE,
  async run(args, { stdout }) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { write: { type: 'boolean' }, force: { type: 'boolean' } },
    });
    if (positionals.length > 1) throw new UsageError('Give one folder.');
    const folder = resolve(positionals[0] ?? '.');
    if (!(await isFolder(folder))) throw new UsageError(`${folder} is not a folder.`);
    if (values.write === true && values.force !== true) await assertCommitted(folder);
    const migration = migrate(loadTypeScript(folder), await readSources(folder));
    if (values.write === true) await write(folder, migration);
    else
      for (const { path, before, after } of migration.changed) stdout.write(unifiedDiff(path, before, after));
    stdout.write(report(migration, values.write === true));
    return EXIT.ok;
  },
};

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** @throws CommandError if the application has no TypeScript, or one without the API of the compiler */
function loadTypeScript(folder: string): TypeScript {
  const advice = `Run "npm install --save-dev typescript@5" in ${folder} and try again.`;
  let ts: Partial<TypeScript>;
  try {
    ts = createRequire(join(folder, 'package.json'))('typescript') as Partial<TypeScript>;
  } catch (cause) {
    throw new CommandError(`The codemod uses the TypeScript of the application, which has none. ${advice}`, {
      cause,
    });
  }
  if (typeof ts.createSourceFile === 'function') return ts as TypeScript;
  throw new CommandError(
    `The TypeScript of the application, version ${ts.version ?? 'unknown'}, has no API to parse files. ${advice}`,
  );
}

/** @throws CommandError if the changes of the codemod could not be told from others */
async function assertCommitted(folder: string): Promise<void> {
  const status = await promisify(execFile)('git', ['status', '--porcelain', '--', '.'], {
    cwd: folder,
  }).catch(
    () => undefined, // not a git repository, or no git
  );
  if (status === undefined || status.stdout.trim() === '') return;
  throw new CommandError(
    `The git working tree of ${folder} has changes that are not committed. Commit or stash them, so that you can review those of the codemod, or add --force.`,
  );
}

async function readSources(folder: string): Promise<SourceText[]> {
  const paths: string[] = [];
  const visit = async (current: string): Promise<void> => {
    for (const entry of await readdir(current, { withFileTypes: true })) {
      const path = join(current, entry.name);
      if (entry.isDirectory() && !OTHER_FOLDERS.has(entry.name) && !entry.name.startsWith('.'))
        await visit(path);
      else if (entry.isFile() && /(?<!\.d)\.[cm]?tsx?$/.test(entry.name)) paths.push(path);
    }
  };
  await visit(folder);
  return Promise.all(
    paths.sort().map(async (path) => ({
      path: relative(folder, path).split(sep).join('/'),
      text: await readFile(path, 'utf8'),
    })),
  );
}

async function write(folder: string, { changed }: Migration): Promise<void> {
  for (const { path, after } of changed) {
    if (after === undefined) await rm(join(folder, path));
    else await writeFile(join(folder, path), after);
  }
}

function report({ changed, findings, concerned }: Migration, isWritten: boolean): string {
  const listed = (kind: string): string[] =>
    findings
      .filter((finding) => finding.kind === kind)
      .map(({ path, line, message }) => `  ${path}:${line}  ${message}`);
  const [todos, notes] = [listed('todo'), listed('note')];
  const left = new Set(findings.filter(({ kind }) => kind === 'todo').map(({ path }) => path)).size;
  return [
    `${concerned.length} files use @nestjs/throttler: ${concerned.length - left} are migrated whole, ${left} have something left by hand.`,
    ...(notes.length > 0 ? ['', 'Changed, and worth a look:', ...notes] : []),
    ...(todos.length > 0 ? ['', 'Left as it is:', ...todos] : []),
    '',
    ...(changed.length === 0
      ? ['Nothing to change.']
      : isWritten
        ? [`${changed.length} files changed. Format them, and run your tests.`]
        : [`${changed.length} files would change. Add --write to change them.`]),
    '',
  ].join('\n');
}
