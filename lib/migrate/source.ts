import { Edits } from './edits.js';
import type { ts, TypeScript } from './typescript.js';

/** A file of the application. */
export interface SourceText {
  /** Path with slashes, relative to the folder of the application. */
  readonly path: string;
  readonly text: string;
}

/** A finding for the report. */
export interface Finding {
  /** `'todo'`: left as it is, with a comment. `'note'`: changed, and worth a look. */
  readonly kind: 'todo' | 'note';
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** The start of comments that the codemod leaves; what is below one is not touched by a second run. */
export const TODO = 'TODO(nestjs-limits)';

const THROTTLER = /^@nestjs\/throttler(\/|$)/;
const REDIS_STORAGE = /^(@nest-lab\/throttler-storage-redis|nestjs-throttler-storage-redis)$/;

/** A name that a file imports. */
export interface ImportedName {
  readonly imported: string;
  readonly local: string;
  readonly module: string;
  readonly isType: boolean;
  readonly node: ts.ImportSpecifier | ts.ImportClause | ts.NamespaceImport;
  readonly declaration: ts.ImportDeclaration;
}

/** A parsed file, and what is changed in it. */
export class Source {
  readonly file: ts.SourceFile;
  readonly edits = new Edits();
  readonly findings: Finding[] = [];
  /** Names to import, by module: `true` if only types use them. */
  readonly added = new Map<string, Map<string, boolean>>();
  /** True if nothing but imports would be left. */
  isRemoved = false;
  #imports: readonly ImportedName[] | undefined;
  #identifiers: readonly ts.Identifier[] | undefined;

  constructor(
    readonly ts: TypeScript,
    readonly path: string,
    readonly text: string,
  ) {
    const kind = path.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
    this.file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
  }

  get imports(): readonly ImportedName[] {
    const { ts } = this;
    this.#imports ??= this.file.statements.flatMap((statement) =>
      ts.isImportDeclaration(statement) ? importsOf(ts, statement) : [],
    );
    return this.#imports;
  }

