import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = process.cwd();
/** Modules that examples import and that are not installed here. */
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

/** The TypeScript blocks of a Markdown text, by their location. */
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

/** The interfaces of options; each has a table in a document. */
const OPTION_INTERFACES = [
  'DescribeStorageOptions',
  'GivenClientOptions',
  'LeaseOptions',
  'LegacyHeaders',
  'MemcachedStorageOptions',
  'MemoryStorageOptions',
  'MongoDBStorageOptions',
  'PolicyOptions',
  'PostgreSQLStorageOptions',
  'RateLimitConsoleOptions',
  'RateLimitHeaders',
  'RateLimitModuleExtras',
  'RateLimitModuleOptions',
  'RedisClusterStorageOptions',
  'RedisSentinelStorageOptions',
  'RedisStorageOptions',
  'ResilienceOptions',
  'Rule',
  'ServerStorageOptions',
  'StorageOptions',
];

/**
 * The messages of the errors of some classes, with `…` for inserted values. Excludes messages that
 * only pass on another one.
 */
function messagesOf(...classes: string[]): string[] {
  const messages: string[] = [];
  for (const name of sources) {
    const visit = (node: ts.Node): void => {
      if (
        ts.isNewExpression(node) &&
        classes.includes(node.expression.getText()) &&
        node.arguments?.[0] !== undefined
      )
        messages.push(...textsOf(node.arguments[0]).filter((text) => /\w/.test(text)));
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(name, read(name), ts.ScriptTarget.Latest, true));
  }
  return messages;
}

/** The messages in the tables of a document, as regular expressions. */
function explainedMessages(name: string): RegExp[] {
  const rows = read(name).match(/^\|.*$/gm) ?? [];
  return rows.flatMap((row) => {
    const [, cell = ''] = row.split('|');
    return [...cell.matchAll(/(?<![\w])_(.+?)_(?![\w])/g)].map(([, phrase = '']) => {
      const parts = phrase.split('…').map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      return new RegExp(parts.join('.*'));
    });
  });
}

/** The possible texts of an expression. */
function textsOf(node: ts.Expression): string[] {
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
  if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
  if (ts.isBinaryExpression(node))
    return textsOf(node.left).flatMap((left) => textsOf(node.right).map((right) => left + right));
  if (!ts.isTemplateExpression(node)) return ['…'];
  return node.templateSpans.reduce(
    (texts, { expression, literal }) =>
      texts.flatMap((text) => textsOf(expression).map((part) => text + part + literal.text)),
    [node.head.text],
  );
}

/** The pictures that scripts draw. The benchmarks write the others. */
function drawnPictures(): string[] {
  return filesOf('docs/images', '.svg').filter((name) => !name.includes('/benchmark-'));
}

type Pictures = Record<string, string>;

