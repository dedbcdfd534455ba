import { isOfThrottler, type ImportedName, type Source } from '../source.js';
import type { ts } from '../typescript.js';

/** Imports: adds what the other steps use, and removes what nothing uses any more. */
export function migrateImports(source: Source): void {
  const gone = new Set(source.imports.filter((name) => isGone(source, name)).map(({ node }) => node));
  if (source.edits.isEmpty && gone.size === 0) return;
  const declarations = new Map(
    source.imports.map(({ declaration }) => [declaration, removed(source, declaration, gone)]),
  );
  const statements = addedStatements(source, declarations);
  const anchor =
    source.imports.find(({ module }) => isOfThrottler(module))?.declaration ?? source.imports[0]?.declaration;
  let isPlaced = statements.length === 0;
  for (const [declaration, { isWhole, specifiers, list }] of declarations) {
    const isAnchor = declaration === anchor && !isPlaced;
    if (isAnchor) isPlaced = true;
    if (isWhole && isAnchor) source.replace(declaration, statements.join('\n'));
    else if (isWhole) source.remove(declaration);
    else {
      removeSpecifiers(source, specifiers, list);
      if (isAnchor) source.edits.insert(declaration.end, `\n${statements.join('\n')}`);
    }
  }
  if (!isPlaced) source.edits.insert(0, `${statements.join('\n')}\n`);
}

interface Removal {
  readonly isWhole: boolean;
  readonly specifiers: readonly ts.Node[];
  readonly list: ts.NodeArray<ts.ImportSpecifier> | undefined;
}

function removed(source: Source, declaration: ts.ImportDeclaration, gone: ReadonlySet<ts.Node>): Removal {
  const names = source.imports.filter((name) => name.declaration === declaration);
  const bindings = declaration.importClause?.namedBindings;
  const list = bindings !== undefined && source.ts.isNamedImports(bindings) ? bindings.elements : undefined;
  return {
    isWhole: names.every(({ node }) => gone.has(node)),
    specifiers: names
      .map(({ node }) => node)
      .filter((node) => gone.has(node) && list?.includes(node as ts.ImportSpecifier) === true),
    list,
  };
}

/** Removes several of the names of one import. */
function removeSpecifiers(
  source: Source,
  specifiers: readonly ts.Node[],
  list: ts.NodeArray<ts.ImportSpecifier> | undefined,
): void {
  const [first] = list ?? [];
  const last = list?.at(-1);
  if (specifiers.length === 0 || list === undefined || first === undefined || last === undefined) return;
  if (source.lineOf(first.getStart(source.file)) !== source.lineOf(last.end)) {
    for (const node of specifiers) source.removeFromList(node, list);
    return;
  }
  const kept = list.filter((node) => !specifiers.includes(node)).map((node) => source.textOf(node));
  source.edits.replace(first.getStart(source.file), last.end, kept.join(', '));
}

/** Returns true for a name that was used before and is not any more, and for one of the throttler that nothing uses. */
function isGone(source: Source, { local, module }: ImportedName): boolean {
  const used = source.identifiers.filter(
    (identifier) => identifier.text === local && !isPropertyName(source, identifier),
  );
  if (used.length === 0) return isOfThrottler(module);
  if (used.some((identifier) => !source.edits.covers(identifier.getStart(source.file)))) return false;
  return !source.edits.mentions(local);
}

function isPropertyName({ ts }: Source, node: ts.Identifier): boolean {
  const { parent } = node;
  return (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent)) && parent.name === node;
}

function addedStatements(source: Source, declarations: ReadonlyMap<ts.ImportDeclaration, Removal>): string[] {
  const end =
    source.imports[0] === undefined || source.textOf(source.imports[0].declaration).endsWith(';') ? ';' : '';
  const marksTypes = source.imports.some(({ isType }) => isType);
  return [...source.added]
    .sort(([a], [b]) => compareModules(a, b))
    .flatMap(([module, names]) => {
      const specifiers = [...names]
        .sort(([a], [b]) => a.localeCompare(b))
        .flatMap(([name, isType]) => {
          const known = source.imports.some((one) => one.module === module && one.imported === name);
          const local = source.nameFor(name);
          const renamed = local === name ? name : `${name} as ${local}`;
          return known ? [] : [isType && marksTypes ? `type ${renamed}` : renamed];
        });
      if (specifiers.length === 0) return [];
      const existing = [...declarations].find(([declaration, { isWhole, list }]) => {
        const { moduleSpecifier } = declaration;
        const isOpen = list !== undefined && !isWhole && !/^import\s+type\b/.test(source.textOf(declaration));
        return isOpen && source.ts.isStringLiteral(moduleSpecifier) && moduleSpecifier.text === module;
      });
      const last = existing?.[1].list?.at(-1);
      if (last !== undefined && existing?.[1].specifiers.length === 0) {
        source.edits.insert(last.end, `, ${specifiers.join(', ')}`);
        return [];
      }
      return [`import { ${specifiers.join(', ')} } from ${source.literal(module)}${end}`];
    });
}

/** Packages first, then files. */
function compareModules(a: string, b: string): number {
  return Number(a.startsWith('.')) - Number(b.startsWith('.')) || a.localeCompare(b);
}
