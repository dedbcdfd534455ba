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

/** The tables of options, by document and heading, with the interfaces whose options they list. */
const OPTION_TABLES: readonly [where: string, ...interfaces: string[]][] = [
  ['docs/options.md#Module options', 'RateLimitModuleOptions', 'RateLimitModuleExtras'],
  ['docs/options.md#Decorators', 'PolicyOptions'],
  ['docs/headers.md#Header fields', 'RateLimitHeaders'],
  ['docs/headers.md#The legacy fields', 'LegacyHeaders'],
  ['docs/rules.md#Rules', 'Rule'],
  ['docs/reliability.md#Options', 'ResilienceOptions'],
  ['docs/permits-in-advance.md#Permits in advance', 'LeaseOptions'],
  [
    'docs/storages.md#Options',
    'StorageOptions',
    'MemoryStorageOptions',
    'ServerStorageOptions',
    'GivenClientOptions',
    'RedisStorageOptions',
    'RedisClusterStorageOptions',
    'RedisSentinelStorageOptions',
    'MemcachedStorageOptions',
    'MongoDBStorageOptions',
    'EtcdStorageOptions',
    'PostgreSQLStorageOptions',
  ],
  [
    'docs/storages/memcached.md#Memcached',
    'MemcachedStorageOptions',
    'ServerStorageOptions',
    'StorageOptions',
  ],
  ['docs/console.md#Set up', 'RateLimitConsoleOptions'],
  ['docs/custom-storage.md#Test it', 'DescribeStorageOptions'],
];

/** Options by the interfaces of the library that declare them, without inherited options. */
function optionsByInterface(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const name of sources) {
    ts.forEachChild(ts.createSourceFile(name, read(name), ts.ScriptTarget.Latest), (node) => {
      if (!ts.isInterfaceDeclaration(node)) return;
      const members = node.members.flatMap((member) =>
        member.name !== undefined && ts.isIdentifier(member.name) ? [member.name.text] : [],
      );
      found.set(node.name.text, members);
    });
  }
  return found;
}

/** The options in tables with the first column `option`, by document and heading. */
function optionTables(): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  for (const name of documents) {
    let heading = '';
    let isTable = false;
    for (const line of read(name).split('\n')) {
      heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
      if (/^\| option +\|/.test(line)) isTable = true;
      else if (!line.startsWith('|')) isTable = false;
      if (!isTable) continue;
      const where = `${name}#${heading}`;
      const [, cell = ''] = line.split('|');
      const options = [...cell.matchAll(/`(\w+)`/g)].map(([, option = '']) => option);
      tables.set(where, [...(tables.get(where) ?? []), ...options]);
    }
  }
  return tables;
}

/**
 * The messages of configuration errors, with `…` for inserted values. Excludes messages that only
 * pass on another one.
 */
function configurationMessages(): string[] {
  const messages: string[] = [];
  for (const name of sources) {
    const visit = (node: ts.Node): void => {
      if (
        ts.isNewExpression(node) &&
        node.expression.getText() === 'ConfigurationError' &&
        node.arguments?.[0] !== undefined
      )
        messages.push(...textsOf(node.arguments[0]).filter((text) => /\w/.test(text)));
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(name, read(name), ts.ScriptTarget.Latest, true));
  }
  return messages;
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

  it('links every page from the index, and from the README except for pages of single servers', () => {
    const pages = documents.filter((name) => name.startsWith('docs/') && name !== 'docs/README.md');
    const index = read('docs/README.md');
    expect(pages.filter((name) => !index.includes(`](${name.slice('docs/'.length)})`))).toEqual([]);
    const [, more = ''] = read('README.md').split('## More');
    const general = pages.filter((name) => !name.startsWith('docs/storages/'));
    expect(general.filter((name) => !more.includes(`](${name})`))).toEqual([]);
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
    const explained = [...read('docs/errors.md').matchAll(/^## (ERR_[A-Z_]+)$/gm)].map(([, code]) => code);
    expect(explained.sort()).toEqual([...new Set(codes)].sort());
  });

  it('explains every message of a configuration error, and no others', () => {
    const [, page = ''] = /^## ERR_RATE_LIMIT_CONFIGURATION$(.*?)^## /ms.exec(read('docs/errors.md')) ?? [];
    const rows = page.split('\n').filter((line) => line.startsWith('|'));
    const phrases = rows.flatMap((row) => {
      const [, cell = ''] = row.split('|');
      return [...cell.matchAll(/(?<![\w])_(.+?)_(?![\w])/g)].map(([, phrase = '']) => phrase);
    });
    const patterns = phrases.map((phrase) => ({
      phrase,
      pattern: new RegExp(
        phrase
          .split('…')
          .map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
          .join('.*'),
      ),
    }));
    const messages = configurationMessages();
    expect(messages.length).toBeGreaterThan(60);
    expect(messages.filter((message) => !patterns.some(({ pattern }) => pattern.test(message)))).toEqual([]);
    const unused = patterns.filter(({ pattern }) => !messages.some((message) => pattern.test(message)));
    expect(unused.map(({ phrase }) => phrase)).toEqual([]);
  });

  it('lists every option in a table, and no others', () => {
    const declared = optionsByInterface();
    const tables = optionTables();
    expect([...tables.keys()].sort()).toEqual(OPTION_TABLES.map(([where]) => where).sort());
    for (const [where, ...interfaces] of OPTION_TABLES) {
      const options = interfaces.flatMap((name) => declared.get(name) ?? [`${name} is gone`]);
      expect([where, [...new Set(tables.get(where))].sort()]).toEqual([where, [...new Set(options)].sort()]);
    }
  });
});
