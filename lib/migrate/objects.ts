import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** A node and the file that it is in. */
export interface Located<T extends ts.Node> {
  readonly source: Source;
  readonly node: T;
}

/** Returns the properties of an object by name; `undefined` if it has others, such as a spread. */
export function propertiesOf(
  source: Source,
  node: ts.ObjectLiteralExpression,
): Map<string, ts.ObjectLiteralElementLike> | undefined {
  const { ts } = source;
  const found = new Map<string, ts.ObjectLiteralElementLike>();
  for (const property of node.properties) {
    if (property.name === undefined) return undefined;
    if (ts.isIdentifier(property.name) || ts.isStringLiteral(property.name))
      found.set(property.name.text, property);
    else return undefined;
  }
  return found;
}

/** Returns the value of a property. */
export function valueOf(source: Source, property: ts.ObjectLiteralElementLike): ts.Expression | undefined {
  if (source.ts.isPropertyAssignment(property)) return property.initializer;
  if (source.ts.isShorthandPropertyAssignment(property)) return property.name;
  return undefined;
}

/** The expressions that a function returns, without those of functions in it. */
export function returnedBy({ ts }: Source, body: ts.Block): ts.Expression[] {
  const found: ts.Expression[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return;
    if (ts.isReturnStatement(node) && node.expression !== undefined) found.push(node.expression);
    ts.forEachChild(node, visit);
  };
  visit(body);
  return found;
}