describe('the documentation', () => {
  it('has only examples that compile, in the documents and in doc comments', () => {
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

  it('links every page from the index, which the README links', () => {
    // The pages of single benchmarks are linked from their summary.
    const pages = documents.filter(
      (name) => name.startsWith('docs/') && name !== 'docs/README.md' && !name.startsWith('docs/benchmarks/'),
    );
    const index = read('docs/README.md');
    expect(pages.filter((name) => !index.includes(`](${name.slice('docs/'.length)})`))).toEqual([]);
    expect(read('README.md')).toContain('](docs/README.md)');
  });

  it('links each page of the index to the one before and after it', () => {
    const pages = [...read('docs/README.md').matchAll(/^\d+\. (\[[^\]]+\]\(([^)]+)\))/gm)];
    expect(pages.length).toBeGreaterThan(20);
    for (const [index, [, , name = '']] of pages.entries()) {
      const links = [
        ['Previous', pages[index - 1]?.[1]],
        ['Next', pages[index + 1]?.[1]],
      ].flatMap(([direction, link]) => (link === undefined ? [] : [`${direction}: ${link}`]));
      expect([name, read(`docs/${name}`).split('\n---\n\n').pop()]).toEqual([name, `${links.join(' · ')}\n`]);
    }
  });

  it('has pictures that match what the scripts draw, and the results of the strategies', async () => {
    // Imported by names that TypeScript does not follow, since the scripts have no types. Jest
    // resolves their imports to the sources.
    const script = (name: string): string => join(ROOT, 'scripts', name);
    const strategies = (await import(script('draw-strategies.mjs'))) as { drawStrategies(): Pictures };
    const diagrams = (await import(script('draw-diagrams.mjs'))) as { drawDiagrams(): Pictures };
    const pictures = { ...strategies.drawStrategies(), ...diagrams.drawDiagrams() };
    const drawn = Object.entries(pictures).map(([name, picture]) => [`${name}.svg`, picture]);
    expect(drawnPictures().sort()).toEqual(drawn.map(([name]) => `docs/images/${name}`).sort());
    for (const [name = '', picture = ''] of drawn) {
      expect(
        picture === read(`docs/images/${name}`) ? name : `npm run docs:pictures, for ${name} is old`,
      ).toBe(name);
      expect(picture.length).toBeLessThan(12_000);
    }
  });

  it('has a text next to each picture of a strategy', () => {
    const pictures = drawnPictures().flatMap((name) => {
      const [, all, admitted, worst] =
        /Of (\d+) hits (\d+) are admitted and \d+ refused; (\d+) of them/.exec(read(name)) ?? [];
      if (all === undefined) return [];
      return [
        `${admitted} of ${all} hits admitted, ${worst} of them in the worst minute](${name.slice('docs/'.length)})`,
      ];
    });
    expect(pictures).toHaveLength(5);
    const text = read('docs/strategies.md');
    expect(pictures.filter((picture) => !text.includes(picture))).toEqual([]);
  });

  it('shows every picture, each on one page or in the README', () => {
    const text = documents.map(read).join('\n');
    expect(drawnPictures().filter((name) => !text.includes(`](${name.slice('docs/'.length)})`))).toEqual([]);
  });

  it('explains every error code', () => {
    const codes = read('lib/common/errors.ts').match(/(?<=')ERR_[A-Z_]*[A-Z](?=')/g) ?? [];
    const text = documents.map(read).join('\n');
    const explained = [...text.matchAll(/^## (ERR_[A-Z_]+)$/gm)].map(([, code]) => code);
    expect(explained.sort()).toEqual([...new Set(codes)].sort());
  });

  it.each([
    ['docs/configuration-errors.md', 60, ['ConfigurationError']],
    ['docs/command-line.md', 20, ['CommandError', 'UsageError']],
  ] as const)('explains every message in %s, and no others', (page, least, classes) => {
    const messages = messagesOf(...classes);
    const patterns = explainedMessages(page);
    expect(messages.length).toBeGreaterThan(least);
    expect(messages.filter((message) => !patterns.some((pattern) => pattern.test(message)))).toEqual([]);
    expect(patterns.filter((pattern) => !messages.some((message) => pattern.test(message)))).toEqual([]);
  });

  it('has a summary of the benchmarks that matches their pages, which link to each other', async () => {
    const script = join(ROOT, 'test/bench/support/document.mjs');
    const { drawPages } = (await import(script)) as { drawPages(): Promise<Record<string, string>> };
    const pages = await drawPages();
    const names = Object.keys(pages).map((name) => `docs/${name}`);
    expect(names.sort()).toEqual(documents.filter((name) => name.startsWith('docs/benchmarks')).sort());
    for (const [name, text] of Object.entries(pages))
      expect([name, read(`docs/${name}`)]).toEqual([name, text]);
  });

  it('has tables of options that match the doc comments', async () => {
    const script = join(ROOT, 'scripts', 'option-tables.mjs');
    const { drawOptionTables } = (await import(script)) as { drawOptionTables(): Record<string, string> };
    for (const [name, text] of Object.entries(drawOptionTables()))
      expect(text === read(name) ? name : `npm run docs:options, for ${name} is old`).toBe(name);
  });

  it('lists every option in a table that is generated', () => {
    const text = documents.map(read).join('\n');
    const tables = /^<!-- options: ([\w ]+) -->\n.*?^<!-- end -->$/gms;
    const listed = [...text.matchAll(tables)].flatMap(([, names = '']) => names.split(' '));
    expect([...new Set(listed)].sort()).toEqual(OPTION_INTERFACES);
    expect(text.replace(tables, '')).not.toMatch(/^\| option +\|/m);
  });
});
