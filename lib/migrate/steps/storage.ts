import type { Project } from '../project.js';
import { bare } from '../quantities.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/**
 * Converts the storage of the module: the Redis storages for the throttler, and storages that `toThrottlerStorage` adapts.
 * Returns a function that writes it; `undefined` for another one.
 */
export function storageWriter(
  source: Source,
  value: ts.Expression,
  project: Project,
): (() => string) | undefined {
  const { ts } = source;
  const node = bare(source, value);
  if (ts.isConditionalExpression(node)) {
    const whenTrue = storageWriter(source, node.whenTrue, project);
    const whenFalse = storageWriter(source, node.whenFalse, project);
    return (
      whenTrue && whenFalse && (() => `${source.textOf(node.condition)} ? ${whenTrue()} : ${whenFalse()}`)
    );
  }
  if (ts.isIdentifier(node)) {
    if (node.text === 'undefined') return () => 'undefined';
    const known = project.constants.named(source, node);
    if (known === undefined) return undefined;
    const write = storageWriter(known.source, known.node, project);
    return (
      write &&
      (() => {
        known.source.replace(known.node, write());
        return node.text;
      })
    );
  }
  const [connection, ...others] =
    ts.isCallExpression(node) || ts.isNewExpression(node) ? (node.arguments ?? []) : [];
  if (ts.isCallExpression(node) && source.textOf(node.expression) === 'toThrottlerStorage')
    return connection && (() => source.textOf(connection));
  if (!ts.isNewExpression(node) || !source.isThrottlerName(node.expression, 'ThrottlerStorageRedisService'))
    return undefined;
  if (connection === undefined) return () => source.literal('redis://localhost:6379');
  const given = bare(source, connection);
  if (ts.isObjectLiteralExpression(given) || /cluster/i.test(source.textOf(given))) return undefined;
  if (isUri(source, given) && others.length === 0) return () => source.textOf(connection);
  return () => {
    const storage = source.add('nestjs-limits/redis', 'RedisStorage');
    source.note(
      node,
      'close this RedisStorage when the application shuts down, or give its URI to the module, which closes what it opens',
    );
    return `new ${storage}(${[connection, ...others].map((one) => source.textOf(one)).join(', ')})`;
  };
}

/** Returns true for the text of a URI, or code that reads one by its name. */
function isUri(source: Source, node: ts.Expression): boolean {
  const { ts } = source;
  return (
    ts.isStringLiteralLike(node) ||
    ts.isTemplateExpression(node) ||
    (/url|uri/i.test(source.textOf(node)) && !ts.isNewExpression(node))
  );
}
