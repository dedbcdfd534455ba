import type { Constants } from './constants.js';
import { propertiesOf, valueOf } from './objects.js';
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

/** Returns what is wrong with the name of a throttler as that of a limit. */
export function nameProblem(name: string): string | undefined {
  return /^[A-Za-z][\w.-]*$/.test(name)
    ? undefined
    : `the name "${name}" is not one of a limit: it begins with a letter and holds letters, digits, "_", "." and "-"`;
}

/** Reads the options of a throttler: an object, or a constant that is one. */
export function settingsOf(
  source: Source,
  constants: Constants,
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
  const known = constants.objectAt(source, node);
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
