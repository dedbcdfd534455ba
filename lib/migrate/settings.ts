import type { Project } from './project.js';
import { bare, quantityOf, type Quantity } from './quantities.js';
import type { Source } from './source.js';
import type { ts } from './typescript.js';

/** The options of one throttler, in the module or in `@Throttle`. */
export interface Settings {
  readonly limit: Quantity | undefined;
  readonly ttl: Quantity | undefined;
  readonly blockDuration: Quantity | undefined;
  /** The property of every option that is given. */
  readonly properties: ReadonlyMap<string, ts.ObjectLiteralElementLike>;
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

/** Reads the options of a throttler: an object, or a constant that is one. */
export function settingsOf(
  source: Source,
  project: Project,
  expression: ts.Expression,
): Settings | undefined {
  const { ts } = source;
  const node = bare(source, expression);
  if (ts.isObjectLiteralExpression(node)) {
    const properties = propertiesOf(source, node);
    if (properties === undefined) return undefined;
    const quantity = (name: string): Quantity | undefined => {
      const property = properties.get(name);
      const value = property && valueOf(source, property);
      return value && quantityOf(source, value);
    };
    return {
      limit: quantity('limit'),
      ttl: quantity('ttl'),
      blockDuration: quantity('blockDuration'),
      properties,
    };
  }
  const known = project.constantAt(source, node);
  if (known === undefined) return undefined;
  const names = propertiesOf(known.source, known.node);
  if (names === undefined) return undefined;
  const path = source.textOf(node);
  const quantity = (name: string): Quantity | undefined =>
    names.has(name) ? { kind: 'code', text: `${path}.${name}` } : undefined;
  return {
    limit: quantity('limit'),
    ttl: quantity('ttl'),
    blockDuration: quantity('blockDuration'),
    properties: names,
  };
}
