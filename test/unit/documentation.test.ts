import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = process.cwd();
/** What examples import that is not installed here. */
const STRANGERS = `declare module '@nestjs/config' {
  export class ConfigModule {}
  export class ConfigService { getOrThrow<T>(name: string): T }
}`;

const documents = ['README.md', ...filesOf('docs', '.md')];
const sources = filesOf('lib', '.ts');

function filesOf(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);
}

function read(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8');
}

/** The TypeScript blocks of a Markdown text, by where they stand. */
function blocksOf(name: string, text: string): [where: string, code: string][] {
  return [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ''], index) => [
    `${name}#${index + 1}`,
    code,
  ]);
}

function examplesOf(name: string): [where: string, code: string][] {
  const comments = read(name).match(/^ *\/\*\*.*?\*\//gms) ?? [];
  const texts = comments.map((comment) => comment.replace(/^ *\* ?/gm, ''));
  return blocksOf(name, texts.join('\n'));
}

function compile(examples: [where: string, code: string][]): string[] {
  const files = new Map(
    examples.map(([where, code]) => [
      join(ROOT, 'test/examples', `${where.replace(/[^\w]/g, '-')}.ts`),
      `${code}\nexport {};`,
    ]),
  );
  files.set(join(ROOT, 'test/examples/strangers.d.ts'), STRANGERS);
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const settings = { ...options, noUnusedLocals: false, noUnusedParameters: false };
  const host = ts.createCompilerHost(settings);
  const { readFile, fileExists } = host;
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.fileExists = (path) => files.has(path) || fileExists(path);
  const program = ts.createProgram([...files.keys()], settings, host);
  return [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    const problems = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return problems.map(
      ({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  });
}

describe('the documentation', () => {
  it('has only examples that compile, in the documents and in the doc comments', () => {
    const examples = [
      ...documents.flatMap((name) => blocksOf(name, read(name))),
      ...sources.flatMap(examplesOf),
    ];
    expect(examples.length).toBeGreaterThan(20);
    expect(compile(examples)).toEqual([]);
  }, 120_000);

  it('links only to files and headings that exist', () => {
    const anchor = (heading: string): string =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-');
    const broken = [...documents, 'CONTRIBUTING.md', 'CHANGELOG.md'].flatMap((name) =>
      [...read(name).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
        .filter(([, file = '', heading]) => {
          const target = join(name, '..', file || name.split('/').pop() || '');
          const text = ts.sys.fileExists(join(ROOT, target)) ? read(target) : undefined;
          const headings = [...(text ?? '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => anchor(title));
          return text === undefined || (heading !== undefined && !headings.includes(heading));
        })
        .map(([link]) => `${name}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it('has pictures of the strategies that show what these do', async () => {
    // By a name that TypeScript does not follow: the script has no types. Jest gives it the library's sources.
    const script: string = join(ROOT, 'scripts/draw-strategies.mjs');
    const { drawStrategies } = (await import(script)) as { drawStrategies(): Record<string, string> };
    const drawn = Object.entries(drawStrategies()).map(([strategy, picture]) => [`${strategy}.svg`, picture]);
    expect(filesOf('docs/images', '.svg').sort()).toEqual(
      drawn.map(([name]) => `docs/images/${name}`).sort(),
    );
    for (const [name = '', picture = ''] of drawn) {
      expect(
        picture === read(`docs/images/${name}`) ? name : `npm run docs:pictures, for ${name} is old`,
      ).toBe(name);
      expect(picture.length).toBeLessThan(12_000);
    }
  });

  it('says beside each picture what is in it', () => {
    const pictures = filesOf('docs/images', '.svg').map((name) => {
      const [, all, admitted, worst] =
        /Of (\d+) hits (\d+) are admitted and \d+ refused; (\d+) of them/.exec(read(name)) ?? [];
      return `${admitted} of ${all} hits admitted, ${worst} of them in the worst minute](${name.slice('docs/'.length)})`;
    });
    const text = read('docs/strategies.md');
    expect(pictures.filter((picture) => !text.includes(picture))).toEqual([]);
  });

  it('explains every error code', () => {
    const codes = read('lib/common/errors.ts').match(/ERR_[A-Z_]+/g) ?? [];
    const explained = [...read('docs/errors.md').matchAll(/^## (ERR_[A-Z_]+)$/gm)].map(([, code]) => code);
    expect(explained.sort()).toEqual([...new Set(codes)].sort());
  });
});
