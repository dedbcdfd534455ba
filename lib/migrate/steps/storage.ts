import type { Project } from '../project.js';
import { bare } from '../quantities.js';
import { propertiesOf, valueOf } from '../objects.js';
import type { Source } from '../source.js';
import type { ts } from '../typescript.js';

/**
 * Converts the storage of the module: the Redis storages for the throttler, and storages that `toThrottlerStorage` adapts.
 * `undefined` for another one.
 */
export function storageCode(source: Source, value: ts.Expression, project: Project): string | undefined {
  const { ts } = source;
  const node = bare(source, value);
  if (ts.isConditionalExpression(node)) {
    const [whenTrue, whenFalse] = [node.whenTrue, node.whenFalse].map((one) =>
      storageCode(source, one, project),
    );
    return whenTrue === undefined || whenFalse === undefined
      ? undefined
      : `${source.textOf(node.condition)} ? ${whenTrue} : ${whenFalse}`;
  }
  if (ts.isIdentifier(node)) {
    if (node.text === 'undefined') return 'undefined';
    const local = source
      .all(ts.isVariableDeclaration)
      .find(({ name, initializer }) => name.getText(source.file) === node.text && initializer !== undefined);
    const code = local?.initializer && storageCode(source, local.initializer, project);
    if (code === undefined || local?.initializer === undefined) return undefined;
    source.replace(local.initializer, code);
    return node.text;
  }
  if (ts.isCallExpression(node) && source.textOf(node.expression) === 'toThrottlerStorage')
    return node.arguments[0] && source.textOf(node.arguments[0]);
  if (!ts.isNewExpression(node) || !source.isThrottlerName(node.expression, 'ThrottlerStorageRedisService'))
    return undefined;
  const [connection, ...others] = node.arguments ?? [];
  if (connection === undefined) return source.literal('redis://localhost:6379');
  const given = bare(source, connection);
  if (ts.isObjectLiteralExpression(given) || /cluster/i.test(source.textOf(given))) return undefined;
  if (isUri(source, given) && others.length === 0) return source.textOf(connection);
  const storage = source.add('nestjs-limits/redis', 'RedisStorage');
  source.note(
    node,
    'close this RedisStorage when the application shuts down, or give its URI to the module, which closes what it opens',
  );
  return `new ${storage}(${[connection, ...others].map((one) => source.textOf(one)).join(', ')})`;
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

/** Returns true for options with a storage: the storages for the throttler count fixed windows, its own memory moving ones. */
export function hasFixedWindow(source: Source, node: ts.ObjectLiteralExpression): boolean {
  const storage = propertiesOf(source, node)?.get('storage');
  return storage !== undefined && valueOf(source, storage) !== undefined;
}
