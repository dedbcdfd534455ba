import { propertiesOf, valueOf, type Located } from './objects.js';
import { bare } from './quantities.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** The constants and functions at the top of all files, by name; a name of several files is left out. */
export class Constants {
  readonly values = new Map<string, Located<ts.Expression>>();
  readonly functions = new Map<string, Located<ts.Node>>();

  constructor(sources: readonly Source[]) {
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

  /** Returns the object that an expression is, if that is a constant: `LIMITS.login`. */
  objectAt(source: Source, expression: ts.Expression): Located<ts.ObjectLiteralExpression> | undefined {
    const { ts } = source;
    const node = bare(source, expression);
    if (ts.isObjectLiteralExpression(node)) return { source, node };
    if (ts.isIdentifier(node)) {
      const known = this.named(source, node.text);
      return known && this.objectAt(known.source, known.node);
    }
    if (!ts.isPropertyAccessExpression(node)) return undefined;
    const owner = this.objectAt(source, node.expression);
    const property = owner && propertiesOf(owner.source, owner.node)?.get(node.name.text);
    const value = property && owner && valueOf(owner.source, property);
    return value && owner && this.objectAt(owner.source, value);
  }

  /** Returns the value of a constant: that of the file, else that of another file. */
  named(source: Source, name: string): Located<ts.Expression> | undefined {
    const { ts } = source;
    const local = source
      .all(ts.isVariableDeclaration)
      .find((node) => node.name.getText(source.file) === name);
    if (local?.initializer !== undefined) return { source, node: local.initializer };
    return this.values.get(name);
  }
}
