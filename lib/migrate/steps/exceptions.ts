import type { Source } from '../source.js';

/** `ThrottlerException` in `@Catch`, `instanceof` and types. One that is thrown by hand has no decision, so it is left. */
export function migrateExceptions(source: Source): void {
  const { ts } = source;
  for (const node of source.identifiers) {
    if (!source.isThrottlerName(node, 'ThrottlerException') || source.isLeft(node)) continue;
    if (source.edits.covers(node.getStart(source.file))) continue;
    if (ts.isNewExpression(node.parent) || ts.isExpressionWithTypeArguments(node.parent))
      source.todo(
        node,
        'a refusal of your own: throw new HttpException(message, 429), or let a limit refuse',
      );
    else
      source.replace(
        node,
        source.add('nestjs-limits', 'RateLimitExceededException', ts.isTypeReferenceNode(node.parent)),
      );
  }
}
