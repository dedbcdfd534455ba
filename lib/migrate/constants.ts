import { propertiesOf, valueOf, type Located } from './objects.js';
import { bare } from './quantities.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** The constants and functions at the top of all files, by name; a name of several files is left out. */
export class Constants {
  readonly values = new Map<string, Located<ts.Expression>>();
  readonly functions = new Map<string, Located<ts.Node>>();

  constructor(private readonly sources: readonly Source[]) {
    const seen = new Set<string>();
    const add = <T extends ts.Node>(map: Map<string, Located<T>>, name: string, found: Located<T>): void => {
      if (seen.has(name)) map.delete(name);
      else map.set(name, found);
      seen.add(name);
    };
    for (const source of sources) {
      const { ts } = source;
      for (const statement of source.file.statements) {
        if (ts.isFunctionDeclaration(statement) && statement.name !== undefined)
          add(this.functions, statement.name.text, { source, node: statement });
        if (!ts.isVariableStatement(statement)) continue;
        for (const { name, initializer } of statement.declarationList.declarations) {
          if (initializer === undefined || !ts.isIdentifier(name)) continue;
          const node = bare(source, initializer);
          if (ts.isArrowFunction(node) || ts.isFunctionExpression(node))
            add(this.functions, name.text, { source, node });
          else add(this.values, name.text, { source, node });
        }
      }
    }
  }

  /** Returns how often the code of all files uses a constant, such as `LIMITS.login`; 0 for another expression. */
  usesOf({ ts, file }: Source, expression: ts.Expression): number {
    const path = expression.getText(file);
    const isUse = (node: ts.Node): node is ts.Expression =>
      (ts.isPropertyAccessExpression(node) ||
        (ts.isIdentifier(node) && !ts.isVariableDeclaration(node.parent))) &&
      node.getText() === path;
    return this.sources.flatMap((one) =>
      one.file.statements.flatMap((statement) =>
        ts.isImportDeclaration(statement) ? [] : one.all(isUse, statement),
      ),
    ).length;
  }

  /** Returns the object that an expression is, if that is a constant: `LIMITS.login`. */
  objectAt(source: Source, expression: ts.Expression): Located<ts.ObjectLiteralExpression> | undefined {
    const { ts } = source;
    const node = bare(source, expression);
    if (ts.isObjectLiteralExpression(node)) return { source, node };
    if (ts.isIdentifier(node)) {
      const known = this.named(source, node);
      return known && this.objectAt(known.source, known.node);
    }
    if (!ts.isPropertyAccessExpression(node)) return undefined;
    const owner = this.objectAt(source, node.expression);
    const property = owner && propertiesOf(owner.source, owner.node)?.get(node.name.text);
    const value = property && owner && valueOf(owner.source, property);
    return value && owner && this.objectAt(owner.source, value);
  }

  /** Returns the value that a name stands for: that of the nearest variable, or of a constant of another file. */
  named(source: Source, name: ts.Identifier): Located<ts.Expression> | undefined {
    const { ts } = source;
    const isDeclaration = (node: ts.Node): node is Declaration =>
      ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node);
    const [nearest] = source
      .all(isDeclaration)
      .filter((node) => node.name.getText(source.file) === name.text)
      .map((node) => ({ node, scope: scopeOf(source, node) }))
      .filter(({ scope }) => scope.pos <= name.pos && name.end <= scope.end)
      .sort((a, b) => b.scope.pos - a.scope.pos);
    if (nearest === undefined) return this.values.get(name.text);
    const { node } = nearest;
    return ts.isVariableDeclaration(node) && node.initializer !== undefined
      ? { source, node: node.initializer }
      : undefined;
  }
}

type Declaration = ts.VariableDeclaration | ts.ParameterDeclaration | ts.BindingElement;

/** Returns the block or function that a declaration is known in, or the file. */
function scopeOf({ ts }: Source, { parent }: ts.Node): ts.Node {
  let scope = parent;
  while (!ts.isSourceFile(scope) && !ts.isBlock(scope) && !ts.isFunctionLike(scope)) scope = scope.parent;
  return scope;
}