  /** All identifiers but those of imports. */
  get identifiers(): readonly ts.Identifier[] {
    const { ts } = this;
    this.#identifiers ??= this.file.statements.flatMap((statement) =>
      ts.isImportDeclaration(statement) ? [] : this.all(ts.isIdentifier, statement),
    );
    return this.#identifiers;
  }

  /** Tests have modules and guards that are not those of the application. */
  get isTest(): boolean {
    return /(^|\/)(tests?|e2e|__tests__)\/|[.-](spec|test|e2e-spec|e2e)\.[cm]?tsx?$/.test(this.path);
  }

  /** True if the file imports the throttler, or one of its storages. */
  get usesThrottler(): boolean {
    return (
      /['"]@nestjs\/throttler/.test(this.text) || this.imports.some(({ module }) => isOfThrottler(module))
    );
  }

  /** Returns the nodes that a function recognizes, in the order of the text. */
  all<T extends ts.Node>(is: (node: ts.Node) => node is T, within: ts.Node = this.file): T[] {
    const found: T[] = [];
    const visit = (node: ts.Node): void => {
      if (is(node)) found.push(node);
      this.ts.forEachChild(node, visit);
    };
    visit(within);
    return found;
  }

  /** The local name of an import of the throttler; `undefined` if the file does not import it. */
  localName(imported: string): string | undefined {
    return this.imports.find((name) => name.imported === imported && isOfThrottler(name.module))?.local;
  }

  /** Returns true if an expression is a name that is imported from the throttler. */
  isThrottlerName(node: ts.Node | undefined, imported: string): node is ts.Identifier {
    return node !== undefined && this.ts.isIdentifier(node) && node.text === this.localName(imported);
  }

  /** Names a place in the text: its line, from 1. */
  lineOf(position: number): number {
    return this.file.getLineAndCharacterOfPosition(position).line + 1;
  }

  textOf(node: ts.Node): string {
    return node.getText(this.file);
  }

  note(node: ts.Node, message: string): void {
    this.#find('note', node, message);
  }

  /** Leaves a node as it is, with a comment above its line. */
  todo(node: ts.Node, why: string): void {
    this.#find('todo', node, why);
    if (this.isLeft(node)) return;
    const start = this.#lineStart(node.getStart(this.file));
    this.edits.insert(start, `${this.#indentAt(start)}// ${TODO}: ${why}\n`);
  }

  /** Returns true for a node below a comment of an earlier run. */
  isLeft(node: ts.Node): boolean {
    const lines = this.text.slice(0, this.#lineStart(node.getStart(this.file))).split('\n');
    lines.pop();
    for (let line = lines.pop(); line?.trimStart().startsWith('//'); line = lines.pop())
      if (line.includes(TODO)) return true;
    return false;
  }

  /** Returns the white space at the start of a node's line. */
  indentOf(node: ts.Node): string {
    return this.#indentAt(this.#lineStart(node.getStart(this.file)));
  }

  /** Returns true if nothing but white space is before a node in its line. */
  isFirstInLine(node: ts.Node): boolean {
    const start = node.getStart(this.file);
    return this.text.slice(this.#lineStart(start), start).trim() === '';
  }

  replace(node: ts.Node, text: string): void {
    this.edits.replace(node.getStart(this.file), node.end, text);
  }

  /** Removes a node, and its line if nothing else is on it. */
  remove(node: ts.Node): void {
    const start = node.getStart(this.file);
    const after = prefixOf(this.text.slice(node.end), /^[ \t]*(\r?\n)?/);
    const isAlone = this.isFirstInLine(node) && after.endsWith('\n');
    this.edits.replace(
      isAlone ? this.#lineStart(start) : start,
      node.end + (isAlone ? after.length : after.replace(/\r?\n/, '').length),
      '',
    );
  }

  /** Removes an element of a list with its comma, and its lines if nothing else is on them. */
  removeFromList(node: ts.Node, list: ts.NodeArray<ts.Node>): void {
    const index = list.indexOf(node);
    const next = list[index + 1];
    const previous = list[index - 1];
    const start = node.getStart(this.file);
    const end = node.end + prefixOf(this.text.slice(node.end), /^\s*,/).length;
    const rest = prefixOf(this.text.slice(end), /^[ \t]*(\r?\n)?/);
    if (this.isFirstInLine(node) && rest.endsWith('\n'))
      this.edits.replace(this.#lineStart(start), end + rest.length, '');
    else if (next !== undefined) this.edits.replace(start, next.getStart(this.file), '');
    else this.edits.replace(previous?.end ?? start, node.end, '');
  }

  /** Imports a name, and returns what it is called here. */
  add(module: string, name: string, isType = false): string {
    const names = this.added.get(module) ?? new Map<string, boolean>();
    this.added.set(module, names.set(name, isType && (names.get(name) ?? true)));
    return this.nameFor(name);
  }

  /** Returns what a name of this library is called here: another name, if the file has one of its own. */
  nameFor(name: string): string {
    const known = this.imports.find(({ imported, module }) => imported === name && isOurs(module));
    if (known !== undefined) return known.local;
    const isTaken =
      this.identifiers.some((node) => node.text === name && this.#isDeclared(node)) ||
      this.imports.some(({ local }) => local === name);
    return isTaken ? `Limits${name.charAt(0).toUpperCase()}${name.slice(1)}` : name;
  }

  /** The quote that the file uses for text. */
  get quote(): string {
    const first = this.imports[0]?.declaration.moduleSpecifier;
    return first !== undefined && this.textOf(first).startsWith('"') ? '"' : "'";
  }

  /** Writes a text as a literal. */
  literal(text: string): string {
    return this.quote + text.replaceAll('\\', '\\\\').replaceAll(this.quote, `\\${this.quote}`) + this.quote;
  }

  #find(kind: Finding['kind'], node: ts.Node, message: string): void {
    const line = this.lineOf(node.getStart(this.file));
    if (this.findings.some((known) => known.line === line && known.message === message)) return;
    this.findings.push({ kind, path: this.path, line, message });
  }

  #lineStart(position: number): number {
    return this.text.lastIndexOf('\n', position - 1) + 1;
  }

  #indentAt(lineStart: number): string {
    return prefixOf(this.text.slice(lineStart), /^[ \t]*/);
  }

  #isDeclared(node: ts.Identifier): boolean {
    const { SyntaxKind } = this.ts;
    const kinds = [
      SyntaxKind.VariableDeclaration,
      SyntaxKind.Parameter,
      SyntaxKind.BindingElement,
      SyntaxKind.ClassDeclaration,
      SyntaxKind.FunctionDeclaration,
      SyntaxKind.InterfaceDeclaration,
      SyntaxKind.TypeAliasDeclaration,
      SyntaxKind.EnumDeclaration,
    ];
    return kinds.includes(node.parent.kind) && 'name' in node.parent && node.parent.name === node;
  }
}

/** Returns the start of a text that a pattern matches. */
function prefixOf(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[0] ?? '';
}

/** Returns true for the throttler and the packages of its storages. */
export function isOfThrottler(module: string): boolean {
  return THROTTLER.test(module) || REDIS_STORAGE.test(module);
}

/** Returns true for an entry of this package. */
export function isOurs(module: string): boolean {
  return /^nestjs-limits(\/|$)/.test(module);
}

/** Returns the path that a specifier names, without its extension; `undefined` for a package. */
export function resolvedPath(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const parts = source.path.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return withoutExtension(parts.join('/'));
}

/** Returns the path of a file as imports name it. */
export function withoutExtension(path: string): string {
  return path.replace(/(\/index)?(\.[cm]?[jt]sx?)?$/, '');
}

function importsOf(ts: TypeScript, declaration: ts.ImportDeclaration): ImportedName[] {
  const { importClause: clause, moduleSpecifier } = declaration;
  if (clause === undefined) return [];
  const module = (moduleSpecifier as ts.StringLiteral).text;
  const isTypeClause = /^import\s+type\b/.test(declaration.getText());
  const found: ImportedName[] = [];
  if (clause.name !== undefined)
    found.push({
      imported: 'default',
      local: clause.name.text,
      module,
      isType: isTypeClause,
      node: clause,
      declaration,
    });
  const bindings = clause.namedBindings;
  if (bindings === undefined) return found;
  if (ts.isNamespaceImport(bindings))
    return [
      ...found,
      {
        imported: '*',
        local: bindings.name.text,
        module,
        isType: isTypeClause,
        node: bindings,
        declaration,
      },
    ];
  return [
    ...found,
    ...bindings.elements.map((node) => ({
      imported: (node.propertyName ?? node.name).text,
      local: node.name.text,
      module,
      isType: isTypeClause || node.isTypeOnly,
      node,
      declaration,
    })),
  ];
}
