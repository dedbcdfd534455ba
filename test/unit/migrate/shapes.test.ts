import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { migrate, type Migration } from '../../../lib/migrate/migrate.js';
import type { SourceText } from '../../../lib/migrate/source.js';

/**
 * Small applications in the shapes that public ones have. Run with `UPDATE_SHAPES=1` to write what the codemod makes of them, and
 * read the difference.
 */
const ROOT = process.cwd();
const FOLDER = join(ROOT, 'test/fixtures/migrate/shapes');
const groups = readdirSync(FOLDER).flatMap((name) => /^(.+)\.before\.txt$/.exec(name)?.[1] ?? []);

interface Shape {
  readonly title: string;
  readonly files: readonly SourceText[];
}

function readShapes(path: string): Shape[] {
  return readFileSync(path, 'utf8')
    .split(/^### /m)
    .slice(1)
    .map((text) => {
      const [title = '', ...parts] = text.split(/^--- /m);
      const files = parts.map((part) => {
        const end = part.indexOf('\n');
        return { path: part.slice(0, end), text: part.slice(end + 1) };
      });
      return { title: title.trim(), files };
    });
}

/** The files that change, and the report. */
function describeMigration({ changed, findings }: Migration): SourceText[] {
  return [
    ...changed.map(({ path, after }) => ({ path, text: after ?? '(removed)\n' })),
    {
      path: 'report',
      text: findings.map(({ kind, path, line, message }) => `${kind} ${path}:${line} ${message}\n`).join(''),
    },
  ];
}

function afterwards({ changed }: Migration, files: readonly SourceText[]): SourceText[] {
  return files.flatMap((file) => {
    const change = changed.find(({ path }) => path === file.path);
    if (change === undefined) return [file];
    return change.after === undefined ? [] : [{ path: file.path, text: change.after }];
  });
}

function withWindowsLines({ path, text }: SourceText): SourceText {
  return { path, text: text.replaceAll('\n', '\r\n') };
}

const shapes = groups.flatMap((group) =>
  readShapes(join(FOLDER, `${group}.before.txt`)).map((shape) => ({ group, ...shape })),
);
const migrations = shapes.map((shape) => ({ ...shape, migration: migrate(ts, shape.files) }));

if (process.env['UPDATE_SHAPES'] === '1')
  for (const group of groups) {
    const texts = migrations
      .filter((one) => one.group === group)
      .map(({ title, migration }) => {
        const files = describeMigration(migration).map(({ path, text }) => `--- ${path}\n${text}`);
        return `### ${title}\n${files.join('')}`;
      });
    writeFileSync(join(FOLDER, `${group}.after.txt`), texts.join(''));
  }

describe.each(groups)('the codemod, for %s', (group) => {
  const expected = new Map(
    readShapes(join(FOLDER, `${group}.after.txt`)).map(({ title, files }) => [title, files]),
  );

  it.each(migrations.filter((one) => one.group === group))('migrates $title', ({ title, migration }) => {
    expect(describeMigration(migration)).toEqual(expected.get(title));
  });

  it.each(migrations.filter((one) => one.group === group))(
    'changes nothing in a second run: $title',
    ({ files, migration }) => {
      expect(migrate(ts, afterwards(migration, files)).changed).toEqual([]);
    },
  );

  it.each(migrations.filter((one) => one.group === group))(
    'keeps line ends of Windows: $title',
    ({ files, migration }) => {
      const { changed, findings } = migrate(ts, files.map(withWindowsLines));
      expect(changed.map(({ after }) => after)).toEqual(
        migration.changed.map(({ after }) => after?.replaceAll('\n', '\r\n')),
      );
      expect(findings).toEqual(migration.findings);
    },
  );
});

describe('what the codemod writes', () => {
  it('has no syntax errors', () => {
    const errors = migrations.flatMap(({ title, files, migration }) =>
      afterwards(migration, files).flatMap(({ path, text }) => {
        const { diagnostics } = ts.transpileModule(text, {
          fileName: path,
          reportDiagnostics: true,
          compilerOptions: { target: ts.ScriptTarget.ES2022, experimentalDecorators: true },
        });
        return (diagnostics ?? []).map(({ messageText }) => [title, path, messageText]);
      }),
    );
    expect(errors).toEqual([]);
  });

  it('is whole for at least 70 % of the files', () => {
    const concerned = migrations.flatMap(({ migration }) => migration.concerned);
    const left = migrations.flatMap(({ migration: { findings } }) => [
      ...new Set(findings.filter(({ kind }) => kind === 'todo').map(({ path }) => path)),
    ]);
    expect(shapes.length).toBeGreaterThanOrEqual(40);
    expect((concerned.length - left.length) / concerned.length).toBeGreaterThanOrEqual(0.7);
  });

  it('type-checks against the library', () => {
    const whole = migrations.filter(({ migration }) =>
      migration.findings.every(({ kind }) => kind !== 'todo'),
    );
    const files = new Map(
      whole.flatMap(({ group, title, files: before, migration }) =>
        afterwards(migration, before).map(({ path, text }) => [
          join(ROOT, 'test/examples', `${group}-${title.replaceAll(/\W+/g, '-')}`, path),
          text,
        ]),
      ),
    );
    files.set(join(ROOT, 'test/examples/strangers.d.ts'), STRANGERS);
    expect(compile(files)).toEqual([]);
  });
});

/** Modules and globals that the shapes use and that are not installed here. */
const STRANGERS = `
declare module '@nestjs/config' {
  export class ConfigModule {}
  export class ConfigService { get<T = any>(name: string): T | undefined; get<T>(name: string, or: T): T }
}
declare const describe: (title: string, define: () => void) => void;
declare const it: (title: string, test: () => unknown) => void;
declare const jest: { mock(name: string, make: () => unknown): void };
declare const expect: (value: unknown) => { toBeDefined(): void };
`;

function compile(files: ReadonlyMap<string, string>): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const settings = {
    ...options,
    // The settings of most applications.
    module: ts.ModuleKind.Preserve,
    jsx: ts.JsxEmit.Preserve,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    isolatedModules: false,
    noImplicitOverride: false,
    exactOptionalPropertyTypes: false,
    noUnusedParameters: false,
    noUncheckedIndexedAccess: false,
  };
  const host = ts.createCompilerHost(settings);
  const { readFile, fileExists } = host;
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.directoryExists = () => true;
  const program = ts.createProgram([...files.keys()], settings, host);
  return [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    const problems = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return problems.map(({ messageText, start = 0 }) => {
      const { line = 0 } = file?.getLineAndCharacterOfPosition(start) ?? {};
      return `${path.slice(ROOT.length)}:${line + 1} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}
